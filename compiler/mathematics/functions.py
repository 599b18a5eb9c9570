"""The functions of a loss: which there are, what each is called with, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ptc.compiler.mathematics import forwards, pointwise, reductions, sequences
from ptc.compiler.mathematics.arguments import arguments
from ptc.compiler.mathematics.columns import PLAIN_TEXTS, TEXT_COLUMNS, TOKEN_COLUMNS
from ptc.compiler.mathematics.forwards import Read
from ptc.compiler.mathematics.pointwise import applied
from ptc.compiler.mathematics.problems import Problem
from ptc.compiler.mathematics.value import Value, constant
from ptc.lang import ast
from ptc.lang.suggest import closest

if TYPE_CHECKING:
    from ptc.compiler.mathematics.reader import Reader

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
    "uld": "transport",
    "wasserstein": "transport",
    "len": "length",
    "cumsum": "suffix_sum",
    "advantage": "gae",
    "old": "at_batch_start",
    "reward": "score",
}
"""What other libraries call them."""


def called(reader: Reader, call: ast.Call, callee: ast.Name, before: int) -> Value:
    name = callee.id
    if name in reductions.REDUCTIONS and not (name in ("min", "max") and _without_over(call)):
        return _reduction(reader, call, name, before)
    readers: dict[str, Callable[[Reader, ast.Call, str, int], Value]] = {
        **dict.fromkeys((*pointwise.FUNCTIONS, "min", "max"), _pointwise),
        **dict.fromkeys((*FORWARDS, "entropy"), _forward),
        **dict.fromkeys((*forwards.ESTIMATORS, *forwards.DIVERGENCES), _between),
        **dict.fromkeys(RUNNING, _running),
        "length": _length,
        "at_end": _at_end,
        "gae": _gae,
    }
    if name in readers:
        return readers[name](reader, call, name, before)
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


def _pointwise(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
    args = tuple(reader.read(argument.value, before) for argument in call.arguments if argument.name is None)
    wanted = pointwise.FUNCTIONS.get(name)
    if len(args) != wanted if wanted is not None else len(args) < 2:
        count = "two or more arguments" if wanted is None else f"{wanted} argument{'s' * (wanted > 1)}"
        raise Problem("N104", f"`{name}` takes {count}", call.span, f"{len(args)} given")
    arguments(call, name, tuple("" for _ in args), (), "")
    return applied(name, args, call.span)


def _reduction(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
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
    return reductions.reduced(name, reader.read(positional[0], before), over, call.span)


def _forward(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
    named = ("like", "given", "temperature") if name in ("logp", "logp_all", "entropy") else ("given",)
    example = f"{name}({'critic' if name == 'value' else 'policy'}, .response)"
    given = arguments(call, name, ("a model", "a text column"), named, example)
    model, text = reader.model(given.given[0]), _qualified(reader, reader.text(given.given[1]), given.named, before)
    if name == "entropy":
        return forwards.entropy(model, text, call.span)
    return forwards.asked(name, model, text)


def _between(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
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
    first, second = reader.model(given.given[0]), reader.model(given.given[1])
    text = _qualified(reader, reader.text(given.given[2]), given.named, before)
    if name == "transport":
        return forwards.transport(first, second, text, call.span)
    if name == "kl":
        return forwards.divergence(first, second, text, call.span)
    if name == "jsd":
        beta = reader.read(given.named["beta"], before) if "beta" in given.named else constant(0.5)
        return forwards.jensen_shannon(first, second, text, beta, call.span)
    return forwards.estimator(name, first, second, text, call.span)


def _qualified(reader: Reader, text: Read, named: Mapping[str, ast.Expr], before: int) -> Read:
    """A text with the temperature and the context that the model sees it under."""
    temperature = 1.0
    if "temperature" in named:
        temperature = _setting(reader, named["temperature"], before, "temperature")
    elif "like" in named:
        temperature = _temperature_of(reader, named["like"])
    given = None
    if "given" in named:
        given = reader.text(named["given"], tuple(c for c in text.table.columns if c in PLAIN_TEXTS)).column
    return Read(text.table, text.column, text.source, temperature, given)


def _temperature_of(reader: Reader, like: ast.Expr) -> float:
    """The temperature under which a column of log-probabilities was sampled."""
    table, column, span = reader.place(like) if isinstance(like, ast.Column | ast.Member) else (None, "", like.span)
    if table is None or column not in TOKEN_COLUMNS:
        raise Problem("T101", "`like` names a column of log-probabilities", span, "not one", helps=(".logprobs",))
    sampling = table.source.type.sampling
    return sampling.temperature if sampling is not None else 1.0


def _setting(reader: Reader, expr: ast.Expr, before: int, name: str) -> float:
    value = reader.constants.of(expr, before)
    if value is None:
        raise Problem("T105", f"`{name}` is a constant", expr.span, "depends on data, on a model or on the step")
    return value


def _running(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
    named = ("discount",) if name == "suffix_sum" else ()
    given = arguments(call, name, ("a value per token or per step",), named, f"{name}(at_end(.reward))")
    fields: dict[str, object] = {}
    if name == "suffix_sum":
        fields["discount"] = (
            _setting(reader, given.named["discount"], before, "discount") if "discount" in given.named else 1.0
        )
    return sequences.running(name, reader.read(given.given[0], before), call.span, fields)


def _length(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
    given = arguments(call, name, ("a text column",), (), "length(.response)")
    return forwards.length(reader.text(given.given[0]))


def _at_end(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
    given = arguments(call, name, ("one value per sample or per step",), ("of",), "at_end(.reward)")
    value = reader.read(given.given[0], before)
    if "of" in given.named:
        return sequences.at_end(value, reader.text(given.named["of"]).column, call.span)
    texts = [column for column in (value.table.columns if value.table else ()) if column in TEXT_COLUMNS]
    if len(texts) > 1 and "response" not in texts:
        help_ = f"of = .{texts[0]}"
        raise Problem("N104", "the end of which text?", call.span, "`of` is not given", helps=(help_,))
    return sequences.at_end(value, "response" if "response" in texts or not texts else texts[0], call.span)


def _gae(reader: Reader, call: ast.Call, name: str, before: int) -> Value:
    example = "gae(at_end(.reward), value(critic, .response), discount = 1, lambda = 0.95)"
    given = arguments(call, name, ("a reward", "a value per token"), ("discount", "lambda"), example)
    discount, trace = (
        _setting(reader, given.named[word], before, word) if word in given.named else usual
        for word, usual in (("discount", 1.0), ("lambda", 0.95))
    )
    reward, value = (reader.read(expr, before) for expr in given.given)
    return sequences.generalised_advantage(reward, value, discount, trace, call.span)


def _without_over(call: ast.Call) -> bool:
    return all(argument.name is None or argument.name.id != "over" for argument in call.arguments)
