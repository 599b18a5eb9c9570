"""How verdicts compare with what is so: tables, and whether what is promised holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import binom

from ptc.runtime.intervals import NEWLY_SOLVED, Statistic, interval
from trained.recipes import PROMPTS
from trained.stages import Claimed
from trained.truths import CONDITIONS, NOTHING

VERDICTS = ("supported", "undecided", "refuted")
FAR = 4.0
"""Half-widths from its limit beyond which a truth is to be seen."""
RIGHT = 0.95
FALSELY_SUPPORTED = 0.035
LUCK = 0.975
"""So many claims are few: how many wrong ones chance allows is the quantile of a binomial at this level."""


@dataclass(frozen=True)
class Promise:
    """So many wrong ones of so many claims, and how many there may be."""

    words: str
    claims: int
    wrong: int
    allowed: int

    @property
    def kept(self) -> bool:
        return self.wrong <= self.allowed

    def __str__(self) -> str:
        return f"{self.words}: {self.wrong} of {self.claims}, {self.allowed} allowed{'' if self.kept else ': BROKEN'}"


def promises(claims: Sequence[Claimed]) -> list[Promise]:
    far = [each for each in claims if abs(each.truth.distance) > FAR]
    untrue = [each for each in claims if not each.truth.holds]
    missed = sum(not each.right for each in far)
    supported = sum(each.verdict == "supported" for each in untrue)
    share = f"{FALSELY_SUPPORTED:.1%} and the luck of {len(untrue)} claims"
    return [
        Promise(f"truths beyond {FAR:g} half-widths, not seen", len(far), missed, int((1 - RIGHT) * len(far))),
        Promise(
            f"claims that do not hold, supported ({share})",
            len(untrue),
            supported,
            int(binom.ppf(LUCK, len(untrue), FALSELY_SUPPORTED)),
        ),
    ]


# Tables ---------------------------------------------------------------------------------------------------------------


def by_role(claims: Sequence[Claimed]) -> Iterator[str]:
    """What is so, in rows; the verdict, in columns."""
    yield from _head("claim", "in truth", "claims", *VERDICTS)
    for role in CONDITIONS:
        of = [each for each in claims if each.truth.role == role]
        kinds: dict[str, Callable[[Claimed], bool]] = {
            "holds": lambda each: each.truth.holds,
            "at the limit": lambda each: each.truth.null,
            "does not hold": lambda each: not each.truth.holds and not each.truth.null,
        }
        for words, belongs in kinds.items():
            yield _counted([role, words], [each for each in of if belongs(each)])


BINS = (-np.inf, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, np.inf)


def by_distance(claims: Sequence[Claimed]) -> Iterator[str]:
    yield from _head("half-widths from the limit", "claims", *VERDICTS)
    for low, high in pairwise(BINS):
        some = [each for each in claims if low < each.truth.distance <= high]
        edge = f"below {high:g}" if np.isinf(low) else f"above {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
        yield _counted([edge], some)


def by_word(claims: Sequence[Claimed]) -> Iterator[str]:
    """What stages did, in rows, and in columns what their claim to expand says that was measured."""
    some = [each for each in claims if each.truth.role == "expands"]
    did, measured = (sorted({getattr(each, side) for each in some}) for side in ("did", "measured"))
    yield from _head("did", *measured)
    for word in did:
        said = Counter(each.measured for each in some if each.did == word)
        yield _line([word, *(str(said[other]) for other in measured)])


def wrong(claims: Sequence[Claimed]) -> Iterator[str]:
    """Every claim whose verdict says the contrary of what is so."""
    yield from _head("stage", "claim", "verdict", "in truth", "half-widths from the limit")
    for each in claims:
        if not each.right and each.verdict != "undecided":
            values = ", ".join(f"{name} {value:+.4f}" for name, value in each.truth.values.items())
            stage = f"`{each.design.name}`, {each.design.doses[each.place]} steps"
            yield _line([stage, each.truth.role, each.verdict, values, f"{each.truth.distance:+.2f}"])


def lost_support(claims: Sequence[Claimed]) -> str:
    """What becomes of claims to reshape where pass@1 rises and more is lost than may be."""
    of = [each for each in claims if each.truth.role == "reshapes"]
    some = [each for each in of if each.truth.away["Δpass@1"] > 0 > each.truth.away["attrition"]]
    found = Counter(each.verdict for each in some)
    return f"{len(some)}: {', '.join(f'{found[verdict]} {verdict}' for verdict in VERDICTS)}"


FIRST = Statistic(lambda before, after: (1 - before) * after, lambda before, after: np.ones_like(before))
WAYS: Mapping[str, tuple[Statistic, tuple[str, ...]]] = {
    "none": (FIRST, ("entry", "exit")),
    "what the first draw chose is compared with it": (NEWLY_SOLVED, ("entry", "again", "exit")),
    "it chooses, the first draw is compared": (NEWLY_SOLVED, ("again", "entry", "exit")),
}
"""What a second draw at entry can be used for, when newly solved prompts are counted."""


def by_draws(claims: Sequence[Claimed]) -> Iterator[str]:
    """How each way counts newly solved prompts, over all stages that claim to expand."""
    yield from _head("second draw", "too many, on average", "none, but said for sure", "some, but denied for sure")
    expanding = [each for each in claims if each.truth.role == "expands"]
    for words, (statistic, sides) in WAYS.items():
        excess, said, denied = 0.0, 0, 0
        for each in expanding:
            measured, away = (
                interval(statistic, *(each.solved[side] for side in sides)),
                each.truth.away["newly solved"],
            )
            excess += (measured.value - each.truth.values["newly solved"]) * PROMPTS / len(expanding)
            said += away <= NOTHING and measured.low > 0
            denied += away >= -NOTHING and measured.high < 0
        yield _line([words, f"{excess:+.1f} prompts", str(said), str(denied)])


def by_stage(claims: Sequence[Claimed]) -> Iterator[str]:
    """One line for each stage: what it was meant to do, what it did, and its verdicts."""
    yield from _head("design, steps", "meant", "did", *CONDITIONS)
    stages = dict.fromkeys((each.design.name, each.place) for each in claims)
    for name, place in sorted(stages):
        own = {each.truth.role: each for each in claims if (each.design.name, each.place) == (name, place)}
        first = next(iter(own.values()))
        cells = [_cell(own[role]) if role in own else "" for role in CONDITIONS]
        did = own["expands"].did
        yield _line([f"`{name}` {first.design.doses[place]}", first.design.meant, did, *cells])


def _cell(each: Claimed) -> str:
    mark = "" if each.right or each.verdict == "undecided" else " **wrong**"
    return f"{each.truth.distance:+.1f} {each.verdict}{mark}"


def _counted(first: Sequence[str], some: Sequence[Claimed]) -> str:
    found = Counter(each.verdict for each in some)
    return _line([*first, str(len(some)), *(str(found[verdict]) for verdict in VERDICTS)])


def _head(*cells: str) -> Iterator[str]:
    yield _line(cells)
    yield _line(["---"] * len(cells))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
