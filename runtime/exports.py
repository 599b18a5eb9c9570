"""Exports: a copy of an artifact where the program wants it, replaced as a whole or not at all.

A card stands beside the copy (`ptc.cards`). One that somebody has changed, or written, is theirs: it stays where it is,
also when the model is replaced, and ours stands under another name.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ptc.compiler.graph import digest
from ptc.runtime.artifacts import Artifact, InputWrong, ResourceMissing
from ptc.runtime.fsio import Disk, StrangeFile, digest_of, regular_files
from ptc.runtime.manifest import Damage, Manifest
from ptc.runtime.store import MANIFEST

CARD = "README.md"
CARD_BESIDE = "README.ptc.md"
"""Where our card stands if somebody else's stands in its place."""
_SEAL = re.compile(r"\n<!-- ptc: ([0-9a-f]{64}) -->\n\Z")


def lock_of(target: Path) -> str:
    """The lock that whoever changes an export holds."""
    return f"export-{digest(str(target.resolve()))}"


def refuse_place(target: Path) -> None:
    """Raises for a place at which nothing can be put, so that it is known before anything is trained."""
    _refuse_foreign(target)
    above = next(folder for folder in target.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputWrong(f"{target} cannot be written, {above} is no folder: export elsewhere")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ResourceMissing(f"{target} cannot be written, nothing may be written in {above}: export elsewhere")


def _refuse_foreign(target: Path) -> None:
    if target.exists() and not _is_export(target):
        raise InputWrong(f"{target} is there already and is no export of ptc: move it away, or export elsewhere")


def place(artifact: Artifact, target: Path, disk: Disk) -> bool:
    """Makes `target` a copy of the artifact's folder, with its manifest; False if it is one already, card aside.

    An earlier export is replaced. `InputWrong` if something else stands there: that is not ours to delete. The caller
    holds a lock for `target`.
    """
    for rest in target.parent.glob(f".{target.name}-ptc-*"):  # of a run that was killed here
        disk.remove(rest)
    if _is_copy(artifact, target):
        return False
    _refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}-ptc-new")
    disk.copy(artifact.path, fresh)
    if (target / CARD).is_file() and not _is_ours(target / CARD):
        disk.write(fresh / CARD, (target / CARD).read_bytes())
    if target.exists():
        old = target.with_name(f".{target.name}-ptc-old")
        disk.rename(target, old)
        disk.rename(fresh, target)
        disk.remove(old)
    else:
        disk.rename(fresh, target)
    return True


def keep_card(target: Path, text: str, disk: Disk) -> Path:
    """Writes the card of an export, unless it stands there; where it stands. The caller holds the export's lock."""
    sealed = f"{text}\n<!-- ptc: {hashlib.sha256(text.encode()).hexdigest()} -->\n".encode()
    path = target / CARD
    if path.exists() and not _is_ours(path):
        path = target / CARD_BESIDE
    if not path.is_file() or path.read_bytes() != sealed:
        disk.replace(path, sealed, target.with_name(f".{target.name}-ptc-card"))
    return path


def _is_ours(card: Path) -> bool:
    """Whether a card is as ptc wrote it, whenever that was."""
    text = card.read_bytes().decode("utf-8", "replace")
    seal = _SEAL.search(text)
    return seal is not None and hashlib.sha256(text[: seal.start()].encode()).hexdigest() == seal[1]


def _is_copy(artifact: Artifact, target: Path) -> bool:
    try:
        names = set(regular_files(target)) - {CARD, CARD_BESIDE}
        return names == set(regular_files(artifact.path)) and all(
            digest_of(target / name) == digest_of(artifact.path / name) for name in names
        )
    except (OSError, StrangeFile):
        return False


def _is_export(target: Path) -> bool:
    """An earlier export, altered perhaps, or an empty folder."""
    if not target.is_dir():
        return False
    if not any(target.iterdir()):
        return True
    try:
        Manifest.parse((target / MANIFEST).read_bytes())
    except (OSError, Damage):
        return False
    return True
