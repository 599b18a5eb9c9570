"""Flows of trajectories: `gym(…) |> prompts(…) |> sample(…) |> score(…)`, with columns and provenance inferred.

Every step has one function that gives the typed source it makes. Provenance is computed, never declared: a `sample`
from a role that the stage trains or tracks is live, from anything else fixed, and rows that nobody in this program
sampled are external.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ptc.compiler import core, references
from ptc.compiler.arguments import bind
from ptc.compiler.calls import constants, dotted
from ptc.compiler.catalogue import Catalogue
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import choosing, conventions, joining, origins, rowwise, sampling, scoring
from ptc.compiler.flows.signatures import EXAMPLES, LIVE_STEPS, ORIGINS, STEPS, SYNONYMS
from ptc.compiler.flows.step import Make, Step
from ptc.compiler.scope import ExternSource, Scope
from ptc.compiler.scorers import Scorings
from ptc.compiler.translation import text_of
from ptc.lang import ast
from ptc.lang.suggest import closest

__all__ = ["Flows", "constants", "dotted"]

MAKE: Mapping[str, Make] = {
    "prompts": rowwise.prompts,
    "from_verl": conventions.adapted,
    "from_open_instruct": conventions.adapted,
    "from_sharegpt": conventions.adapted,
    "chat": rowwise.chat,
    "hint": sampling.hint,
    "prefix": sampling.prefix,
    "slice": choosing.slice_,
    "take": choosing.take,
    "keep": rowwise.keep,
    "only": rowwise.only,
    "shuffle": choosing.shuffle,
    "unique": choosing.unique,
    "without": choosing.without,
    "join": joining.join,
    "replay": sampling.replay,
    "refill": sampling.refill,
    "respond": rowwise.respond,
    "sample": sampling.sample,
    "score": scoring.score,
    "best": choosing.best,
    "best_and_worst": choosing.best_and_worst,
    "against": joining.against,
    "split_steps": rowwise.split_steps,
}


class ReadsModels(Protocol):
    """What reads expressions for models: `compiler.models`, which reads sources in turn."""

    def model(self, expr: ast.Expr, scope: Scope) -> core.Model | None: ...


@dataclass
class Flows:
    """Elaborates source expressions in a scope."""

    catalogue: Catalogue
    findings: Findings
    models: ReadsModels | None = None
    """Set by whoever makes both: models are made with sources, and sources sampled from models."""
    scorings: Scorings = field(init=False)

    def __post_init__(self) -> None:
        self.scorings = Scorings(self.findings, self.model_or_role)

    def source(self, expr: ast.Expr, scope: Scope) -> core.Source | None:
        """The typed source that an expression stands for; None after a report."""
        found = self._source(expr, scope)
        if found is not None and not isinstance(expr, ast.Name):
            self.findings.typed.append(found)
        return found

    def _source(self, expr: ast.Expr, scope: Scope) -> core.Source | None:
        match expr:
            case ast.Name():
                found = scope.look_up(expr, (core.Source,), "a source")
                return found if isinstance(found, core.Source) else None
            case ast.Pipe(value=value, step=step):
                return self._step(self.source(value, scope), step, scope)
            case ast.Binary(op="+", left=left, right=right):
                first, second = self.source(left, scope), self.source(right, scope)
                return None if first is None or second is None else joining.concat(expr.span, first, second)
            case ast.Call():
                return self._origin(expr, scope)
            case ast.Member() if references.is_path(expr):
                part = references.thing(expr, scope, (core.Source,), "a source")
                return part if isinstance(part, core.Source) else None
            case ast.Missing():
                return None
            case _:
                self.findings.add("N107", "a source is needed here", [at(expr.span, "not a source")])
                return None

    def model_or_role(self, expr: ast.Expr, scope: Scope) -> core.Model | core.Role | None:
        """The model, or the role of the stage at hand, that an expression stands for."""
        entry = scope.find(expr.id) if isinstance(expr, ast.Name) else None
        if entry is not None and isinstance(entry.thing, core.Role):
            return entry.thing
        assert self.models is not None
        return self.models.model(expr, scope)

    def prompts_of(self, expr: ast.Expr, scope: Scope) -> core.Source | None:
        """A source, or the source of an eval."""
        entry = scope.find(expr.id) if isinstance(expr, ast.Name) else None
        if entry is not None and isinstance(entry.thing, core.Eval):
            return entry.thing.source
        return self.source(expr, scope)

    # Where rows come from ---------------------------------------------------------------------------------------------

    def _origin(self, call: ast.Call, scope: Scope) -> core.Source | None:
        name = dotted(call.callee)
        entry = scope.find(name) if isinstance(call.callee, ast.Name) else None
        if entry is not None and isinstance(entry.thing, ExternSource):
            return origins.extern(call, entry.thing, scope)
        if name == "mix":
            return self._mix(call, scope)
        if name in STEPS:
            self.findings.add(
                "N107",
                f"`{name}` works on the rows of a source",
                [at(call.callee.span, "nothing flows in")],
                helps=[f"source |> {name}(…)"],
            )
            return None
        if name not in ORIGINS and references.calls_recipe(call, scope):
            return None
        if name not in ORIGINS:
            if scope.is_unreadable(name):
                return None
            self._unknown(call, name, (*ORIGINS, "mix"), "N101", "nothing that makes a source")
            return None
        return origins.origin(call, name, scope, self.catalogue)

    def _mix(self, call: ast.Call, scope: Scope) -> core.Source | None:
        given = next((a.value for a in call.arguments if a.name is None or a.name.id == "sources"), None)
        if not isinstance(given, ast.List) or len(given.items) < 2:
            if not isinstance(given, ast.Missing):
                self.findings.add(
                    "N107",
                    "`mix` takes a list of sources",
                    [at(given.span if given is not None else call.span, "not two sources or more")],
                    helps=["mix([demos, chat], weights = [0.7, 0.3])"],
                )
            return None
        sources = [self.source(item, scope) for item in given.items]
        whole = [source for source in sources if source is not None]
        return joining.mix(call, whole, scope) if len(whole) == len(sources) else None

    # Steps ------------------------------------------------------------------------------------------------------------

    def _step(self, rows: core.Source | None, step: ast.Expr, scope: Scope) -> core.Source | None:
        if not isinstance(step, ast.Call):
            self._no_step(step)
            return None
        name = dotted(step.callee)
        if name == "score" and scoring.several(step, self.findings):
            return None
        if name not in STEPS:
            self._unknown(step, name, STEPS, "N108", "no step of a flow")
            return None
        bound = bind(STEPS[name], step.arguments, step.span, self.findings)
        settings = constants(STEPS[name], bound, scope) if bound.whole else None
        if rows is None or settings is None or not self._may_stand_here(name, rows, step):
            return None
        return MAKE[name](Step(name, rows, step, bound, settings, scope, self))

    def _no_step(self, expr: ast.Expr) -> None:
        """Reports what is no step, or one that is only named."""
        if isinstance(expr, ast.Missing):
            return
        named = STEPS.get(expr.id) if isinstance(expr, ast.Name) else None
        self.findings.add(
            "N107",
            f"the step `{named.name}` has parentheses" if named else "`|>` leads into a step",
            [at(expr.span, "only named" if named else "not a step")],
            helps=[named.example if named else EXAMPLES["keep"]],
        )

    def _may_stand_here(self, name: str, rows: core.Source, step: ast.Call) -> bool:
        """Live rows pass through some steps only: the others make rows for the sampling to start from."""
        live = rows.live
        if live is None or name in LIVE_STEPS or name in ("hint", "prefix", "join"):
            return True
        changes = "trained" if live.verb == "train" else "tracked"
        again = name == "sample"
        self.findings.add(
            "N130",
            "`sample` takes prompts, and these are attempts already"
            if again
            else f"`{name}` stands before the sampling, not behind it",
            [at(step.callee.span, "behind live samples"), at(live.span, f"`{live.name}` is {changes}")],
            [f"live samples can pass through {', '.join(f'`{word}`' for word in LIVE_STEPS)}"],
            [f"prompts |> sample({live.name}, n = 8)" if again else f"… |> {name}(…) |> sample({live.name}, …)"],
        )
        return False

    def _unknown(self, call: ast.Call, name: str, known: Iterable[str], code: str, what: str) -> None:
        """Reports a function that is not there, with what the user probably meant."""
        listed = tuple(known)
        guess = SYNONYMS.get(name) or closest(name, (*listed, *STEPS))
        self.findings.add(
            code,
            f"{what} is called `{name}`",
            [at(call.callee.span, "not known")],
            [] if guess else [f"there are {', '.join(f'`{word}`' for word in listed)}"],
            [_read_from_disk(call) or f"did you mean `{guess}`?"] if guess else [],
        )


FILE_READERS = {"json": "jsonl", "parquet": "parquet"}


def _read_from_disk(call: ast.Call) -> str | None:
    """``jsonl("pairs.jsonl")`` for ``load_dataset("json", data_files = "pairs.jsonl")``."""
    form, *_ = (*(text_of(each.value) for each in call.arguments), "")
    files = next((each.value for each in call.arguments if each.name and each.name.id == "data_files"), None)
    if form not in FILE_READERS or not isinstance(files, ast.String):
        return None
    return f"{FILE_READERS[form]}({files.text})"
