"""What judges a response: ``score(math + 0.1 * format_tags())``, a reward model, ``judge(model, rubric = "…")``.

An expression becomes a sum of weighted scorers. Each says which columns it reads, between which numbers its scores lie,
and what it is by name, options and version; none of that asks what a method is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.arguments import Parameter, Signature, bind
from ptc.compiler.calls import constants
from ptc.compiler.catalogue import Verifier
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.rows import check_column
from ptc.compiler.scope import Constant, ExternVerifier, Scope, Scorers
from ptc.compiler.values import Unknown, constant
from ptc.lang import ast
from ptc.lang.source import Span

JUDGE = Signature(
    "judge",
    (
        Parameter("model", "model"),
        Parameter("rubric", "text"),
        Parameter("min", "real", 0.0),
        Parameter("max", "real", 1.0),
    ),
    example='judge(model, rubric = "Is every step right?")',
)

SYNONYMS = {
    "accuracy_reward": "math",
    "math_verify": "math",
    "boxed_math": "math",
    "gsm8k": "math",
    "think_format_reward": "format_tags",
    "format_reward": "format_tags",
    "tag_count_reward": "format_tags",
    "get_soft_overlong_punishment": "overlong",
    "soft_overlong_punishment": "overlong",
    "overlong_buffer": "overlong",
    "string_match": "exact",
    "exact_match": "exact",
    "llm_judge": "judge",
    "PairRMJudge": "judge",
}
"""What other libraries call what judges."""
EXAMPLES = {
    "judge": 'judge(model, rubric = "…")',
    "format_tags": 'format_tags(tags = ["think", "answer"])',
    "overlong": "overlong(limit = 16Ki, buffer = 4Ki)",
}
"""Verifiers as a program calls them."""

WANTED = (Verifier, Scorers, ExternVerifier, core.Model, core.Role, core.Stage)

ReadModel = Callable[[ast.Expr, Scope], "core.Model | core.Role | None"]


@dataclass(frozen=True)
class Scorings:
    """Reads verifier expressions. `model` reads the model that a judge is."""

    findings: Findings
    model: ReadModel

    def read(self, expr: ast.Expr, scope: Scope, weight: float = 1.0) -> tuple[core.Scorer, ...] | None:
        """The summands of a verifier expression; None after a report."""
        match expr:
            case ast.Binary(op="+" | "-" as op, left=left, right=right):
                first = self.read(left, scope, weight)
                second = self.read(right, scope, weight if op == "+" else -weight)
                return None if first is None or second is None else (*first, *second)
            case ast.Binary(op="*", left=left, right=right):
                factor, scorer = (left, right) if _is_number(left, scope) else (right, left)
                value = constant(factor, scope)
                if isinstance(value, Unknown):
                    return None
                return self._weighted(scorer, value, factor.span, scope, weight)
            case ast.Unary(op="-", operand=operand):
                return self.read(operand, scope, -weight)
            case ast.Name():
                return self._named(expr, scope, weight)
            case ast.Call(callee=ast.Name() as callee):
                return self._called(expr, callee, scope, weight)
            case ast.Member() | ast.At():
                return self._judged_by(expr, scope, weight)
            case ast.Missing():
                return None
            case ast.List(items=items) if items:
                self.findings.add(
                    "N107",
                    "several verifiers are one sum",
                    [at(expr.span, "a list")],
                    helps=[f"score({summed(items)})"],
                )
                return None
            case _:
                self._no_verifier(expr.span)
                return None

    def _weighted(
        self, expr: ast.Expr, value: object, place: Span, scope: Scope, weight: float
    ) -> tuple[core.Scorer, ...] | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.findings.add("T105", "the weight of a verifier is a number", [at(place, "not a number")])
            return None
        return self.read(expr, scope, weight * value)

    def _no_verifier(self, span: Span) -> None:
        self.findings.add(
            "N107",
            "a verifier is needed here",
            [at(span, "not a verifier")],
            helps=["score(exact)", "score(math + 0.1 * format_tags())"],
        )

    def _named(self, name: ast.Name, scope: Scope, weight: float) -> tuple[core.Scorer, ...] | None:
        if self._called_elsewhere(name, scope):
            return None
        thing = scope.look_up(name, WANTED, "a verifier")
        match thing:
            case Verifier():
                return self._of_library(thing, Signature(thing.name, ()), None, name.span, scope, weight)
            case Scorers(scorers=scorers):
                return tuple(replace(each, weight=weight * each.weight) for each in scorers)
            case ExternVerifier():
                return (_extern(thing, name.span, weight),)
            case core.Model() | core.Role() | core.Stage():
                return self._judged_by(name, scope, weight)
            case _:
                return None

    def _called(self, call: ast.Call, callee: ast.Name, scope: Scope, weight: float) -> tuple[core.Scorer, ...] | None:
        entry = scope.find(callee.id)
        if entry is None and callee.id == "judge":
            return self._judge(call, scope, weight)
        if self._called_elsewhere(callee, scope):
            return None
        thing = scope.look_up(callee, WANTED, "a verifier")
        if isinstance(thing, Verifier):
            signature = Signature(
                thing.name, tuple(Parameter(o.name, o.kind, o.default, least=o.least) for o in thing.options)
            )
            return self._of_library(thing, signature, call, call.span, scope, weight)
        if thing is not None:
            self.findings.add(
                "N107",
                f"`{callee.id}` takes no arguments",
                [at(call.span, "called here")],
                helps=[f"score({callee.id})"],
            )
        return None

    def _called_elsewhere(self, name: ast.Name, scope: Scope) -> bool:
        """Reports a verifier that goes by another name in other libraries."""
        ours = SYNONYMS.get(name.id)
        if ours is None or scope.find(name.id) is not None or scope.may_be_unread(name.id):
            return False
        here = ours == "judge" or scope.find(ours) is not None
        example = EXAMPLES.get(ours, ours) if here else f"from std.verifiers import {ours}"
        self.findings.add(
            "N101",
            f"nothing here is called `{name.id}`",
            [at(name.span, f"called `{ours}` here")],
            helps=[example],
        )
        return True

    def _of_library(
        self,
        verifier: Verifier,
        signature: Signature,
        call: ast.Call | None,
        span: Span,
        scope: Scope,
        weight: float,
    ) -> tuple[core.Scorer, ...] | None:
        options: dict[str, Json] | None = {}
        if call is not None:
            bound = bind(signature, call.arguments, call.span, self.findings)
            options = constants(signature, bound, scope) if bound.whole else None
        else:
            options = _defaults(verifier)
            if options is None:
                missing = next(option.name for option in verifier.options if option.default is ...)
                self.findings.add(
                    "N104",
                    f"`{verifier.name}` needs `{missing}`",
                    [at(span, f"`{missing}` is not given")],
                    helps=[f"{verifier.name}({', '.join(f'{o.name} = …' for o in verifier.options)})"],
                )
        if options is None:
            return None
        empty = next((name for name, value in options.items() if value == []), None)
        if empty is not None:
            self.findings.add(
                "U204",
                f"`{empty}` of `{verifier.name}` holds at least one",
                [at(span, "the list is empty")],
                helps=[f"{verifier.name}()"],
            )
            return None
        document: dict[str, Json] = {"name": verifier.name, "options": options}
        if verifier.version > 1:
            document["version"] = verifier.version
        scorer = core.Scorer(
            "verifier",
            verifier.name,
            document,
            weight,
            span,
            columns=verifier.columns,
            least=verifier.least,
            most=verifier.most,
            marker=verifier.marker.format(**options) if verifier.marker else None,
            column_types=verifier.column_types,
            tokens=verifier.sampled,
        )
        return (scorer,)

    def _judge(self, call: ast.Call, scope: Scope, weight: float) -> tuple[core.Scorer, ...] | None:
        bound = bind(JUDGE, call.arguments, call.span, self.findings)
        options = constants(JUDGE, bound, scope)
        model = self.model(bound.given["model"], scope) if "model" in bound.given else None
        if options is None or model is None or not bound.whole:
            return None
        if options["min"] >= options["max"]:
            self.findings.add(
                "U204",
                "a judge's scores go from a smaller number to a larger one",
                [at(bound.spans.get("max", call.span), f"from {options['min']:g} to {options['max']:g}")],
                helps=["min = 0, max = 1"],
            )
            return None
        document = {"name": "judge", "options": options}
        name = model.name or "judge"
        least, most = float(options["min"]), float(options["max"])
        return (core.Scorer("judge", name, document, weight, call.span, model, (), least, most),)

    def _judged_by(self, expr: ast.Expr, scope: Scope, weight: float) -> tuple[core.Scorer, ...] | None:
        """A model that gives each text a number."""
        model = self.model(expr, scope)
        if model is None:
            return None
        if model.type.head != "reward" and _known(model):
            name = model.name or "model"
            head = "a value head" if model.type.head == "value" else "a language model's head"
            self.findings.add(
                "T120",
                f"`{name}` gives a response no score: it has {head}",
                [at(expr.span, "scores nothing"), at(model.span, f"`{name}`")],
                ["a reward model gives one number per text; a language model can judge by a rubric"],
                [f"reward_head({name})", f'judge({name}, rubric = "…")'],
            )
            return None
        document = {"name": "reward_model", "options": {}}
        scorer = core.Scorer(
            "reward_model", model.name or "reward model", document, weight, expr.span, model, (), None, None
        )
        return (scorer,)

    def fit(self, scorers: tuple[core.Scorer, ...], rows: core.Source, sampled: bool = False) -> bool:
        """Whether the rows have what the scorers read; reports what they lack. `sampled`: they will be sampled."""
        return all([self._fits(scorer, rows, sampled) for scorer in scorers])

    def _fits(self, scorer: core.Scorer, rows: core.Source, sampled: bool) -> bool:
        fits = all([check_column(column, scorer.span, rows, self.findings) for column in scorer.columns])
        fits = fits and all([self._of_type(scorer, name, wanted, rows) for name, wanted in scorer.column_types])
        if scorer.tokens and not sampled and rows.type.sampling is None and not rows.type.open:
            self.findings.add(
                "T106",
                f"`{scorer.name}` counts the tokens of responses, and these rows were not sampled",
                [at(scorer.span, "counts tokens"), at(rows.span, "the rows come from here")],
                helps=["|> sample(policy, n = 8, max_tokens = 64)"],
            )
            return False
        return fits

    def _of_type(self, scorer: core.Scorer, name: str, wanted: str, rows: core.Source) -> bool:
        """Whether a column is of the type that the scorer reads, as far as both are known."""
        found = rows.type.type_of(name)
        if found is None or found == wanted:
            return True
        self.findings.add(
            "T110",
            f"`{scorer.name}` reads `.{name}` as {wanted}, and it is {found}",
            [at(scorer.span, f"wants {wanted}"), at(rows.span, f"`.{name}` is {found}")],
        )
        return False


def summed(items: Sequence[ast.Expr]) -> str:
    """Verifiers that were listed, as the sum that they should be."""
    return " + ".join(item.id if isinstance(item, ast.Name) else "…" for item in items)


def _is_number(expr: ast.Expr, scope: Scope) -> bool:
    match expr:
        case ast.Number() | ast.Unary(operand=ast.Number()):
            return True
        case ast.Name(id=name):
            entry = scope.find(name)
            return entry is not None and isinstance(entry.thing, Constant)
        case ast.Binary(left=left, right=right):
            return _is_number(left, scope) and _is_number(right, scope)
        case _:
            return False


def _defaults(verifier: Verifier) -> dict[str, Json] | None:
    """The options of a verifier that is only named; None if one must be given."""
    if any(option.default is ... for option in verifier.options):
        return None
    return {
        option.name: list(option.default) if isinstance(option.default, tuple) else option.default
        for option in verifier.options
    }


def _extern(verifier: ExternVerifier, span: Span, weight: float) -> core.Scorer:
    bounded = verifier.result == "Bool"
    return core.Scorer(
        "extern",
        verifier.name,
        {
            "name": verifier.name,
            "options": {},
            "target": verifier.target,
            "reads": ["response", *(name for name, _ in verifier.columns)],
            "gives": verifier.result,
        },
        weight,
        span,
        columns=tuple(name for name, _ in verifier.columns),
        least=0.0 if bounded else None,
        most=1.0 if bounded else None,
        column_types=tuple((name, kind) for name, kind in verifier.columns if kind in ("Text", "Real", "Bool")),
    )


def _known(model: core.Model | core.Role) -> bool:
    """Whether the head of a model is known: what nobody has looked at may have any."""
    root = model.init if isinstance(model, core.Role) else model
    line = (root, *root.type.ancestry)
    return root.type.architecture is not None or line[-1].kind == "new_model"


def documents(scorers: tuple[core.Scorer, ...]) -> dict[str, Json]:
    """The settings of what judges with these: one plain verifier is spelled as itself."""
    first = scorers[0]
    if len(scorers) == 1 and first.kind == "verifier" and first.weight == 1:
        return {"verifier": first.document}
    return {"scorers": [{"kind": each.kind, "weight": each.weight, "verifier": each.document} for each in scorers]}


def judges(scorers: tuple[core.Scorer, ...], standing: bool) -> dict[str, core.Input]:
    """The models that judge, by the name of the input; `standing`: frozen roles are what they are bound to."""
    found: dict[str, core.Input] = {}
    for number, scorer in enumerate(scorers):
        if scorer.model is not None:
            frozen = standing and isinstance(scorer.model, core.Role) and scorer.model.verb == "freeze"
            found[f"judge{number}"] = scorer.model.init if frozen else scorer.model  # type: ignore[union-attr]
    return found


def reached(scorers: tuple[core.Scorer, ...]) -> tuple[float, float] | None:
    """The least and the most that a weighted sum of scores can be; None where one of them has no bound."""
    least = most = 0.0
    for scorer in scorers:
        if scorer.least is None or scorer.most is None:
            return None
        ends = (scorer.weight * scorer.least, scorer.weight * scorer.most)
        least, most = least + min(ends), most + max(ends)
    return least, most
