"""The walk over the text of an objective, from its `let`s to its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ptc.compiler.anneal import document
from ptc.compiler.core import Anneal, Expression
from ptc.compiler.mathematics import forwards, pointwise, reductions, sequences
from ptc.compiler.mathematics.arguments import arguments
from ptc.compiler.mathematics.bindings import Bindings, Table
from ptc.compiler.mathematics.columns import (
    AXES,
    NO_NUMBERS,
    PLAIN_TEXTS,
    SAMPLE,
    TEXT_COLUMNS,
    TOKEN_COLUMNS,
    axes_of,
)
from ptc.compiler.mathematics.constants import ARITHMETIC, COMPARISONS, Constants, Let
from ptc.compiler.mathematics.forwards import Asked, Read
from ptc.compiler.mathematics.pointwise import applied, negated
from ptc.compiler.mathematics.problems import MissingModel, Problem
from ptc.compiler.mathematics.value import Value, constant
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

FORWARDS = ("logp", "logp_all", "value", "score")
RUNNING = ("suffix_sum", "suffix_min")
KNOWN = (
    *pointwise.FUNCTIONS,
    *reductions.REDUCTIONS,
    *FORWARDS,
    "entropy",
    *forwards.ESTIMATORS,
    *forwards.DIVERGENCES,
    "length",
    *RUNNING,
    "at_end",
    "gae",
    "at_batch_start",
)
"""The functions of a loss."""
SYNONYMS = {
    "log_prob": "logp",
    "log_probs": "logp",
    "logprob": "logp",
    "logps": "logp",
    "log_softmax": "logp_all",
    "clip": "clamp",
    "detach": "stop",
    "no_grad": "stop",
    "stop_gradient": "stop",
    "minimum": "min",
    "maximum": "max",
    "average": "mean",
    "logsigmoid": "log_sigmoid",
    "kl_div": "kl",
    "len": "length",
    "cumsum": "suffix_sum",
    "advantage": "gae",
    "old": "at_batch_start",
    "reward": "score",
}
"""What other libraries call them."""


def elaborate(declaration: ast.Objective, bindings: Bindings) -> Expression:
    """The loss of an objective under `bindings`: an expression without axes. Raises `Problem` or `MissingModel`."""
    lets: dict[str, Let] = {}
    for index, statement in enumerate(declaration.body.statements):
        match statement:
            case ast.Define(keyword="let", name=name, value=value):
                lets.setdefault(name.id, Let(value, index))
            case ast.Loss(value=value):
                loss = Reader(bindings, lets).read(value, index)
                _closed(loss, value.span)
                return loss.expression
            case _:
                pass
    raise Problem("L504", f"`{declaration.name.id}` has no loss", declaration.name.span, "nothing to minimize")


def opaque(declaration: ast.Extern, bindings: Bindings) -> Expression:
    """The loss of an objective that is written in Python: what it is given, and nothing of what it does with it."""
    rows = tuple(
        Expression(
            "rows", (), {"name": table.name, "columns": list(table.columns)}, frozenset(), (), bindings.read_of(table)
        )
        for table in bindings.tables.values()
    )
    given = {name: role for name, role in bindings.models.items() if role is not None}
    numbers = {name: document(number) for name, number in bindings.numbers.items()}
    fields = {"function": declaration.target.value, "roles": list(given), "numbers": numbers}
    return Expression("extern", rows, fields, frozenset(), tuple(given.values()))


def _closed(loss: Value, span: Span) -> None:
    if loss.nonlinear is not None:
        raise loss.nonlinear
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
class Reader:
    """Reads the expressions of one objective; a `let` is read where it is used, so what is dropped is never read."""

    bindings: Bindings
    lets: dict[str, Let]
    _read: dict[str, Value] = field(default_factory=dict)
    constants: Constants = field(init=False)

    def __post_init__(self) -> None:
        self.constants = Constants(self.lets, self.bindings.numbers, self.bindings.models)

    def read(self, expr: ast.Expr, before: int) -> Value:
        """The value of an expression that sees the lets `before` a place in the body."""
        known = self.constants.of(expr, before)
        if known is not None:
            return constant(known)
        match expr:
            case ast.Name():
                return self._name(expr, before)
            case ast.Column():
                return self._number_column(*self._place(expr))
            case ast.Member():
                return self._number_column(*self._place(expr))
            case ast.Unary(op="-", operand=operand):
                return negated(self.read(operand, before))
            case ast.Unary(operand=operand):
                return applied("sub", (constant(1.0), self.read(operand, before)), expr.span)
            case ast.Binary():
                return self._binary(expr, before)
            case ast.Choice():
                return self._choice(expr, before)
            case ast.Call(callee=ast.Name() as callee):
                return self._call(expr, callee, before)
            case _:
                raise Problem("T105", "this is no number", expr.span, "cannot stand in a loss")

    def _name(self, name: ast.Name, before: int) -> Value:
        let = self.lets.get(name.id)
        if let is not None and let.index < before:
            if name.id not in self._read:
                self._read[name.id] = self.read(let.value, let.index)
            return self._read[name.id]
        number = self.bindings.numbers.get(name.id)
        if isinstance(number, Anneal):
            return Value(Expression("anneal", (), {"start": number.start, "end": number.end, "steps": number.over}))
        visible = [other for other, let in self.lets.items() if let.index < before]
        if name.id in self.bindings.models:
            raise Problem(
                "T105", f"`{name.id}` is a model", name.span, "not a number", helps=(f"logp({name.id}, .response)",)
            )
        guess = closest(name.id, (*visible, *self.bindings.numbers))
        raise Problem(
            "N101",
            f"nothing here is called `{name.id}`",
            name.span,
            "not known",
            helps=(f"did you mean `{guess}`?",) if guess else (),
        )

    # Columns ----------------------------------------------------------------------------------------------------------

    def _place(self, expr: ast.Column | ast.Member) -> tuple[Table, str, Span]:
        """The source and the column that ``.reward`` or ``rollouts.reward`` names."""
        tables = self.bindings.tables
        if isinstance(expr, ast.Member):
            base = expr.base.id if isinstance(expr.base, ast.Name) else ""
            table, column, span = tables.get(base), expr.name.id, expr.span
            if table is None:
                raise Problem(
                    "N107",
                    "a source of the signature is needed before the dot",
                    expr.base.span,
                    "not one of them",
                    (f"its sources are {', '.join(f'`{name}`' for name in tables)}",),
                )
        else:
            column, span = expr.name, expr.span
            holding = [name for name, table in tables.items() if column in table.columns]
            if len(tables) > 1:
                raise Problem(
                    "T114",
                    f"`.{column}` of which source?",
                    span,
                    f"this objective has {len(tables)}",
                    helps=tuple(f"{name}.{column}" for name in holding or tables),
                )
            table = next(iter(tables.values()))
        if column not in table.columns:
            guess = closest(column, table.columns)
            raise Problem(
                "T101",
                f"the signature of this objective names no column `{column}`",
                span,
                "not in the signature",
                helps=(f"did you mean `.{guess}`?",) if guess else (f"Trajectories{{…, {column}}}",),
            )
        return table, column, span

    def _number_column(self, table: Table, column: str, span: Span) -> Value:
        stated = table.columns[column]
        if stated == "Text" or (stated is None and column in PLAIN_TEXTS):
            helps = (f"logp(policy, .{column})",) if column in TEXT_COLUMNS else ()
            raise Problem("T105", f"`.{column}` is a text", span, "not a number", helps=helps)
        if column in NO_NUMBERS:
            raise Problem("T105", f"`.{column}` is no number", span, "says where a row belongs")
        expression = Expression("column", (), {"name": column}, axes_of(column), (), self.bindings.read_of(table))
        return Value(expression, table, TOKEN_COLUMNS.get(column))

    def text(self, expr: ast.Expr, among: tuple[str, ...] = TEXT_COLUMNS) -> Read:
        """A text column of the signature."""
        if isinstance(expr, ast.Column | ast.Member):
            table, column, _ = self._place(expr)
            if column in among or (table.columns[column] == "Text" and among is not TEXT_COLUMNS):
                return Read(table, column, self.bindings.read_of(table))
        several = len(self.bindings.tables) > 1
        raise Problem(
            "T101",
            "a text column of the signature is needed here",
            expr.span,
            "not one of them",
            helps=tuple(
                f"{table.name if several else ''}.{column}"
                for table in self.bindings.tables.values()
                for column in table.columns
                if column in among
            ),
        )

    # Operators --------------------------------------------------------------------------------------------------------

    def _binary(self, expr: ast.Binary, before: int) -> Value:
        if expr.op == "*" and 0 in (self.constants.of(expr.left, before), self.constants.of(expr.right, before)):
            return constant(0.0)
        sides = (self.read(expr.left, before), self.read(expr.right, before))
        operations = ARITHMETIC | COMPARISONS | {"and": "min", "or": "max"}  # of conditions, which are 0 or 1
        return applied(operations[expr.op], sides, expr.span)

    def _choice(self, expr: ast.Choice, before: int) -> Value:
        chosen = self.constants.of(expr.condition, before)
        if chosen is None:
            raise Problem(
                "T105",
                "`if` chooses by a constant",
                expr.condition.span,
                "differs from row to row, or from step to step",
                helps=("where(condition, yes, no)",),
            )
        return self.read(expr.yes if chosen else expr.no, before)

    # Functions --------------------------------------------------------------------------------------------------------

    def _call(self, call: ast.Call, callee: ast.Name, before: int) -> Value:
        name = callee.id
        if name in reductions.REDUCTIONS and not (name in ("min", "max") and _without_over(call)):
            return self._reduction(call, name, before)
        readers: dict[str, Callable[[ast.Call, str, int], Value]] = {
            **dict.fromkeys((*pointwise.FUNCTIONS, "min", "max"), self._pointwise),
            **dict.fromkeys((*FORWARDS, "entropy"), self._forward),
            **dict.fromkeys((*forwards.ESTIMATORS, *forwards.DIVERGENCES), self._between),
            **dict.fromkeys(RUNNING, self._running),
            "length": self._length,
            "at_end": self._at_end,
            "gae": self._gae,
        }
        if name in readers:
            return readers[name](call, name, before)
        if name == "at_batch_start":
            raise Problem("T105", "this is a model", call.span, "not a number", helps=("logp(at_batch_start(…), …)",))
        guess = SYNONYMS.get(name) or closest(name, KNOWN)
        raise Problem(
            "N101",
            f"no function of a loss is called `{name}`",
            callee.span,
            "not known",
            () if guess else (f"there are {', '.join(KNOWN)}",),
            (f"did you mean `{guess}`?",) if guess else (),
        )

    def _pointwise(self, call: ast.Call, name: str, before: int) -> Value:
        args = tuple(self.read(argument.value, before) for argument in call.arguments if argument.name is None)
        wanted = pointwise.FUNCTIONS.get(name)
        if len(args) != wanted if wanted is not None else len(args) < 2:
            count = "two or more arguments" if wanted is None else f"{wanted} argument{'s' * (wanted > 1)}"
            raise Problem("N104", f"`{name}` takes {count}", call.span, f"{len(args)} given")
        arguments(call, name, tuple("" for _ in args), (), "")
        return applied(name, args, call.span)

    def _reduction(self, call: ast.Call, name: str, before: int) -> Value:
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
        arguments(call, name, ("a value",), ("over",), "")
        return reductions.reduced(name, self.read(positional[0], before), over, call.span)

    def _forward(self, call: ast.Call, name: str, before: int) -> Value:
        named = ("like", "given", "temperature") if name in ("logp", "logp_all", "entropy") else ("given",)
        example = f"{name}({'critic' if name == 'value' else 'policy'}, .response)"
        given = arguments(call, name, ("a model", "a text column"), named, example)
        model, text = self.model(given.given[0]), self._qualified(self.text(given.given[1]), given.named, before)
        if name == "entropy":
            return forwards.entropy(model, text, call.span)
        return forwards.asked(name, model, text)

    def _between(self, call: ast.Call, name: str, before: int) -> Value:
        """How far two models are apart on a text."""
        models, column = ("two models", "", "a text column"), ".response"
        named = ("like", "temperature", *(("beta",) if name == "jsd" else ()))
        if len([a for a in call.arguments if a.name is None]) != len(models):
            raise Problem(
                "N104",
                f"`{name}` takes two models and a text column",
                call.span,
                f"{len([a for a in call.arguments if a.name is None])} given",
                helps=(f"{name}(policy, reference, {column})",),
            )
        given = arguments(call, name, models, named, "")
        first, second = self.model(given.given[0]), self.model(given.given[1])
        text = self._qualified(self.text(given.given[2]), given.named, before)
        if name == "kl":
            return forwards.divergence(first, second, text, call.span)
        if name == "jsd":
            beta = self.read(given.named["beta"], before) if "beta" in given.named else constant(0.5)
            return forwards.jensen_shannon(first, second, text, beta, call.span)
        return forwards.estimator(name, first, second, text, call.span)

    def _qualified(self, text: Read, named: Mapping[str, ast.Expr], before: int) -> Read:
        """A text with the temperature and the context that the model sees it under."""
        temperature = 1.0
        if "temperature" in named:
            temperature = self._setting(named["temperature"], before, "temperature")
        elif "like" in named:
            temperature = self._temperature_of(named["like"])
        given = None
        if "given" in named:
            given = self.text(named["given"], tuple(c for c in text.table.columns if c in PLAIN_TEXTS)).column
        return Read(text.table, text.column, text.source, temperature, given)

    def _temperature_of(self, like: ast.Expr) -> float:
        """The temperature under which a column of log-probabilities was sampled."""
        table, column, span = self._place(like) if isinstance(like, ast.Column | ast.Member) else (None, "", like.span)
        if table is None or column not in TOKEN_COLUMNS:
            raise Problem("T101", "`like` names a column of log-probabilities", span, "not one", helps=(".logprobs",))
        sampling = table.source.type.sampling
        return sampling.temperature if sampling is not None else 1.0

    def _setting(self, expr: ast.Expr, before: int, name: str) -> float:
        value = self.constants.of(expr, before)
        if value is None:
            raise Problem("T105", f"`{name}` is a constant", expr.span, "depends on data, on a model or on the step")
        return value

    def _running(self, call: ast.Call, name: str, before: int) -> Value:
        named = ("discount",) if name == "suffix_sum" else ()
        given = arguments(call, name, ("a value per token or per step",), named, f"{name}(at_end(.reward))")
        fields: dict[str, object] = {}
        if name == "suffix_sum":
            fields["discount"] = (
                self._setting(given.named["discount"], before, "discount") if "discount" in given.named else 1.0
            )
        return sequences.running(name, self.read(given.given[0], before), call.span, fields)

    def _length(self, call: ast.Call, name: str, before: int) -> Value:
        given = arguments(call, name, ("a text column",), (), "length(.response)")
        return forwards.length(self.text(given.given[0]))

    def _at_end(self, call: ast.Call, name: str, before: int) -> Value:
        given = arguments(call, name, ("one value per sample or per step",), ("of",), "at_end(.reward)")
        value = self.read(given.given[0], before)
        if "of" in given.named:
            return sequences.at_end(value, self.text(given.named["of"]).column, call.span)
        texts = [column for column in (value.table.columns if value.table else ()) if column in TEXT_COLUMNS]
        if len(texts) > 1 and "response" not in texts:
            help_ = f"of = .{texts[0]}"
            raise Problem("N104", "the end of which text?", call.span, "`of` is not given", helps=(help_,))
        return sequences.at_end(value, "response" if "response" in texts or not texts else texts[0], call.span)

    def _gae(self, call: ast.Call, name: str, before: int) -> Value:
        example = "gae(at_end(.reward), value(critic, .response), discount = 1, lambda = 0.95)"
        given = arguments(call, name, ("a reward", "a value per token"), ("discount", "lambda"), example)
        discount, trace = (
            self._setting(given.named[word], before, word) if word in given.named else usual
            for word, usual in (("discount", 1.0), ("lambda", 0.95))
        )
        reward, value = (self.read(expr, before) for expr in given.given)
        return sequences.generalised_advantage(reward, value, discount, trace, call.span)

    # Models -----------------------------------------------------------------------------------------------------------

    def model(self, expr: ast.Expr) -> Asked:
        """A model of the signature, as it is or as it was when the batch was drawn."""
        at_start = isinstance(expr, ast.Call) and isinstance(expr.callee, ast.Name)
        if isinstance(expr, ast.Call) and at_start and expr.callee.id == "at_batch_start":  # type: ignore[union-attr]
            inner = arguments(expr, "at_batch_start", ("a model",), (), "at_batch_start(policy)").given[0]
            asked = self.model(inner)
            return Asked(asked.role, asked.parameter, asked.role.verb == "train", expr.span)
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
        return Asked(role, name, False, expr.span)


def _without_over(call: ast.Call) -> bool:
    return all(argument.name is None or argument.name.id != "over" for argument in call.arguments)
