"""Reads what lies in artifacts. They never change, so each is read once, however often a page is written anew."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ptc.runtime.artifacts import Artifact
from ptc.runtime.tables import COUNTS_FILE, ROWS_FILE, read_table


def summary(artifact: Artifact) -> dict[str, Any]:
    """``summary.json`` of a measurement."""
    return _document(artifact.path / "summary.json")


def verdict(artifact: Artifact) -> dict[str, Any]:
    """``verdict.json`` of a claim or gate."""
    return _document(artifact.path / "verdict.json")


def counts(artifact: Artifact) -> list[dict[str, Any]]:
    """The prompts of a measurement."""
    return _rows(artifact.path / COUNTS_FILE, None)


def rows(artifact: Artifact, count: int) -> list[dict[str, Any]]:
    """The first rows of an artifact of rows."""
    return _rows(artifact.path / ROWS_FILE, count)


@lru_cache(maxsize=512)
def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@lru_cache(maxsize=64)
def _rows(path: Path, count: int | None) -> list[dict[str, Any]]:
    table = read_table(path)
    found: list[dict[str, Any]] = (table if count is None else table.slice(0, count)).to_pylist()
    return found
