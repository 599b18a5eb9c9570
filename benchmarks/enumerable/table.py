"""What an objective should reach on the small world, and what it reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from enumerable.world import World

NATS = 0.02
"""What a quantity in nats may be off by."""
SHARE = 0.02
"""What any other may, of itself."""


@dataclass(frozen=True)
class Row:
    """One quantity."""

    objective: str
    quantity: str
    low: float
    high: float
    """Where it should lie: both the same where it has a closed form."""
    reached: float
    tolerance: float

    @property
    def off(self) -> float:
        """How far beyond where it should lie."""
        return max(self.low - self.reached, self.reached - self.high)

    @property
    def holds(self) -> bool:
        return self.off <= self.tolerance

    @property
    def cells(self) -> tuple[str, ...]:
        should = f"{self.low:.4f}" if self.low == self.high else f"{self.low:.4g} to {self.high:.4g}"
        allowed = f"{self.tolerance:.3g}" if self.low == self.high else ""
        return f"`{self.objective}`", self.quantity, should, f"{self.reached:.4f}", allowed


Case = Callable[[World], Iterable[Row]]
CASES: list[tuple[str, Case]] = []
"""What each objective is taught, in the order of the table: (name of the case, what runs it)."""


def case(function: Callable[[World], Iterator[Row]]) -> Case:
    CASES.append((function.__name__, function))
    return function


def nats(objective: str, quantity: str, expected: float, reached: float) -> Row:
    """A divergence, an entropy, a reward difference."""
    return Row(objective, f"{quantity} [nats]", expected, expected, reached, NATS)


def share(objective: str, quantity: str, expected: float, reached: float) -> Row:
    """Anything else: to 2 % of itself."""
    return Row(objective, quantity, expected, expected, reached, SHARE * abs(expected))


def between(objective: str, quantity: str, low: float, high: float, reached: float) -> Row:
    """What has no closed form: a sign, an interval."""
    return Row(objective, quantity, low, high, reached, 0.0)


def worst(rows: Sequence[Row]) -> Row:
    """The one of several that is off by the most."""
    return max(rows, key=lambda row: row.off)


HEAD = ("objective", "quantity", "should be", "reached", "within")


def markdown(rows: Sequence[Row]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
