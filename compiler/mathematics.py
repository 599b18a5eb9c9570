"""The mathematics of an objective: from its text to one typed expression over named axes.

Every value knows its axes. ``over`` names the axes that a reduction removes; the rest broadcasts by name. A term
whose factor is the constant 0 is dropped before it is looked at, so that ``kl = 0`` needs no reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.core import Expression
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

SAMPLE = frozenset({"prompt", "group"})
AXES = ("prompt", "group", "token", "vocab", "sample")
POINTWISE = {
    "exp": 1,
    "log": 1,
    "log1p": 1,
    "sqrt": 1,
    "abs": 1,
    "sigmoid": 1,
    "log_sigmoid": 1,
    "stop": 1,
    "clamp": 3,
    "min": 2,
    "max": 2,
}
REDUCTIONS = ("mean", "sum", "std")
FORWARDS = ("logp", "logp_all")
ESTIMATORS = ("k1", "k2", "k3")
ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
TOKEN_COLUMNS = {"logprobs": "response"}
"""Columns with one number per token, and the column whose tokens they stand beside."""
TEXT_COLUMNS = ("response", "chosen", "rejected")
LINEAR = ("add", "sub", "neg", "mean", "sum", "stop")
KNOWN = (*POINTWISE, *REDUCTIONS, *FORWARDS, *ESTIMATORS)
SYNONYMS = {
    "log_prob": "logp",
    "log_probs": "logp",
    "logprob": "logp",
    "log_softmax": "logp_all",
    "clip": "clamp",
    "detach": "stop",
    "no_grad": "stop",
    "stop_gradient": "stop",
    "minimum": "min",
    "maximum": "max",
    "average": "mean",
    "logsigmoid": "log_sigmoid",
    "kl": "k3",
}
"""What other libraries call the functions of a loss."""


@dataclass(eq=False)
class Problem(Exception):
    """What is wrong with an expression; the caller knows where the reader should be sent."""

    code: str
    title: str
    span: Span
    label: str
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()


@dataclass(eq=False)
class MissingModel(Exception):
    """A model that was not given is needed after all."""

    name: str
    span: Span


@dataclass(frozen=True)
class Bindings:
    """What the parameters of an objective are bound to at one call."""

    source: core.Source
    columns: tuple[str, ...]
    models: Mapping[str, core.Role | None]
    numbers: Mapping[str, float]


def constant(value: float) -> Expression:
    return Expression("constant", (), {"value": float(value)})


def elaborate(declaration: ast.Objective, bindings: Bindings) -> Expression:
    """The loss of an objective under `bindings`: an expression without axes. Raises `Problem` or `MissingModel`."""
    reader = _Reader(bindings, {})
    loss: Expression | None = None
    for statement in declaration.body.statements:
        match statement:
            case ast.Define(keyword="let", name=name, value=value):
                reader.lets[name.id] = value
            case ast.Loss(value=value):
                loss = reader.read(value)
                _closed(loss, value.span)
            case _:
                pass
    if loss is None:
        raise Problem("L504", f"`{declaration.name.id}` has no loss", declaration.name.span, "nothing to minimize")
    return loss


def _closed(loss: Expression, span: Span) -> None:
    if loss.axes:
        left = sorted(loss.axes - SAMPLE, key=AXES.index) + ["sample"] * bool(loss.axes & SAMPLE)
        raise Problem(
            "T103",
            f"the loss still has one value per {' and '.join(left)}",
            span,
            "not one number",
            ("a loss is one number per optimizer step: every axis must be reduced",),
            (f"mean(…, over = {left[0] if len(left) == 1 else '[' + ', '.join(left) + ']'})",),
        )


@dataclass
class _Reader:
    """Reads the expressions of one objective; a `let` is read where it is used, so what is dropped is never read."""

    bindings: Bindings
    lets: dict[str, ast.Expr]

    def read(self, expr: ast.Expr) -> Expression:
        match expr:
            case ast.Number(value=value, unit=unit):
                return constant(value / 100 if unit == "%" else value)
            case ast.Name():
                return self._name(expr)
            case ast.Column():
                return self._column(expr)
            case ast.Unary(op="-", operand=operand):
                return _negated(self.read(operand))
            case ast.Binary(op=op) if op in ARITHMETIC:
                return self._binary(expr)
            case ast.Call(callee=ast.Name() as callee):
                return self._call(expr, callee)
            case _:
                raise Problem("T105", "this is no number", expr.span, "cannot stand in a loss")

    def _name(self, name: ast.Name) -> Expression:
        if name.id in self.lets:
            return self.read(self.lets[name.id])
        if name.id in self.bindings.numbers:
            return constant(self.bindings.numbers[name.id])
        known = (*self.lets, *self.bindings.numbers)
        guess = closest(name.id, known)
        raise Problem(
            "N101",
            f"nothing here is called `{name.id}`",
            name.span,
            "not known",
            helps=(f"did you mean `{guess}`?",) if guess else (),
        )

    def _column(self, column: ast.Column) -> Expression:
        name = column.name
        if name not in self.bindings.columns:
            guess = closest(name, self.bindings.columns)
            raise Problem(
                "T101",
                f"the signature of this objective names no column `{name}`",
                column.span,
                "not in the signature",
                helps=(f"did you mean `.{guess}`?",) if guess else (f"Trajectories{{…, {name}}}",),
            )
        if name in ("prompt", *TEXT_COLUMNS):
            raise Problem(
                "T105", f"`.{name}` is a text", column.span, "not a number", helps=(f"logp(policy, .{name})",)
            )
        axes = SAMPLE | {"token"} if name in TOKEN_COLUMNS else SAMPLE
        return Expression("column", (), {"name": name}, axes)

    def _binary(self, expr: ast.Binary) -> Expression:
        left = self.read(expr.left)
        if expr.op == "*" and left.constant == 0:
            return left
        right = self.read(expr.right)
        return self._combined(ARITHMETIC[expr.op], (left, right), expr.span)

    def _combined(self, op: str, args: tuple[Expression, ...], span: Span) -> Expression:
        """A pointwise operation: constants are folded, axes joined."""
        folded = _folded(op, [arg.constant for arg in args])
        if folded is not None:
            return constant(folded)
        simpler = _simplified(op, args)
        if simpler is not None:
            return simpler
        columns = {column for arg in args if (column := token_column(arg))}
        if len(columns) > 1:
            raise Problem(
                "T104",
                f"tokens of {' and '.join(f'`.{column}`' for column in sorted(columns))} do not line up",
                span,
                "two different token axes",
                helps=("reduce each over `token` first:  sum(…, over = token)",),
            )
        if op not in LINEAR and any(_reduced(arg) for arg in args) and not _scaled_only(op, args):
            raise Problem(
                "T107",
                "this is not linear in a mean over the batch that carries gradient",
                span,
                "would depend on how the batch is split",
                ("a mean over prompts or samples is taken piece by piece; only a linear use of it has one meaning",),
                ("stop(…)",),
            )
        return Expression(op, args, {}, frozenset().union(*(arg.axes for arg in args)))

    def _call(self, call: ast.Call, callee: ast.Name) -> Expression:
        name = callee.id
        if name in POINTWISE:
            return self._pointwise(call, name)
        if name in REDUCTIONS:
            return self._reduction(call, name)
        if name in FORWARDS:
            return self._forward(call, name)
        if name in ESTIMATORS:
            return self._estimator(call, name)
        guess = closest(name, KNOWN) or SYNONYMS.get(name)
        raise Problem(
            "N101",
            f"no function of a loss is called `{name}`",
            callee.span,
            "not known",
            () if guess else (f"there are {', '.join(KNOWN)}",),
            (f"did you mean `{guess}`?",) if guess else (),
        )

    def _pointwise(self, call: ast.Call, name: str) -> Expression:
        args = tuple(self.read(argument.value) for argument in call.arguments if argument.name is None)
        wanted = POINTWISE[name]
        if len(args) != wanted:
            raise Problem("N104", f"`{name}` takes {wanted} argument(s)", call.span, f"{len(args)} given")
        return self._combined(name, args, call.span)

    def _reduction(self, call: ast.Call, name: str) -> Expression:
        positional = [argument.value for argument in call.arguments if argument.name is None]
        over = next((a.value for a in call.arguments if a.name is not None and a.name.id == "over"), None)
        if len(positional) != 1 or over is None:
            raise Problem(
                "N104",
                f"`{name}` takes a value and the axes to remove",
                call.span,
                "`over` is not given" if over is None else "one value is needed",
                helps=(f"{name}(…, over = token)",),
            )
        value = self.read(positional[0])
        if value.constant is not None and name != "sum":
            return constant(value.constant if name == "mean" else 0.0)
        removed = self._axes(over, value)
        fields: dict[str, object] = {"over": sorted(removed)}
        column = token_column(value)
        if column is not None:
            fields["tokens"] = column
        if name == "std" and _carries_gradient(value) and removed & SAMPLE:
            raise Problem(
                "T107", "a deviation over the batch cannot carry gradient", call.span, "not linear", helps=("stop(…)",)
            )
        return Expression(name, (value,), fields, value.axes - removed)

    def _axes(self, over: ast.Expr, value: Expression) -> frozenset[str]:
        """The axes that `over` removes; each must be there."""
        items = over.items if isinstance(over, ast.List) else (over,)
        removed: set[str] = set()
        for item in items:
            if not isinstance(item, ast.Name) or item.id not in AXES:
                guess = closest(item.id, AXES) if isinstance(item, ast.Name) else None
                raise Problem(
                    "T104",
                    "`over` names axes",
                    item.span,
                    "not an axis",
                    (f"the axes are {', '.join(AXES)}",),
                    (f"did you mean `{guess}`?",) if guess else (),
                )
            axes = SAMPLE if item.id == "sample" else frozenset({item.id})
            if not axes & value.axes:
                left = ", ".join(sorted(value.axes, key=AXES.index)) or "none"
                raise Problem(
                    "T104",
                    f"there is no `{item.id}` axis left to remove",
                    item.span,
                    "not there (any more)",
                    (f"the value has these axes: {left}",),
                    (f"leave `{item.id}` out of `over`",),
                )
            removed |= axes & value.axes
        return frozenset(removed)

    def _forward(self, call: ast.Call, name: str) -> Expression:
        positional = [argument.value for argument in call.arguments if argument.name is None]
        if len(positional) != 2:
            raise Problem(
                "N104",
                f"`{name}` takes a model and a text column",
                call.span,
                f"{len(positional)} given",
                helps=(f"{name}(policy, .response)",),
            )
        role = self._model(positional[0])
        column = self._text(positional[1])
        like = next((a.value for a in call.arguments if a.name is not None and a.name.id == "like"), None)
        temperature = self._temperature() if like is not None else 1.0
        axes = SAMPLE | {"token"} | ({"vocab"} if name == "logp_all" else set())
        return Expression(name, (), {"column": column, "temperature": temperature}, axes, (role,))

    def _estimator(self, call: ast.Call, name: str) -> Expression:
        """Schulman's estimators of KL(policy || reference) on the policy's own tokens: k1, k2, k3."""
        positional = [argument.value for argument in call.arguments if argument.name is None]
        if len(positional) != 3:
            raise Problem(
                "N104",
                f"`{name}` takes two models and a text column",
                call.span,
                f"{len(positional)} given",
                helps=(f"{name}(policy, reference, .response)",),
            )
        column = self._text(positional[2])
        axes = SAMPLE | {"token"}
        fields = {"column": column, "temperature": 1.0}
        own = Expression("logp", (), fields, axes, (self._model(positional[0]),))
        other = Expression("logp", (), fields, axes, (self._model(positional[1]),))
        q = Expression("sub", (other, own), {}, axes)
        match name:
            case "k1":
                return _negated(q)
            case "k2":
                square = Expression("mul", (q, q), {}, axes)
                return Expression("mul", (constant(0.5), square), {}, axes)
            case _:
                grown = Expression("sub", (Expression("exp", (q,), {}, axes), q), {}, axes)
                return Expression("sub", (grown, constant(1.0)), {}, axes)

    def _model(self, expr: ast.Expr) -> core.Role:
        name = expr.id if isinstance(expr, ast.Name) else ""
        if name not in self.bindings.models:
            raise Problem(
                "N107",
                "a model of the signature is needed here",
                expr.span,
                "not one of them",
                (f"its models are {', '.join(f'`{name}`' for name in self.bindings.models)}",),
            )
        role = self.bindings.models[name]
        if role is None:
            raise MissingModel(name, expr.span)
        return role

    def _text(self, expr: ast.Expr) -> str:
        if isinstance(expr, ast.Column) and expr.name in TEXT_COLUMNS and expr.name in self.bindings.columns:
            return expr.name
        fitting = [column for column in TEXT_COLUMNS if column in self.bindings.columns]
        raise Problem(
            "T101",
            "a text column of the signature is needed here",
            expr.span,
            "not one of them",
            helps=tuple(f".{column}" for column in fitting),
        )

    def _temperature(self) -> float:
        sampling = self.bindings.source.type.sampling
        return sampling.temperature if sampling is not None else 1.0


def token_column(value: Expression) -> str | None:
    """The text column whose tokens the `token` axis of a value runs over."""
    if "token" not in value.axes:
        return None
    if value.op in FORWARDS:
        return str(value.fields["column"])
    if value.op == "column":
        return TOKEN_COLUMNS[str(value.fields["name"])]
    return next(column for arg in value.args if (column := token_column(arg)))


def _negated(value: Expression) -> Expression:
    if value.constant is not None:
        return constant(-value.constant)
    return Expression("neg", (value,), {}, value.axes)


_FOLD: Mapping[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "min": min,
    "max": max,
}


def _folded(op: str, values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if op == "div":
        return known[0] / known[1] if known[1] else None
    return _FOLD[op](*known) if op in _FOLD else None


def _simplified(op: str, args: tuple[Expression, ...]) -> Expression | None:
    """What is left of a sum with 0, or of a product with 0 or 1."""
    if op not in ("add", "sub", "mul"):
        return None
    left, right = args
    if op == "mul":
        if 0 in (left.constant, right.constant):
            return constant(0.0)
        return right if left.constant == 1 else left if right.constant == 1 else None
    if right.constant == 0:
        return left
    if left.constant == 0:
        return right if op == "add" else _negated(right)
    return None


def _carries_gradient(value: Expression) -> bool:
    """Whether a trained role is read below, outside `stop`."""
    if value.op == "stop":
        return False
    if value.op in FORWARDS:
        return any(role.verb == "train" for role in value.models)
    return any(_carries_gradient(arg) for arg in value.args)


def _reduced(value: Expression) -> bool:
    """Whether a reduction over the batch that carries gradient stands below, outside `stop`."""
    if value.op == "stop":
        return False
    over = frozenset(value.fields.get("over", ()))
    if over & SAMPLE and _carries_gradient(value):
        return True
    return any(_reduced(arg) for arg in value.args)


def _scaled_only(op: str, args: tuple[Expression, ...]) -> bool:
    """A product with, or a quotient by, something that carries no gradient is linear."""
    if op == "mul":
        return not all(_carries_gradient(arg) for arg in args)
    return op == "div" and not _carries_gradient(args[1])
