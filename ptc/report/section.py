"""What every section of a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of ``report.json``: read-only, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Section):
    """A measured number, and where it lies at 95 %."""

    value: float
    low: float
    high: float

    @staticmethod
    def of(interval: Mapping[str, Any]) -> Estimate:
        """From an interval as `verdict.json` has it."""
        return Estimate(value=interval["value"], low=interval["low"], high=interval["high"])
