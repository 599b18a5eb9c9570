"""A diagnosis as a document: what `--json` prints, and what is kept in the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ptc.diagnosis.decision import Bottleneck, Decision
from ptc.diagnosis.evidence import Evidence
from ptc.diagnosis.remedies import Remedy
from ptc.runtime.intervals import METHOD, Interval

FILE = "diagnosis.json"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Document):
    """A mean over prompts, and its interval."""

    value: float
    low: float
    high: float


class ReasonDocument(_Document):
    """A comparison that was decided on."""

    words: str
    number: Number
    threshold: float | None
    source: str
    sure: bool


class EarlierDocument(_Document):
    """A checkpoint from before, and the change since."""

    name: str
    pass_1: Number
    pass_k: Number
    pass_1_change: Number
    pass_k_change: Number
    entropy: Number
    variety: Number
    """Compressed size of what is said now over that of what was said then."""


class RemedyDocument(_Document):
    """A stage to paste. `checks`: the program with it has been checked, and may run."""

    words: str
    imports: str
    text: str
    checks: Literal[True] = True


class Diagnosis(_Document):
    """What holds one model back on one eval."""

    model: str
    eval: str
    verifier: str
    prompts: int
    samples: int
    temperature: float = 1.0
    deployed_temperature: float
    epsilon: float
    """What is less likely than this may have been missed at this many attempts."""
    bottleneck: Bottleneck
    sure: str
    summary: str
    reasons: tuple[ReasonDocument, ...]
    examples: tuple[str, ...]
    open: tuple[str, ...]
    next: tuple[str, ...]
    remedy: RemedyDocument | None
    numbers: dict[str, Number]
    pass_at_k: dict[int, Number]
    oracle_prefix: dict[float, Number]
    earlier: tuple[EarlierDocument, ...]


class Diagnoses(_Document):
    """One call of `ptc diagnose`."""

    schema_version: Literal[1] = 1
    program: str
    intervals: str = METHOD
    diagnoses: tuple[Diagnosis, ...]

    def write(self, folder: Path) -> Path:
        path = folder / FILE
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return path


def number(interval: Interval) -> Number:
    return Number(value=interval.value, low=interval.low, high=interval.high)


@dataclass(frozen=True)
class About:
    """What was measured, in the user's names."""

    model: str
    eval: str
    verifier: str
    temperature: float
    """At which the eval draws its attempts."""


def document(about: About, evidence: Evidence, decision: Decision, offered: Remedy | None) -> Diagnosis:
    """Everything that was found, as a document."""
    references = evidence.references
    return Diagnosis(
        model=about.model,
        eval=about.eval,
        verifier=about.verifier,
        prompts=evidence.prompts,
        samples=evidence.samples,
        deployed_temperature=about.temperature,
        epsilon=evidence.epsilon,
        bottleneck=decision.bottleneck,
        sure=decision.sure,
        summary=decision.summary,
        reasons=tuple(
            ReasonDocument(
                words=reason.words,
                number=number(reason.value),
                threshold=reason.threshold.value if reason.threshold else None,
                source=reason.threshold.source if reason.threshold else "",
                sure=reason.sure,
            )
            for reason in decision.reasons
        ),
        examples=decision.examples,
        open=decision.open,
        next=decision.next,
        remedy=None
        if offered is None
        else RemedyDocument(words=offered.words, imports=offered.imports, text=offered.text),
        numbers={name: number(value) for name, value in numbers(evidence).items()},
        pass_at_k={k: number(value) for k, value in evidence.curve.items()},
        oracle_prefix={share: number(value) for share, value in references.curve.items()} if references else {},
        earlier=tuple(
            EarlierDocument(
                name=each.name,
                pass_1=number(each.first),
                pass_k=number(each.most),
                pass_1_change=number(each.first_change),
                pass_k_change=number(each.most_change),
                entropy=number(each.entropy),
                variety=number(each.variety),
            )
            for each in evidence.earlier
        ),
    )


def numbers(evidence: Evidence) -> dict[str, Interval]:
    """What was measured, under names that stay."""
    instrument, references = evidence.instrument, evidence.references
    found: dict[str, Interval | None] = {
        "right_but_not_read": evidence.stated,
        "parse_rate": evidence.parsed,
        "finished": evidence.finished,
        "unsolved": evidence.unsolved,
        "informative_rate": evidence.informative,
        "deployed_pass_1": evidence.deployed,
        "sampling_gap": evidence.gap,
        "entropy_per_token": evidence.entropy,
        "answer_entropy": evidence.answer_entropy,
        "few_answers": evidence.few_answers,
    }
    if instrument is not None:
        found |= {
            "informedness": instrument.informedness,
            "true_positive_rate": instrument.true_positives,
            "false_positive_rate": instrument.false_positives,
        }
    if references is not None:
        found |= {
            "reference_nats_per_token": references.cost,
            "reference_excess": references.excess,
            "reference_excess_unsolved": references.excess_unsolved,
            "bottleneck_below_epsilon": references.blocked,
            "early_help": references.early,
            "teacher_forced": references.teacher_forced,
            "free_running": references.free_running,
            "exposure_gap": references.exposure,
        }
    return {name: value for name, value in found.items() if value is not None}
