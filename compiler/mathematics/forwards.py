"""What a model says of a text: log-probabilities of its tokens, values, scores; and how far two models are apart.

Entropy and divergences are written out over `logp_all`, so that whoever evaluates a loss needs to know only that one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.core import Expression
from ptc.compiler.mathematics.bindings import Table
from ptc.compiler.mathematics.columns import LISTED_TEXTS, SAMPLE
from ptc.compiler.mathematics.pointwise import applied, negated
from ptc.compiler.mathematics.problems import Problem
from ptc.compiler.mathematics.reductions import without
from ptc.compiler.mathematics.value import Value, aligned, constant
from ptc.lang.source import Span

TOKENS = SAMPLE | {"token"}
VOCABULARY = frozenset({"vocab"})
HEADS = {"logp": "language", "logp_all": "language", "value": "value", "score": "reward"}
"""The head that a model needs to be asked."""
OWN_TOKENS = "tokenizer"
"""The field of what a model is asked that reads a text in its own tokens; lowering fills in the model's name."""
ESTIMATORS = ("k1", "k2", "k3")
DIVERGENCES = ("kl", "jsd", "transport")


@dataclass(frozen=True)
class Asked:
    """A model in a loss, as it is or as it was when the batch was drawn: ``at_batch_start(policy)``."""

    role: core.Role
    parameter: str
    at_batch_start: bool
    span: Span

    @property
    def trained(self) -> bool:
        return self.role.verb == "train" and not self.at_batch_start


@dataclass(frozen=True)
class Read:
    """A text of a source, as a loss reads it."""

    table: Table
    column: str
    source: core.Source | None
    """What the expression names as its source; None where the objective has only one."""
    temperature: float = 1.0
    given: str | None = None
    """A column that the model sees before the prompt."""


def asked(function: str, model: Asked, text: Read) -> Value:
    """`logp`, `logp_all`, `value` or `score` of a text. Raises `Problem` for a model without the head."""
    _has_head(function, model)
    fields: dict[str, object] = {"column": text.column}
    if function in ("logp", "logp_all"):
        fields["temperature"] = text.temperature
    if text.given is not None:
        fields["given"] = text.given
    if model.at_batch_start:
        fields["at"] = "batch_start"
    axes = axes_asked(function, text.column)
    expression = Expression(function, (), fields, axes, (model.role,), text.source)
    return Value(expression, text.table, text.column if "token" in axes else None, model.trained)


def axes_asked(function: str, column: str) -> frozenset[str]:
    """The axes of what a model says of a text column."""
    if function == "score":
        return SAMPLE | {"step"} if column in LISTED_TEXTS else SAMPLE
    return TOKENS | VOCABULARY if function == "logp_all" else TOKENS


def _has_head(function: str, model: Asked) -> None:
    wanted, head = HEADS[function], model.role.type.head
    if head == wanted:
        return
    makers = {
        "value": f"train {model.role.name} = value_head({model.role.init.name or '…'})",
        "reward": f"train {model.role.name} = reward_head({model.role.init.name or '…'})",
    }
    raise Problem(
        "T113",
        f"`{function}` asks a model with a {wanted} head, and `{model.parameter}` has a {head} head",
        model.span,
        f"has a {head} head",
        helps=(makers[wanted],) if wanted in makers else (),
    )


def length(text: Read) -> Value:
    """The number of tokens that bear loss."""
    return Value(Expression("length", (), {"column": text.column}, SAMPLE, (), text.source), text.table)


def entropy(model: Asked, text: Read, span: Span) -> Value:
    """Of the next token, at every token of the text, in nats."""
    own = asked("logp_all", model, text)
    return negated(_expected(own, own, span))


def estimator(name: str, policy: Asked, reference: Asked, text: Read, span: Span) -> Value:
    """Schulman's estimators of KL(policy || reference) on the policy's own tokens: k1, k2, k3."""
    own, other = asked("logp", policy, text), asked("logp", reference, text)
    q = applied("sub", (other, own), span)
    match name:
        case "k1":
            return negated(q)
        case "k2":
            return applied("mul", (constant(0.5), applied("mul", (q, q), span)), span)
        case _:
            grown = applied("sub", (applied("exp", (q,), span), q), span)
            return applied("sub", (grown, constant(1.0)), span)


def divergence(first: Asked, second: Asked, text: Read, span: Span) -> Value:
    """KL(first || second) over the whole vocabulary, at every token."""
    own, other = asked("logp_all", first, text), asked("logp_all", second, text)
    return _expected(own, applied("sub", (own, other), span), span)


def jensen_shannon(student: Asked, teacher: Asked, text: Read, beta: Value, span: Span) -> Value:
    """beta KL(teacher || mixture) + (1 - beta) KL(student || mixture), mixture = beta teacher + (1 - beta) student;
    at 0 and at 1 the divergences that it tends to, KL(teacher || student) and KL(student || teacher)."""
    if beta.constant in (0, 1):
        return divergence(*((teacher, student) if beta.constant == 0 else (student, teacher)), text, span)
    own, other = asked("logp_all", student, text), asked("logp_all", teacher, text)
    rest = applied("sub", (constant(1.0), beta), span)
    # log(beta e^a + (1 - beta) e^b) around the larger exponent, so that no exponential vanishes in both.
    largest = applied("max", (own, other), span)
    weighted = [
        applied("mul", (weight, applied("exp", (applied("sub", (part, largest), span),), span)), span)
        for weight, part in ((beta, other), (rest, own))
    ]
    mixture = applied("add", (largest, applied("log", (applied("add", tuple(weighted), span),), span)), span)
    parts = [
        applied("mul", (weight, _expected(part, applied("sub", (part, mixture), span), span)), span)
        for weight, part in ((beta, other), (rest, own))
    ]
    return applied("add", tuple(parts), span)


def transport(first: Asked, second: Asked, text: Read, span: Span) -> Value:
    """Wasserstein-1 between two next-token distributions, wherever both models stand behind the same text; every move
    costs the same, so it is the L1 distance of the sorted probabilities (Boizard et al., 2024, arXiv 2402.12030).

    The models that are trained read the text as its source has it, every other in its own tokens. 0 at the tokens at
    whose beginning a model has none.
    """
    sides = tuple(_in_its_own_tokens(asked("logp_all", model, text), model) for model in (first, second))
    common = aligned(sides, span)
    arguments = tuple(side.expression for side in sides)
    expression = Expression("transport", arguments, {"tokens": text.column}, common.axes - VOCABULARY)
    return Value(expression, common.table, common.tokens, any(side.gradient for side in sides))


def _in_its_own_tokens(said: Value, model: Asked) -> Value:
    if model.role.verb == "train":
        return said
    expression = replace(said.expression, fields={**said.expression.fields, OWN_TOKENS: True})
    return replace(said, expression=expression)


def _expected(log_probabilities: Value, value: Value, span: Span) -> Value:
    """The mean of a value over the vocabulary, under a distribution."""
    product = applied("mul", (applied("exp", (log_probabilities,), span), value), span)
    return without("sum", product, VOCABULARY)
