"""Models inside a stage: `train` receives gradient, `freeze` stands still, `track` follows what is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.arguments import Parameter, Signature, bind
from ptc.compiler.drafts import Draft
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import constants, dotted
from ptc.compiler.models import Models
from ptc.compiler.scope import Entry, Poison
from ptc.lang import ast
from ptc.lang.suggest import closest

TRACKING = {
    "ema": Signature("ema", (Parameter("role", "model"), Parameter("decay", "real", least=0, most=1))),
    "reset": Signature("reset", (Parameter("role", "model"), Parameter("every", "steps", least=1))),
}
EXAMPLES = ["track target = ema(policy, 0.99)", "track reference = reset(policy, every = 400 steps)"]


@dataclass(frozen=True)
class Roles:
    """Elaborates the roles of a stage."""

    findings: Findings
    models: Models

    def role(self, draft: Draft, statement: ast.Role) -> None:
        """Adds a role to the draft, or poisons its name."""
        verb = statement.verb.id
        tracking = self._tracking(draft, statement.value) if verb == "track" else None
        init = tracking.follows.init if tracking else None
        if verb != "track":
            init = self.models.model(statement.value, draft.scope)
        if init is None:
            draft.sound = False
            draft.scope.entries.setdefault(statement.name.id, Entry(Poison(), statement.name.span))
            return
        role = core.Role(verb, statement.name.id, init, statement.span, draft.name, tracking)
        draft.roles.append(role)
        self.findings.typed.append(role)
        draft.scope.declare(statement.name, role)

    def _tracking(self, draft: Draft, expr: ast.Expr) -> core.Tracking | None:
        """``ema(policy, 0.99)`` or ``reset(policy, every = 400 steps)``."""
        kind = dotted(expr.callee) if isinstance(expr, ast.Call) else ""
        if not isinstance(expr, ast.Call) or kind not in TRACKING:
            if not isinstance(expr, ast.Missing):
                self._no_tracking(kind, expr)
            return None
        bound = bind(TRACKING[kind], expr.arguments, expr.span, self.findings)
        follows = self._followed(bound.given["role"], draft) if "role" in bound.given else None
        settings = constants(TRACKING[kind], bound, draft.scope)
        if follows is None or settings is None or not bound.whole:
            return None
        if settings.get("every") == 0:
            place = bound.given["every"].span
            self.findings.add("U204", "`every` must be at least 1 step", [at(place, "would never be done")])
            return None
        return core.Tracking(kind, follows, settings.get("decay"), settings.get("every"))

    def _no_tracking(self, kind: str, expr: ast.Expr) -> None:
        guess = closest(kind, TRACKING) if kind else None
        self.findings.add(
            "N101" if kind else "N107",
            f"no way to track a model is called `{kind}`" if kind else "`track` says how a model follows another",
            [at(expr.span, "not a way to follow")],
            helps=[f"did you mean `{guess}`?"] if guess else EXAMPLES,
        )

    def _followed(self, expr: ast.Expr, draft: Draft) -> core.Role | None:
        """The trained role of this stage that is followed."""
        entry = draft.scope.find(expr.id) if isinstance(expr, ast.Name) else None
        if isinstance(expr, ast.Name) and draft.scope.is_unreadable(expr.id):
            return None
        if entry is not None and isinstance(entry.thing, core.Role) and entry.thing.verb == "train":
            return entry.thing
        names = [role.name for role in draft.trained]
        word = expr.id if isinstance(expr, ast.Name) else "this"
        labels = [at(expr.span, "not trained in this stage")]
        if entry is not None:
            labels.append(at(entry.span, f"`{word}` stands still" if word != "this" else ""))
        self.findings.add(
            "N107",
            "`track` follows a role that this stage trains",
            labels,
            helps=[f"did you mean `{name}`?" for name in names[:1]] if names else ["train policy = …"],
        )
        return None


def results(draft: Draft) -> dict[str, core.Model]:
    """What each trained or tracked role has become, by the role's name."""
    moving = [role for role in draft.roles if role.verb != "freeze"]
    alone = len(draft.trained) == 1
    return {role.name: _result(draft, role, alone and role.verb == "train") for role in moving}


def _result(draft: Draft, role: core.Role, alone: bool) -> core.Model:
    """The model that a role leaves behind: it inherits everything but its weights."""
    kind = replace(role.type, ancestry=(role.init, *role.init.type.ancestry))
    name = draft.name if alone else f"{draft.name}.{role.name}"
    settings = {} if alone else {"role": role.name}
    return core.Model("train", settings, {"init": role.init}, kind, draft.declaration.name.span, name)
