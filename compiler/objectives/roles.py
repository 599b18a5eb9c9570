"""Models of an objective: `Trained` receives gradient, `Anchor` is what the learner is held to and stands still or is
tracked, `Frozen` is any model that receives no gradient."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler.findings import Findings, at
from ptc.compiler.objectives.call import Call, Given
from ptc.lang import ast


@dataclass(frozen=True)
class Roles:
    """Checks that models are trained, frozen or tracked as an objective's signature says."""

    findings: Findings

    def fit(self, call: Call, given: Given) -> bool:
        """Whether every role does what its parameter says that it does."""
        fits = True
        for name, role in given.roles.items():
            wanted = call.types[name].name
            if wanted == "Trained" and role.verb != "train":
                fits = False
                state = "frozen" if role.verb == "freeze" else "only tracked"
                self.findings.add(
                    "R310",
                    f"`{call.name}` trains its `{name}`, and `{role.name}` is {state}",
                    [at(call.place(name), "receives gradient"), at(role.span, f"{state} here")],
                    helps=[f"train {role.name} = {role.init.name or '…'}"],
                )
            elif wanted in ("Anchor", "Frozen") and role.verb == "train":
                fits = False
                word = "reference" if wanted == "Anchor" else name
                self.findings.add(
                    "R303",
                    f"the {word} of `{call.name}` must stand still, and `{role.name}` is trained",
                    [at(call.place(name), "moves with every step"), at(role.span, "trained here")],
                    ["the loss could fall without the policy getting better"],
                    [f"freeze {name} = {role.init.name or '…'}"],
                )
        return fits

    def missing(self, call: Call, name: str, stage: ast.Stage) -> None:
        """R301: a model that was not given is needed, because a term that compares with it is not zero."""
        train = next((s for s in stage.body.statements if isinstance(s, ast.Role) and s.verb.id == "train"), None)
        labels = [at(call.span, f"needs `{name}`")]
        init = "…"
        if train is not None:
            labels.append(at(train.span, "what is trained"))
            init = train.value.id if isinstance(train.value, ast.Name) else "…"
        self.findings.add(
            "R301",
            f"`{call.name}` needs a {name} here",
            labels,
            ["a term that is not zero compares the policy with it"],
            [f"freeze {name} = {init}", f"{call.name}(…, {name} = {name})"],
        )
