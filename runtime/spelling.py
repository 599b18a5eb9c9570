"""How what was measured is written: rates in percent, their differences in points, everything else as a number."""

from __future__ import annotations

from ptc.runtime.intervals import Interval

RATES = ("pass_rate", "win_rate")


def amount(kind: str, value: float, bare: bool = False) -> str:
    """``54.0%``, or without its sign ``54.0``; ``1.234`` of what is no rate."""
    return f"{100 * value:.1f}{'' if bare else '%'}" if kind in RATES else f"{value:.3f}"


def reach(kind: str, found: Interval) -> str:
    """``[51.2, 56.8]``."""
    return f"[{amount(kind, found.low, bare=True)}, {amount(kind, found.high, bare=True)}]"


def difference(kind: str, change: Interval, signed: bool = True) -> str:
    """``-4.2 points [-6.1, -2.3]``; without its sign, a loss as what was lost: ``4.2 points [2.3, 6.1]``."""
    value, low, high = change.value, change.low, change.high
    if not signed and value < 0:
        value, low, high = -value, -high, -low
    sign = "+" if signed else ""
    if kind in RATES:
        return f"{100 * value:{sign}.1f} points [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def share(part: Interval) -> str:
    """``38% [20, 57]``."""
    return f"{part.value:.0%} [{100 * part.low:.0f}, {100 * part.high:.0f}]"
