"""What the evidence says: one bottleneck, by the order of docs/diagnosing.md, and how surely.

The instrument is first, because nothing is readable through a broken one. What was lost or has collapsed comes before
support, because both look like missing support to whoever has only the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ptc.diagnosis import thresholds
from ptc.diagnosis.evidence import Earlier, Evidence, Instrument, References
from ptc.diagnosis.thresholds import Threshold
from ptc.runtime.intervals import Interval

Bottleneck = Literal[
    "instrument", "format", "collapsed", "consolidation", "support", "capacity", "reshaping", "undetermined", "none"
]
UNKNOWN_PAST = "cannot tell lost from never learned: no earlier checkpoint was measured; name one with --earlier"


@dataclass(frozen=True)
class Reason:
    """One comparison that was decided on."""

    words: str
    value: Interval
    threshold: Threshold | None
    above: bool = True
    """Whether it lies above the threshold."""

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies where the value does."""
        if self.threshold is None:
            return True
        return self.value.low >= self.threshold.value if self.above else self.value.high <= self.threshold.value


@dataclass(frozen=True)
class Decision:
    """The bottleneck, why, what remains open, and what to measure next."""

    bottleneck: Bottleneck
    summary: str
    reasons: tuple[Reason, ...]
    examples: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    next: tuple[str, ...] = ()

    @property
    def sure(self) -> str:
        """In words, by how the intervals lie to their thresholds."""
        if self.bottleneck == "undetermined":
            return "not sure"
        doubtful = sum(not reason.sure for reason in self.reasons)
        return ("sure", "likely")[doubtful] if doubtful < 2 else "not sure"


def decide(evidence: Evidence) -> Decision:
    """The first bottleneck in the order that the evidence shows."""
    found = instrument_fault(evidence.instrument) if evidence.instrument is not None else None
    if found is not None or evidence.attempts is None:
        assert found is not None, "attempts are drawn wherever the instrument is sound"
        return found
    return (
        _contract(evidence)
        or _lost(evidence)
        or _collapsed(evidence)
        or _format(evidence)
        or _unsolved(evidence)
        or _choice(evidence)
        or _nothing(evidence)
    )


# The instrument -------------------------------------------------------------------------------------------------------


def instrument_fault(instrument: Instrument) -> Decision | None:
    """What is wrong with a verifier, if anything is."""
    true, false = instrument.true_positives, instrument.false_positives
    if instrument.informedness.value <= thresholds.INFORMEDNESS.value:
        reason = Reason("J = TPR - FPR", instrument.informedness, thresholds.INFORMEDNESS, above=False)
    elif true.value < thresholds.TRUE_POSITIVES.value:
        reason = Reason("references that are found right", true, thresholds.TRUE_POSITIVES, above=False)
    else:
        return None
    examples = [f"not found right: {instrument.failed}"] if instrument.failed else []
    examples += [f"found right, and wrong: {instrument.passed}"] if instrument.passed else []
    return Decision(
        "instrument",
        f"the verifier finds {true.value:.0%} of references right and {false.value:.0%} of wrong responses; "
        "nothing else is readable before it is mended",
        (reason,),
        tuple(examples),
        (),
        ("mend the verifier, the references or the prompt's instructions, and diagnose again",),
    )


def _contract(evidence: Evidence) -> Decision | None:
    stated = evidence.stated
    if stated is None or stated.value < thresholds.STATED.value:
        return None
    return Decision(
        "instrument",
        f"{stated.value:.0%} of attempts end in the right answer and are judged wrong: what the model was taught to "
        "write is not what the verifier reads",
        (Reason("right answers judged wrong, less chance", stated, thresholds.STATED),),
        (f"{evidence.stated_example}",),
        (),
        ("let prompt, demonstrations and verifier agree on one form, and diagnose again",),
    )


def _format(evidence: Evidence) -> Decision | None:
    parsed = evidence.parsed
    if parsed is None or parsed.value >= thresholds.PARSED.value:
        return None
    return Decision(
        "format",
        f"an answer is found in {parsed.value:.0%} of attempts, although references are read",
        (Reason("parse rate", parsed, thresholds.PARSED, above=False),),
        (),
        (),
        ("ask for the form in the prompt, or imitate a few answers in it; then diagnose again",),
    )


# What was there before ------------------------------------------------------------------------------------------------


