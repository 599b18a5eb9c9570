"""The types in the head of an objective: whether they are types, and whether `by` names a model of the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler.findings import Findings, at
from ptc.compiler.mathematics.columns import TEXT_COLUMNS
from ptc.compiler.objectives.call import MODEL_TYPES, NUMBER_TYPES, SOURCE_TYPE, columns_of
from ptc.compiler.scope import Objective
from ptc.lang import ast
from ptc.lang.diagnostic import Label
from ptc.lang.source import Span
from ptc.lang.suggest import closest

KNOWN = (SOURCE_TYPE, *MODEL_TYPES, *NUMBER_TYPES)


@dataclass(frozen=True)
class Types:
    """Reads the types in an objective's signature."""

    findings: Findings

    def of(self, objective: Objective, call: Span) -> Mapping[str, ast.Type] | None:
        """The types of the parameters, by name; None after a report."""
        types = {p.name.id: p.type for p in objective.declaration.parameters}
        sound = all([self._known(objective, kind, call) for kind in types.values()])
        return types if sound and self._whole(objective, types, call) else None

    def _known(self, objective: Objective, kind: ast.Type, call: Span) -> bool:
        if kind.name in KNOWN:
            return True
        guess = closest(kind.name, KNOWN)
        self.findings.add(
            "N112",
            f"a parameter of an objective cannot be a `{kind.name}`",
            _here(objective, kind.span, "not a type of an objective's parameters", call),
            [f"it is one of {', '.join(KNOWN)}"],
            [f"did you mean `{guess}`?"] if guess else [],
        )
        return False

    def _whole(self, objective: Objective, types: Mapping[str, ast.Type], call: Span) -> bool:
        """Whether there is a source, and every `by` names a model."""
        if all(kind.name != SOURCE_TYPE for kind in types.values()):
            self.findings.add(
                "T116",
                f"`{objective.name}` learns from no source",
                _here(objective, objective.declaration.name.span, "no `Trajectories` in its head", call),
                helps=["demos: Trajectories{prompt, response}"],
            )
            return False
        if isinstance(objective.declaration, ast.Extern) and not self._asks(objective, types, call):
            return False
        for kind in types.values():
            if kind.by is None or (kind.by.id in types and types[kind.by.id].name in MODEL_TYPES):
                continue
            models = [name for name, other in types.items() if other.name in MODEL_TYPES]
            guess = closest(kind.by.id, models)
            self.findings.add(
                "N101",
                f"no model of this head is called `{kind.by.id}`",
                _here(objective, kind.by.span, "who generates the rows", call),
                [f"its models are {', '.join(f'`{name}`' for name in models)}"] if models else [],
                [f"did you mean `{guess}`?"] if guess else [],
            )
            return False
        return True

    def _asks(self, objective: Objective, types: Mapping[str, ast.Type], call: Span) -> bool:
        """Whether what is written in Python is given a model that learns, and a text that the model is asked about."""
        read = {column for kind in types.values() for column in columns_of(kind)}
        if not read & set(TEXT_COLUMNS):
            what, wanted = "no text that a model could be asked about", "rows: Trajectories{prompt, response}"
        elif all(kind.name != "Trained" for kind in types.values()):
            what, wanted = "no `Trained` model", "policy: Trained"
        else:
            return True
        self.findings.add(
            "T116",
            f"from what `{objective.name}` is given nothing can be learned",
            _here(objective, objective.declaration.name.span, f"{what} in its head", call),
            helps=[wanted],
        )
        return False


def _here(objective: Objective, span: Span, text: str, call: Span) -> list[Label]:
    return [at(span, text), at(call, f"`{objective.name}` is used here")]
