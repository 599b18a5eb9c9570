"""Puts cards into exports, at the end of a run: when every verdict is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ptc.cards.card import card
from ptc.runtime.executor import Outcome
from ptc.runtime.exports import CARD, keep_card, lock_of
from ptc.runtime.history import history
from ptc.runtime.store import Locked, Store


def write_cards(store: Store, outcome: Outcome) -> Iterator[str]:
    """Writes the card of each export that stands; a line for each one that could not stand where it belongs."""
    if not outcome.exports:
        return
    found = history(store, outcome.folder)
    for meaning, folder in outcome.exports.items():
        try:
            with store.lock(lock_of(folder), found.id, timeout=10.0):
                written = keep_card(folder, card(found, meaning, folder), store.disk)
        except Locked as locked:
            yield f"{folder / CARD}: {locked}, which writes it"
            continue
        if written.name != CARD:
            yield f"{_shown(folder / CARD)} is not as ptc wrote it, and stays; the card of this run is {written.name}"


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