def _lost(evidence: Evidence) -> Decision | None:
    """The checkpoint from before that was furthest above, if any was."""
    fallen = [(reason, earlier) for earlier in evidence.earlier for reason in _falls(earlier, evidence)]
    if not fallen:
        return None
    reason, earlier = min(fallen, key=lambda pair: pair[0].value.low)
    lost = f"{-100 * reason.value.value:.0f} points"
    assert evidence.answer_entropy is not None and evidence.few_answers is not None
    if _says_little(evidence):
        return Decision(
            "collapsed",
            f"`{earlier.name}` was better by {lost}, and now {evidence.few_answers.value:.0%} of all attempts are "
            f"few answers, {evidence.commonest!r} the commonest",
            (reason, Reason("attempts that are one of few answers", evidence.few_answers, thresholds.FEW_ANSWERS)),
            (),
            (),
            (f"compare checkpoints between `{earlier.name}` and this one: entropy falls before the score does",),
        )
    if earlier.variety.value < thresholds.VARIETY.value:
        return Decision(
            "collapsed",
            f"`{earlier.name}` was better by {lost}, and attempts repeat themselves: they compress to "
            f"{earlier.variety.value:.0%} of what its attempts do",
            (reason, Reason("what there is in attempts, to before", earlier.variety, thresholds.VARIETY, above=False)),
            (),
            (),
            (f"compare checkpoints between `{earlier.name}` and this one: entropy falls before the score does",),
        )
    narrowed = evidence.answer_entropy.value / max(earlier.answer_entropy, 1e-9)
    if narrowed < thresholds.NARROWED.value and earlier.settled.value >= thresholds.SETTLED.value:
        return Decision(
            "collapsed",
            f"`{earlier.name}` was better by {lost}; entropy of answers is {narrowed:.2f} of what it was, and what "
            "is left are answers that it gave too",
            (reason, Reason("prompts settled on an earlier answer", earlier.settled, thresholds.SETTLED)),
            (),
            (),
            (f"compare checkpoints between `{earlier.name}` and this one: entropy falls before the score does",),
        )
    return Decision(
        "consolidation",
        f"`{earlier.name}` was better by {lost} on the same prompts, and this model is not stuck on few answers: "
        "the skill was learned and then lost",
        (reason,),
        (),
        (),
        (f"measure every stage behind `{earlier.name}`: `protect` stops the one that loses it",),
    )


def _falls(earlier: Earlier, evidence: Evidence) -> Iterator[Reason]:
    """What has fallen by more than chance explains, and by enough; negative values."""
    limit = Threshold(-thresholds.FELL.value, thresholds.FELL.words)
    sharpened = earlier.first_change.low > 0  # less is reached in many attempts and more in one: what reshaping does
    for name, change in (("pass@1", earlier.first_change), (f"pass@{evidence.most}", earlier.most_change)):
        if change.high < 0 and change.value <= limit.value and not sharpened:
            yield Reason(f"{name} since `{earlier.name}`", change, limit, above=False)


def _says_little(evidence: Evidence) -> bool:
    """Whether most attempts are a few answers, where answers ought to vary with the prompt."""
    assert evidence.few_answers is not None
    varied = evidence.few_references <= thresholds.VARIED.value
    return varied and evidence.few_answers.value >= thresholds.FEW_ANSWERS.value


def _collapsed(evidence: Evidence) -> Decision | None:
    """A collapse that shows without any earlier checkpoint."""
    if not _says_little(evidence):
        return None
    assert evidence.few_answers is not None
    return Decision(
        "collapsed",
        f"{evidence.few_answers.value:.0%} of all attempts, whatever the prompt, are few answers, "
        f"{evidence.commonest!r} the commonest",
        (Reason("attempts that are one of few answers", evidence.few_answers, thresholds.FEW_ANSWERS),),
        (),
        () if evidence.past else ("whether it ever was better is not known: name a checkpoint with --earlier",),
        ("name the checkpoints before it with --earlier, to find where entropy fell",),
    )


# What is out of reach -------------------------------------------------------------------------------------------------


def _unsolved(evidence: Evidence) -> Decision | None:
    unsolved, gap = evidence.unsolved, evidence.gap
    assert unsolved is not None and gap is not None
    # 1 - pass@1 is what is out of reach (u) and what is reached and not chosen (the gap): the larger part comes first.
    if unsolved.value < thresholds.UNSOLVED.value or unsolved.value < gap.value:
        return None
    far = Reason("prompts without a right attempt", unsolved, thresholds.UNSOLVED)
    past = () if evidence.past else (UNKNOWN_PAST,)
    references = evidence.references
    if references is None:
        return Decision(
            "undetermined",
            f"{unsolved.value:.0%} of prompts are not solved once; without references support and capacity look alike",
            (far,),
            (),
            past,
            ("name reference solutions with --references",),
        )
    ratio = max(references.length, 1 / references.length)
    if ratio > thresholds.COMPARABLE.value:
        return Decision(
            "undetermined",
            f"{unsolved.value:.0%} of prompts are not solved once; attempts are {references.length:.2g} times as long "
            "as references, which are another kind of text and say nothing of them",
            (far,),
            (),
            past,
            ("name whole solutions, as the model is to write them, with --references",),
        )
    return _support(references, evidence, far, past) or _capacity(references, evidence, far, past)


