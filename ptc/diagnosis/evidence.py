"""Numbers out of measurements: what a diagnosis is decided on. Means over prompts, with their intervals."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ptc.compiler.graph import Json
from ptc.diagnosis.stating import ends_in
from ptc.diagnosis.thresholds import EARLY, FEW, GROUP, MISS_RISK
from ptc.runtime.intervals import DIFFERENCE, MEAN, RATE, RATE_DIFFERENCE, RATIO, Interval, interval
from ptc.runtime.statistics import informative_rate, pass_at_k, powers_of_two
from ptc.runtime.tables import column

Reals = NDArray[np.float64]


def epsilon(samples: int) -> float:
    """What `samples` attempts may have missed: 1 - zeta^(1/k), at a risk of zeta."""
    return float(1.0 - MISS_RISK.value ** (1.0 / samples))


@dataclass(frozen=True)
class Attempts:
    """The counts of a `pass_rate`, prompt by prompt."""

    table: pa.Table
    samples: int

    @cached_property
    def n(self) -> NDArray[np.int64]:
        return np.asarray(column(self.table, "n"), dtype=np.int64)

    @cached_property
    def correct(self) -> NDArray[np.int64]:
        return np.asarray(column(self.table, "correct"), dtype=np.int64)

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """The prompts all of whose attempts could be judged."""
        found: NDArray[np.bool_] = self.n == self.samples
        return found

    def passed(self, k: int) -> Reals:
        """pass@k by prompt, of the prompts that were judged."""
        return pass_at_k(self.n[self.judged], self.correct[self.judged], k)

    @cached_property
    def unsolved(self) -> NDArray[np.bool_]:
        """The prompts at which no attempt was right, of all."""
        found: NDArray[np.bool_] = self.judged & (self.correct == 0)
        return found

    @cached_property
    def attempts(self) -> list[list[dict[str, Json]]]:
        found: list[list[dict[str, Json]]] = column(self.table, "attempts")
        return found

    @cached_property
    def responses(self) -> list[list[str]]:
        return [[one["response"].strip() for one in own] for own in self.attempts]

    @cached_property
    def surprise(self) -> tuple[Reals, Reals]:
        """By prompt the mean cost of an attempt in nats under the model itself, and its mean length in tokens: their
        quotient estimates the entropy per token."""
        costs = [-np.mean([one["logp"] for one in own]) for own in self.attempts]
        lengths = [np.mean([one["tokens"] for one in own]) for own in self.attempts]
        return np.array(costs, dtype=np.float64), np.array(lengths, dtype=np.float64)

    @cached_property
    def answer_entropy(self) -> Reals:
        """Entropy of the answers to each prompt, in nats."""
        return np.array([_entropy(Counter(own)) for own in self.responses], dtype=np.float64)

    @cached_property
    def commonest(self) -> list[str]:
        """The answer that most attempts at each prompt give."""
        return [Counter(own).most_common(1)[0][0] for own in self.responses]


@dataclass(frozen=True)
class Instrument:
    """What a verifier makes of references and of wrong responses."""

    informedness: Interval
    true_positives: Interval
    false_positives: Interval
    failed: str | None
    """A reference that it does not find right, and what it says."""
    passed: str | None
    """A wrong response that it finds right."""


@dataclass(frozen=True)
class Earlier:
    """A checkpoint from before, on the same prompts. Differences are now minus then."""

    name: str
    first: Interval
    """pass@1 then."""
    most: Interval
    """pass@k then, at the largest k."""
    first_change: Interval
    most_change: Interval
    entropy: Interval
    answer_entropy: float
    settled: Interval
    """Share of prompts whose commonest answer now was among the answers then."""
    variety: Interval
    """Compressed size of what is said now over that of what was said then, of as many bytes; over draws of an attempt
    at each prompt."""


@dataclass(frozen=True)
class References:
    """What the model makes of reference solutions."""

    cost: Interval
    """Nats per token of a reference."""
    excess: Interval
    """Nats per token beyond those of its own attempts, over all prompts: 0 for a model that knows what it does not
    know. (The expected cost of a draw from a distribution is its entropy.)"""
    excess_unsolved: Interval | None
    blocked: Interval | None
    """Share of unsolved prompts with a token below epsilon."""
    bottleneck: float | None
    """Median over unsolved prompts of the least likely token's probability."""
    example: str
    curve: Mapping[float, Interval]
    """Share of the reference given to pass@k, over the unsolved prompts (over all, where every one is solved)."""
    early: Interval | None
    """What an early share adds to that."""
    jump: float | None
    """The share at which the curve rises most."""
    going_on: int
    teacher_forced: Interval
    free_running: Interval
    exposure: Interval
    frequencies: float
    """Nats per token of the references to whoever knows no more than how often each token comes."""
    length: float
    """Tokens of an attempt over those of a reference."""


