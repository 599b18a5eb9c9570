"""A fault in a verifier and not in a program: it gives the wrong verdict on most rows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from unittest.mock import patch

from ptc.probes import verifiers
from ptc.runtime.verifier_pool import Judge, Row
from ptc.stdlib.verifiers import Fail, Pass, Verdict

FLIPPED = 6
"""Rows of ten whose verdict is turned round."""


class Flipped(Judge):
    """The real verifier, in its real process; what it says is turned round on 60 % of the rows."""

    def verdicts(self, rows: Sequence[Row]) -> list[Verdict]:
        said = super().verdicts(rows)
        return [_turned(verdict) if _chosen(row) else verdict for row, verdict in zip(rows, said, strict=True)]


def _chosen(row: Row) -> bool:
    return zlib.crc32(f"{row.get('prompt')}\0{row['response']}\0{row.get('answer')}".encode()) % 10 < FLIPPED


def _turned(verdict: Verdict) -> Verdict:
    match verdict:
        case Pass():
            return Fail()
        case Fail():
            return Pass()
        case _:
            return verdict


def flipped() -> AbstractContextManager[object]:
    """While it lasts, every verifier that a probe asks is flipped."""
    return patch.object(verifiers, "Judge", Flipped)
