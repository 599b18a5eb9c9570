"""What a loss is, read off its mathematics: whether it forms a ratio, holds the learner to an anchor, explores.

None of these looks at the name of an objective.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.core import Expression


def ratios(loss: Expression) -> Iterator[Expression]:
    """Every importance ratio: the exponential of the learner's log-probabilities against those of the sampler, or
    against the learner's own at the start of the batch."""
    return (part for part in loss.walk() if part.op == "exp" and _compares_with_itself(part))


def _compares_with_itself(ratio: Expression) -> bool:
    parts = tuple(ratio.walk())
    learner = any(part.op == "logp" and _trained(part) for part in parts)
    behaviour = any(part.op == "column" and part.fields.get("name") == "logprobs" for part in parts)
    return learner and (behaviour or any(_at_batch_start(part) for part in parts))


def forms_ratio(term: core.Term) -> bool:
    return any(True for _ in ratios(term.loss))


def reads_sampler(term: core.Term) -> bool:
    """Whether the loss reads the log-probabilities that the sampler recorded."""
    return any(part.op == "column" and part.fields.get("name") == "logprobs" for part in term.loss.walk())


def has_kl(term: core.Term) -> bool:
    """Whether the loss holds the learner to an anchor: a term whose factor is 0 is no part of it any more."""
    return any(role in term.anchors for part in term.loss.walk() for role in part.models)


def explores(term: core.Term) -> bool:
    """Whether the loss speaks of the entropy of the learner."""
    return any(part.op == "entropy" and _trained(part) for part in term.loss.walk())


def unweighted_estimators(loss: Expression) -> Iterator[Expression]:
    """Schulman's k3, exp(q) - q - 1 with q the log-ratio of an anchor to the learner, where no importance ratio
    multiplies it: on samples of older weights its gradient is not that of the divergence."""
    waiting = [loss]
    while waiting:
        part = waiting.pop()
        if is_k3(part):
            yield part
        elif part.op != "mul" or not any(any(True for _ in ratios(arg)) for arg in part.args):
            waiting.extend(part.args)


def is_k3(part: Expression) -> bool:
    match part:
        case Expression(op="k3"):
            return True
        case Expression(
            op="sub",
            args=(Expression(op="sub", args=(Expression(op="exp", args=(grown,)), q)), Expression(op="constant")),
        ):
            return grown == q and len({id(role) for one in q.walk() for role in one.models}) == 2
        case _:
            return False


def contexts(loss: Expression, role: core.Role) -> frozenset[object]:
    """What a role is given to read besides the prompt, wherever the loss asks for its probabilities."""
    return frozenset(part.fields.get("given") for part in loss.walk() if role in part.models)


def _trained(part: Expression) -> bool:
    return any(role.verb == "train" for role in part.models)


def _at_batch_start(part: Expression) -> bool:
    return part.op == "at_batch_start" or part.fields.get("at") == "batch_start"