@dataclass(frozen=True)
class Evidence:
    """All that was measured of one model on one eval."""

    prompts: int
    samples: int
    epsilon: float
    instrument: Instrument | None
    attempts: Attempts | None = None
    curve: Mapping[int, Interval] = field(default_factory=dict)
    deployed: Interval | None = None
    unsolved: Interval | None = None
    informative: Interval | None = None
    parsed: Interval | None = None
    finished: Interval | None = None
    stated: Interval | None = None
    stated_example: str | None = None
    entropy: Interval | None = None
    answer_entropy: Interval | None = None
    few_answers: Interval | None = None
    """The share of attempts that are one of the few commonest answers, one for eight prompts."""
    commonest: str = ""
    """The commonest of all answers."""
    few_references: float = 0.0
    """The share of references that are one of as few."""
    gap: Interval | None = None
    references: References | None = None
    earlier: tuple[Earlier, ...] = ()
    untaught: bool = False
    """Whether the weights were drawn at random: then nothing was lost."""

    @property
    def past(self) -> bool:
        """Whether it is known what the model was before."""
        return self.untaught or bool(self.earlier)

    @property
    def most(self) -> int:
        """The largest k."""
        return max(self.curve)


def instrument_of(counts: pa.Table) -> Instrument:
    right = [bool(value) for value in column(counts, "reference_right")]
    wrong = [
        passed / max(tried, 1)
        for passed, tried in zip(*(column(counts, n) for n in ("wrong_right", "wrong")), strict=True)
    ]
    true, false = np.array(right, dtype=np.float64), np.array(wrong, dtype=np.float64)
    rows = counts.to_pylist()
    failed = next((row for row in rows if not row["reference_right"]), None)
    passed = next((row["passed"] for row in rows if row["passed"] is not None), None)
    return Instrument(
        interval(RATE_DIFFERENCE, false, true),
        interval(RATE, true),
        interval(RATE, false),
        None if failed is None else f"{failed['reference']!r}: {failed['reference_verdict']}",
        None if passed is None else repr(passed),
    )


def evidence(
    own: Attempts,
    deployed: Attempts,
    instrument: Instrument | None,
    golds: Mapping[str, str],
    probe: pa.Table | None,
    going_on: int,
    earlier: Mapping[str, Attempts],
) -> Evidence:
    """What tables of counts say. `golds` are references by prompt, `earlier` checkpoints the latest first."""
    identities = column(own.table, "prompt_id")
    known = [golds.get(identity) for identity in identities]
    rates = {name: np.asarray(column(own.table, name)) / own.samples for name in ("parsed", "finished")}
    costs, lengths = own.surprise
    stated, example = _stated(own, known)
    few = _commonest([one for some in own.responses for one in some], own.table.num_rows)
    golden = [gold for gold in known if gold is not None]
    most = own.samples
    return Evidence(
        prompts=own.table.num_rows,
        samples=own.samples,
        epsilon=epsilon(own.samples),
        instrument=instrument,
        attempts=own,
        curve={k: interval(RATE, own.passed(k)) for k in powers_of_two(most)},
        deployed=interval(RATE, deployed.passed(1)),
        unsolved=interval(RATE, own.unsolved[own.judged].astype(np.float64)),
        informative=interval(
            RATE, informative_rate(own.n[own.judged], own.correct[own.judged], min(int(GROUP.value), most))
        ),
        parsed=interval(RATE, rates["parsed"]),
        finished=interval(RATE, rates["finished"]),
        stated=stated,
        stated_example=example,
        entropy=interval(RATIO, costs, lengths),
        answer_entropy=interval(MEAN, own.answer_entropy),
        few_answers=interval(RATE, np.array([_share_of(few, some) for some in own.responses], dtype=np.float64)),
        commonest=few[0],
        few_references=_share_of(_commonest(golden, len(golden)), golden) if golden else 0.0,
        gap=interval(RATE_DIFFERENCE, own.passed(1), own.passed(most)),
        references=None if probe is None else _references(own, probe, going_on),
        earlier=tuple(_earlier(name, own, then) for name, then in earlier.items()),
    )


def _stated(own: Attempts, golds: Sequence[str | None]) -> tuple[Interval | None, str | None]:
    """How many attempts end in the right answer and are judged wrong, beyond what end in another prompt's answer."""
    known = [row for row, gold in enumerate(golds) if gold is not None]
    if len(known) < 2:
        return None, None
    shares: list[tuple[float, float]] = []
    example = None
    for place, row in enumerate(known):
        gold = golds[row] or ""
        other = next((golds[each] or "" for each in (*known[place + 1 :], *known[:place]) if golds[each] != gold), "")
        attempts = own.attempts[row]
        wrong = [one["response"] for one in attempts if one["score"] is not None and one["score"] < 1]
        hits = [response for response in wrong if ends_in(response, gold)]
        misses = sum(ends_in(response, other) for response in wrong)
        example = example or (f"{hits[0]!r} for {gold!r}" if hits else None)
        shares.append((misses / len(attempts), len(hits) / len(attempts)))
    before, after = (np.array(side, dtype=np.float64) for side in zip(*shares, strict=True))
    return interval(RATE_DIFFERENCE, before, after), example


