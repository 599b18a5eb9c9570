"""`merge([a, b], method = "ties", …)`: one model from several, by a formula over their weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ptc.compiler import core
from ptc.compiler.arguments import Bound, Parameter, Signature
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import constants
from ptc.compiler.graph import Json
from ptc.compiler.meaning import same_tokenizer
from ptc.compiler.scope import Scope
from ptc.compiler.values import Unknown, constant
from ptc.lang import ast

if TYPE_CHECKING:
    from ptc.compiler.models import Models

METHODS = {
    "linear": ("weights",),
    "slerp": ("t", "base"),
    "task_arithmetic": ("weights", "base", "scale"),
    "ties": ("weights", "base", "density", "scale"),
    "dare": ("weights", "base", "density", "scale"),
}
"""The arguments that each method reads."""
AROUND = ("task_arithmetic", "ties", "dare")
"""Methods that work on differences from a base. On the sphere (`slerp`) one may be named: WARP turns differences."""

MERGE = Signature(
    "merge",
    (
        Parameter("models", "models"),
        Parameter("method", "text", "linear", choices=tuple(METHODS)),
        Parameter("weights", "weights", None),
        Parameter("base", "model", None),
        Parameter("t", "real", 0.5, least=0, most=1),
        Parameter("density", "real", 1.0, least=0, most=1),
        Parameter("scale", "real", 1.0),
    ),
)
_CONSTANT = Signature("merge", tuple(p for p in MERGE.parameters if p.kind in ("text", "real")))


@dataclass(frozen=True)
class Merging:
    """Elaborates merges."""

    findings: Findings
    models: Models

    def merge(self, call: ast.Call, bound: Bound, scope: Scope) -> core.Model | None:
        """The merged model; None after a report."""
        merged = self._models(bound.given.get("models"), scope)
        settings = constants(_CONSTANT, bound, scope)
        base = self._base(bound, scope)
        if merged is None or settings is None or base is False or not bound.whole:
            return None
        method = settings["method"]
        if not self._arguments_fit(call, bound, method) or not self._heads_fit(call, merged):
            return None
        weights = self._weights(bound, merged, method, scope)
        if weights is None or (method == "slerp" and not self._two(bound, merged)):
            return None
        read = METHODS[method]
        document: dict[str, Json] = {"method": method, **{key: settings[key] for key in read if key in settings}}
        if "weights" in read:
            document["weights"] = weights
        if method == "dare":
            document["seed"] = 0
        inputs: dict[str, core.Input] = {str(number): model for number, model in enumerate(merged)}
        if isinstance(base, core.Model):
            inputs["base"] = base
        return core.Model("merge", document, inputs, _type_of(merged), call.span, places=dict(bound.spans))

    def _models(self, expr: ast.Expr | None, scope: Scope) -> list[core.Model] | None:
        if expr is None or isinstance(expr, ast.Missing):
            return None
        if not isinstance(expr, ast.List) or len(expr.items) < 2:
            self.findings.add(
                "N107",
                "`merge` takes a list of at least two models",
                [at(expr.span, "nothing to merge with" if isinstance(expr, ast.List) else "not a list")],
                helps=["merge([first, second])"],
            )
            return None
        found = [self.models.model(item, scope) for item in expr.items]
        whole = [model for model in found if model is not None]
        return whole if len(whole) == len(found) else None

    def _base(self, bound: Bound, scope: Scope) -> core.Model | bool | None:
        """The model that differences are taken from; False after a report."""
        given = bound.given.get("base")
        if given is None or (isinstance(given, ast.Name) and given.id == "none"):
            return None
        return self.models.model(given, scope) or False

    def _arguments_fit(self, call: ast.Call, bound: Bound, method: str) -> bool:
        """Whether the method has the arguments that it needs, and reads all that were given."""
        fits = True
        read = METHODS[method]
        for name in bound.given:
            if name in ("models", "method", *read):
                continue
            readers = [f'"{other}"' for other, names in METHODS.items() if name in names]
            self.findings.add(
                "N123",
                f'`{name}` changes nothing in a merge by "{method}"',
                [at(bound.spans[name], "read by nobody")],
                [f"it is read by {', '.join(readers)}"],
                [f"method = {readers[0]}"],
            )
            fits = False
        if method in AROUND and "base" not in bound.given:
            self.findings.add(
                "N104",
                f'a merge by "{method}" needs `base`, the model that differences are taken from',
                [at(call.span, "`base` is not given")],
                helps=["base = …"],
            )
            fits = False
        return fits

    def _heads_fit(self, call: ast.Call, merged: list[core.Model]) -> bool:
        odd = next((model for model in merged[1:] if model.type.head != merged[0].type.head), None)
        if odd is None:
            return True
        first = merged[0]
        self.findings.add(
            "N107",
            f"a merge of a {first.type.head} model and a {odd.type.head} model is neither",
            [
                at(call.span, "merged here"),
                at(first.span, f"a {first.type.head} model"),
                at(odd.span, f"a {odd.type.head} model"),
            ],
        )
        return False

    def _two(self, bound: Bound, merged: list[core.Model]) -> bool:
        if len(merged) == 2:
            return True
        self.findings.add(
            "N107",
            f'a merge by "slerp" is between two models, and here are {len(merged)}',
            [at(bound.given["models"].span, f"{len(merged)} models")],
            helps=['method = "linear"'],
        )
        return False

    def _weights(self, bound: Bound, merged: list[core.Model], method: str, scope: Scope) -> list[float] | None:
        """One number per model: equal shares of a mean, 1 for each difference, unless the program says otherwise."""
        given = bound.given.get("weights")
        if given is None or (isinstance(given, ast.Name) and given.id == "none"):
            return [1 / len(merged)] * len(merged) if method == "linear" else [1.0] * len(merged)
        items = given.items if isinstance(given, ast.List) else ()
        values = [constant(item, scope) for item in items]
        if any(isinstance(value, Unknown) for value in values):
            return None
        numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) != len(merged):
            self._not_one_each(bound, merged, numbers, given)
            return None
        if method == "linear" and abs(sum(numbers) - 1) > 1e-6:
            total = sum(numbers)
            shares = ", ".join(f"{number / total:.3g}" for number in numbers) if total else "…"
            self.findings.add(
                "U204",
                f"the weights of a mean add up to 1, and these to {total:g}",
                [at(given.span, "not a mean")],
                helps=[f"weights = [{shares}]"],
            )
            return None
        return numbers

    def _not_one_each(self, bound: Bound, merged: list[core.Model], numbers: list[float], given: ast.Expr) -> None:
        wanted = ", ".join(f"{1 / len(merged):.3g}" for _ in merged)
        counted = "1 weight" if len(numbers) == 1 else f"{len(numbers)} weights"
        self.findings.add(
            "N125",
            f"{len(merged)} models and {counted}" if isinstance(given, ast.List) else "weights are a list",
            [at(given.span, "one number per model"), at(bound.given["models"].span, f"{len(merged)} models")],
            helps=[f"weights = [{wanted}]"],
        )


def _type_of(merged: list[core.Model]) -> core.ModelType:
    """What the merged model is: the first one's kind, the ancestry of all, nearest first and each once."""
    first = merged[0]
    found = [*merged, *(ancestor for model in merged for ancestor in model.type.ancestry)]
    ancestry = tuple(reversed(list(dict.fromkeys(reversed(found)))))
    same = all(same_tokenizer(first.type.tokenizer, model.type.tokenizer) for model in merged[1:])
    return replace(
        first.type,
        tokenizer=first.type.tokenizer if same else None,
        ancestry=ancestry,
        aligned=any(model.type.aligned for model in merged),
    )