def _support(references: References, evidence: Evidence, far: Reason, past: tuple[str, ...]) -> Decision | None:
    """Decisions of the reference are below epsilon, and the model is wrong without knowing it, or soon put right."""
    missed, blocked, early = references.excess_unsolved, references.blocked, references.early
    assert missed is not None and blocked is not None and early is not None
    needed = Reason("unsolved prompts with a token below epsilon", blocked, thresholds.BLOCKED)
    if blocked.value < thresholds.BLOCKED.value:
        return None
    if early.value >= thresholds.HELPED.value:
        why, reason = (
            "a first part of the reference is enough",
            Reason("gain from half a reference", early, thresholds.HELPED),
        )
    elif missed.value >= thresholds.MISSED.value:
        why = "it expects to be right where it is wrong, as a model does that was never shown such prompts"
        reason = Reason("nats per token beyond what it expects", missed, thresholds.MISSED)
    elif references.cost.value >= references.frequencies:
        why = "it has not learned what such answers look like: it knows less of them than how often each token comes"
        reason = Reason("nats per token of a reference", references.cost, _frequencies(references))
    else:
        return None
    return Decision(
        "support",
        f"{far.value.value:.0%} of prompts are not solved once in {evidence.samples} attempts; a token of the "
        f"reference is below {evidence.epsilon:.1%} there, and {why}",
        (far, needed, reason),
        (references.example,),
        past,
        ("diagnose again after the stage: the bottleneck moves",),
    )


def _frequencies(references: References) -> Threshold:
    return Threshold(references.frequencies, "", "entropy of the references' tokens")


def _capacity(references: References, evidence: Evidence, far: Reason, past: tuple[str, ...]) -> Decision:
    missed, early = references.excess_unsolved, references.early
    assert missed is not None and early is not None
    return Decision(
        "capacity",
        f"{far.value.value:.0%} of prompts are not solved once in {evidence.samples} attempts, although the model "
        "expects references to cost what they do: it has learned what such answers look like and cannot tell which; "
        "only nearly the whole solution helps",
        (
            far,
            Reason("nats per token beyond what it expects", missed, thresholds.MISSED, above=False),
            Reason("gain from half a reference", early, thresholds.HELPED, above=False),
        ),
        (),
        (*past, "knowledge that is missing altogether looks the same: a larger model, or mid-training, is the test"),
        ("train a larger model on the same demonstrations; if its loss is no lower, it was not capacity",),
    )


# What is within reach -------------------------------------------------------------------------------------------------


def _choice(evidence: Evidence) -> Decision | None:
    gap = evidence.gap
    assert gap is not None
    if gap.value < thresholds.GAP.value:
        return None
    exposed = evidence.references is not None and evidence.references.exposure.low > thresholds.EXPOSED.value
    return Decision(
        "reshaping",
        f"right answers are within reach and seldom chosen: pass@{evidence.most} is {gap.value:.0%} above pass@1",
        (Reason(f"pass@{evidence.most} - pass@1", gap, thresholds.GAP),),
        (),
        ("the exposure gap is large: correct it on its own attempts, not by more imitation",) if exposed else (),
        ("diagnose again after the stage: the bottleneck moves",),
    )


def _nothing(evidence: Evidence) -> Decision:
    first, unsolved, gap = evidence.curve[1], evidence.unsolved, evidence.gap
    assert unsolved is not None and gap is not None
    return Decision(
        "none",
        f"nothing found: pass@1 is {first.value:.0%}; {unsolved.value:.0%} of prompts are not solved once, and what is "
        f"solved is missed in {gap.value:.0%} of attempts more: both within their limits",
        (
            Reason("prompts without a right attempt", unsolved, thresholds.UNSOLVED, above=False),
            Reason(f"pass@{evidence.most} - pass@1", gap, thresholds.GAP, above=False),
        ),
        (),
        () if evidence.past else ("whether it was better before is not known: no earlier checkpoint was named",),
        ("a harder eval, or what else the model is to keep",),
    )
