"""What a loss is, read off its mathematics: whether it forms a ratio, holds the learner to an anchor, explores.

None of these looks at the name of an objective. A *ratio* is an exponential of what the policy says now against what
the sampler, or the policy at the start of the batch, said. A *correction* is a weight without gradient that tells how
much likelier a token is under the trainer's weights than it was under the sampler.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.core import Expression

# Ratios and weights ---------------------------------------------------------------------------------------------------


def ratios(loss: Expression) -> Iterator[Expression]:
    """Every importance ratio: the exponential of the learner's log-probabilities against those of the sampler, or
    against the learner's own at the start of the batch."""
    return (part for part in loss.walk() if part.op == "exp" and _compares_with_itself(part))


def _compares_with_itself(ratio: Expression) -> bool:
    parts = tuple(ratio.walk())
    return any(_now(part) for part in parts) and any(_sampler(part) or _at_batch_start(part) for part in parts)


def forms_ratio(term: core.Term) -> bool:
    return any(True for _ in ratios(term.loss))


def reads_sampler(term: core.Term) -> bool:
    """Whether the loss reads the log-probabilities that the sampler recorded."""
    return any(_sampler(part) for part in term.loss.walk())


def correction(term: core.Term) -> bool:
    """Whether rows of other weights, or of another engine, are weighed by how likely the trainer finds them."""
    return corrects(term.loss)


def corrects(loss: Expression) -> bool:
    """`correction`, of a loss: ``stop(…)`` around the exponential of the trainer's against the sampler's."""
    return any(part.op == "stop" and any(_is_weight(below) for below in part.walk()) for part in loss.walk())


def _is_weight(part: Expression) -> bool:
    if part.op != "exp":
        return False
    parts = tuple(part.walk())
    return any(_sampler(below) for below in parts) and any(_now(below) or _at_batch_start(below) for below in parts)


# Groups ---------------------------------------------------------------------------------------------------------------


def compares_attempts(loss: Expression, source: core.Source | None = None) -> bool:
    """Whether the attempts at a prompt are reduced over: those of `source`, where the loss has several."""
    return any(
        "group" in part.fields.get("over", ())
        and "prompt" not in part.fields["over"]
        and (source is None or any(below.source is source for below in part.walk()))
        for part in loss.walk()
    )


# Other models ---------------------------------------------------------------------------------------------------------


def has_kl(term: core.Term) -> bool:
    """Whether the loss holds the learner to an anchor: a term whose factor is 0 is no part of it any more."""
    return any(role in term.anchors for part in term.loss.walk() for role in part.models)


def _weighs(factor: Expression) -> bool:
    return any(_is_weight(part) or (part.op == "exp" and _compares_with_itself(part)) for part in factor.walk())


def _log_ratio(q: Expression) -> bool:
    match q:
        case Expression(op="sub", args=(Expression(op="logp") as other, Expression(op="logp") as own)):
            return _now(own) and not _trained(other)
        case _:
            return False


def unweighted_estimators(loss: Expression) -> Iterator[Expression]:
    """Schulman's k3, exp(q) - q - 1 with q the log-ratio of an anchor to the learner, where no importance ratio
    multiplies it: on samples of older weights its gradient is not that of the divergence."""
    waiting, seen = [loss], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if is_k3(part):
            yield part
        elif part.op != "mul" or not any(_weighs(arg) for arg in part.args):
            waiting.extend(part.args)


def is_k3(part: Expression) -> bool:
    """``exp(q) - q - 1`` with q the log-ratio of another model to the learner."""
    match part:
        case Expression(op="sub", args=(Expression(op="sub", args=(Expression(op="exp", args=(q,)), again)), one)):
            return q == again and one.constant == 1 and _log_ratio(q)
        case _:
            return False


def measures_kl(loss: Expression) -> bool:
    """Whether a divergence is estimated from log-probabilities: k3, what sampled the tokens against a model that does
    not learn, or ``max(0, mean(sum(logp - logp)))``. The forms of `runtime/losses/forms_of_rollouts.py`."""
    return any(is_k3(part) or _against_author(part) or _held_against(part) for part in loss.walk())


def _against_author(part: Expression) -> bool:
    match part:
        case Expression(op="sub", args=(author, Expression(op="logp") as other)) if not _trained(other):
            stopped = author.op == "stop" and author.args[0].op == "logp"
            return stopped or _sampler(author) or (author.op == "logp" and _at_batch_start(author))
        case _:
            return False


def _held_against(part: Expression) -> bool:
    match part:
        case Expression(op="max", args=(least, Expression(op="mean", args=(Expression(op="sum", args=(gain,)),)))):
            return least.constant == 0 and gain.op == "sub" and all(arg.op == "logp" for arg in gain.args)
        case _:
            return False


def has_clip(loss: Expression) -> bool:
    """Whether it bounds an importance ratio."""
    bounds = (part for part in loss.walk() if part.op in ("clamp", "min"))
    return any(_compares_with_itself(bound) for bound in bounds)


def reads_chosen(loss: Expression) -> bool:
    """Whether it asks the learner for the log-probability of ``.chosen``."""
    return any(part.op == "logp" and _trained(part) and part.fields["column"] == "chosen" for part in loss.walk())


def contexts(loss: Expression, role: core.Role) -> frozenset[object]:
    """What a role is given to read besides the prompt, wherever the loss asks for its probabilities."""
    return frozenset(part.fields.get("given") for part in loss.walk() if role in part.models)


# Exploration ----------------------------------------------------------------------------------------------------------


def explores(term: core.Term) -> bool:
    """Whether the loss speaks of the entropy of the learner: the mean of its own log-probabilities over the
    vocabulary."""
    return any(_is_entropy(part) for part in term.loss.walk())


def _is_entropy(part: Expression) -> bool:
    match part:
        case Expression(op="sum", args=(Expression(op="mul", args=(Expression(op="exp", args=(own,)), again)),)):
            return own == again and own.op == "logp_all" and _trained(own)
        case _:
            return False


# Leaves ---------------------------------------------------------------------------------------------------------------


def _trained(part: Expression) -> bool:
    return any(role.verb == "train" for role in part.models)


def _now(part: Expression) -> bool:
    return part.op == "logp" and _trained(part) and not _at_batch_start(part)


def _at_batch_start(part: Expression) -> bool:
    return part.fields.get("at") == "batch_start"


def _sampler(part: Expression) -> bool:
    return part.op == "column" and part.fields["name"] == "logprobs"