def _commonest(answers: Sequence[str], prompts: int) -> list[str]:
    """The few commonest answers, the commonest first."""
    return [answer for answer, _ in Counter(answers).most_common(max(1, prompts // int(FEW.value)))]


def _share_of(few: Sequence[str], answers: Sequence[str]) -> float:
    return sum(answer in few for answer in answers) / len(answers)


def _references(own: Attempts, probe: pa.Table, going_on: int) -> References:
    known = {identity: row for row, identity in enumerate(column(own.table, "prompt_id"))}
    rows = [known[identity] for identity in column(probe, "prompt_id")]
    logps = [np.array(each, dtype=np.float64) for each in column(probe, "logps")]
    lengths = np.array([len(each) for each in logps], dtype=np.float64)
    cost = np.array([-each.sum() for each in logps], dtype=np.float64)
    costs, own_lengths = (each[rows] for each in own.surprise)
    excess = cost / lengths - costs / own_lengths
    unsolved = own.unsolved[rows]
    least = np.array([math.exp(each.min()) for each in logps], dtype=np.float64)
    below = (least < epsilon(own.samples)).astype(np.float64)
    among = unsolved if unsolved.any() else np.ones_like(unsolved)
    solved = _prefix_curve(column(probe, "prefix"), among, going_on)
    early = [values for share, values in solved.items() if 0 < share <= EARLY.value]
    gains = np.diff(np.array([values.mean() for values in solved.values()]))
    teacher = np.array([np.exp(each).mean() for each in logps], dtype=np.float64)
    free = np.array(column(probe, "free_running"), dtype=np.float64)
    return References(
        cost=interval(RATIO, cost, lengths),
        excess=interval(MEAN, excess),
        excess_unsolved=interval(MEAN, excess[unsolved]) if unsolved.any() else None,
        blocked=interval(RATE, below[unsolved]) if unsolved.any() else None,
        bottleneck=float(np.median(least[unsolved])) if unsolved.any() else None,
        example=_example(probe, int(np.flatnonzero(among)[0])),
        curve={share: interval(RATE, values) for share, values in solved.items()},
        early=interval(RATE_DIFFERENCE, solved[0.0], early[-1]) if early else None,
        jump=list(solved)[int(gains.argmax()) + 1] if len(gains) and gains.max() > 0 else None,
        going_on=going_on,
        teacher_forced=interval(RATE, teacher),
        free_running=interval(RATE, free),
        exposure=interval(DIFFERENCE, free, teacher),
        frequencies=_entropy(Counter(token for tokens in column(probe, "tokens") for token in tokens)),
        length=float(own_lengths.mean() / lengths.mean()),
    )


def _prefix_curve(
    prefixes: Sequence[Sequence[Mapping[str, float]]], among: NDArray[np.bool_], k: int
) -> dict[float, Reals]:
    """Share given to pass@k by prompt: with k attempts at each, whether any is right."""
    rows = np.flatnonzero(among)
    shares = [point["share"] for point in prefixes[0]]
    return {
        share: np.array([float(prefixes[row][place]["correct"] > 0) for row in rows], dtype=np.float64)
        for place, share in enumerate(shares)
    }


def _example(probe: pa.Table, row: int) -> str:
    """A reference with its least likely token, as a sentence goes on."""
    tokens, logps = (probe.column(name)[row].as_py() for name in ("tokens", "logps"))
    place = int(np.argmin(logps))
    what = repr(tokens[place]) if tokens[place] else "the end"
    text, chance = probe.column("reference")[row].as_py(), math.exp(logps[place])
    return f"of {text!r} token {place + 1}, {what}, has probability {chance:.2g}"


def _earlier(name: str, now: Attempts, then: Attempts) -> Earlier:
    both = now.judged & then.judged
    most = min(now.samples, then.samples)

    def passed(attempts: Attempts, k: int) -> Reals:
        return pass_at_k(attempts.n[both], attempts.correct[both], k)

    given = [float(answer in set(own)) for answer, own in zip(now.commonest, then.responses, strict=True)]
    return Earlier(
        name,
        interval(RATE, passed(then, 1)),
        interval(RATE, passed(then, most)),
        interval(RATE_DIFFERENCE, passed(then, 1), passed(now, 1)),
        interval(RATE_DIFFERENCE, passed(then, most), passed(now, most)),
        interval(RATIO, *then.surprise),
        float(then.answer_entropy.mean()),
        interval(RATE, np.array(given, dtype=np.float64)),
        _variety(now, then),
    )


def _variety(now: Attempts, then: Attempts) -> Interval:
    """How much there is in attempts, against those from before: loops and repetitions compress to little."""
    ratios = []
    for attempt in range(min(now.samples, then.samples)):
        texts = ["\n".join(own[attempt] for own in some.responses).encode() for some in (now, then)]
        size = min(map(len, texts))
        ours, theirs = (len(zlib.compress(text[:size], 9)) for text in texts)
        ratios.append(ours / theirs)
    low, middle, high = (float(value) for value in np.percentile(ratios, (2.5, 50, 97.5)))
    return Interval(middle, low, high)


def _entropy(counts: Counter[str]) -> float:
    total = counts.total()
    return -math.fsum(count / total * math.log(count / total) for count in counts.values())
