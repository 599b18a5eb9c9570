"""`ptc fmt`: programs in the one style, written only where nothing can be lost."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptc.api import CheckResult
from ptc.checking import show
from ptc.lang.format import CannotFormat, format, with_edition
from ptc.lang.parse import parse
from ptc.lang.placement import THIS_EDITION
from ptc.lang.reading import decode, read
from ptc.lang.source import Source

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Wish:
    """What is to be done with what was laid out; by default files are rewritten."""

    check: bool = False
    diff: bool = False
    edition: int | None = None


def fmt(files: Sequence[str], wish: Wish) -> int:
    """2 if a file cannot be laid out, or would change under `--check`."""
    if wish.edition not in (None, THIS_EDITION):
        print(f"ptc fmt: this version knows edition {THIS_EDITION}, not {wish.edition}", file=sys.stderr)
        return 2
    return max([_one(file, wish) for file in files], default=0)


def _one(file: str, wish: Wish) -> int:
    standard_input = file == STANDARD_INPUT
    data = sys.stdin.buffer.read() if standard_input else None
    found = read(file) if data is None else decode(data, "standard input")
    if not isinstance(found, Source):
        return _refused(CheckResult(Source(file, ""), (found,)), "it is no program")
    tree, syntax = parse(found)
    if syntax:
        return _refused(CheckResult(found, syntax), "it has syntax errors")
    try:
        text = format(tree if wish.edition is None else with_edition(tree, wish.edition))
    except CannotFormat as reason:
        return _refused(CheckResult(found, ()), str(reason))
    changed = text.encode() != (Path(file).read_bytes() if data is None else data)
    if wish.diff:
        sys.stdout.writelines(_difference(found, text))
    elif wish.check:
        print(f"{found.path}: would be reformatted" if changed else "", end="\n" if changed else "")
    elif standard_input:
        sys.stdout.write(text)
    elif changed:
        rewrite(Path(file), text)
        print(f"{file}: reformatted")
    return 2 if wish.check and changed else 0


def _refused(result: CheckResult, why: str) -> int:
    show(result, sys.stderr)
    print(f"{result.source.path}: not formatted: {why}", file=sys.stderr)
    return 2


def _difference(source: Source, text: str) -> list[str]:
    lines = difflib.unified_diff(
        source.text.splitlines(keepends=True), text.splitlines(keepends=True), source.path, source.path
    )
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]


def rewrite(path: Path, text: str) -> None:
    """Replaces a program's text in one step, so that an interruption leaves the old or the new one."""
    target = path.resolve()
    beside = target.with_name(f".{target.name}.new")
    beside.write_bytes(text.encode())
    beside.chmod(target.stat().st_mode)
    beside.replace(target)
