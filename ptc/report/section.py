"""What every section of a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of ``report.json``: read-only, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Section):
    """A measured number, and where it lies at 95 %. None: what was measured sets no bound, or says nothing at all."""

    value: float | None
    low: float | None
    high: float | None

    @staticmethod
    def of(interval: Mapping[str, Any]) -> Estimate:
        """From an interval as `verdict.json` has it."""
        value, low, high = (_finite(interval[name]) for name in ("value", "low", "high"))
        return Estimate(value=value, low=low, high=high)


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None
