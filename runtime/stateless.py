"""What a source of samples is that has nothing to remember."""

from __future__ import annotations

from pathlib import Path


class Stateless:
    """What a flow is whose draws depend on their step alone, and that takes units of its own."""

    follows: str | None = None

    def save(self, folder: Path, source: str) -> None:
        """There is nothing to write down."""

    def load(self, folder: Path, source: str) -> None:
        """There is nothing to take up again."""
