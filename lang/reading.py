"""A file to a source text, or one sentence that says what the file is instead.

PyTorch checkpoints end in ``.pt`` too. What a file is, is told by its bytes and never by opening it as what it may be:
nothing is unpickled, unzipped or decoded further than the first bytes that give it away. Only regular files are opened.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ptc.lang import not_programs
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.source import Source
from ptc.lang.suggest import closest

LARGEST = 1 << 20
"""Bytes of a program."""
LONGEST_LINE = 10_000
"""Characters of a line."""
_HEAD = 512
_TAIL = 65_557
"""The end of a zip stands at most this far from the end of a file: its record and the longest comment."""

_BAD_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def read(path: str | os.PathLike[str]) -> Source | Diagnostic:
    """The text of a program file under the path it was asked for; a `Diagnostic` says why it is none."""
    name = os.fspath(path)
    shown = _shown(name)
    try:
        about = os.stat(name)
    except FileNotFoundError:
        if os.path.islink(name):
            return not_programs.broken_link(shown)
        return not_programs.no_such_file(shown, _neighbour(name))
    except NotADirectoryError:
        return not_programs.no_such_file(shown, None)
    except (OSError, ValueError) as error:
        return not_programs.unreadable(shown, _reason(error))
    if stat.S_ISDIR(about.st_mode):
        inside = sorted(entry.name for entry in Path(name).glob("*.pt") if entry.is_file())
        return not_programs.directory(shown, tuple(inside[:3]))
    if not stat.S_ISREG(about.st_mode):
        return not_programs.no_regular_file(shown, _kind(about.st_mode))
    try:
        # The file may have been exchanged since: O_NONBLOCK keeps a pipe from holding us, fstat tells.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return not_programs.no_regular_file(shown, "no regular file")
            head = file.read(_HEAD)
            known = not_programs.recognise(head, about.st_size)
            if known is not None:
                return not_programs.other_file(shown, known)
            if about.st_size > LARGEST:
                return not_programs.too_large(shown, about.st_size, LARGEST)
            data = head + file.read(LARGEST + 1 - len(head))
    except OSError as error:
        return not_programs.unreadable(shown, _reason(error))
    if len(data) > LARGEST:
        return not_programs.too_large(shown, len(data), LARGEST)
    return decode(data, name)


def decode(data: bytes, path: str) -> Source | Diagnostic:
    """The text in the bytes of a whole file. A byte-order mark is dropped, and every line ends in a line feed."""
    shown = _shown(path)
    known = not_programs.recognise(data[:_HEAD], len(data))
    if known is not None:
        return not_programs.other_file(shown, known)
    if len(data) > LARGEST:
        return not_programs.too_large(shown, len(data), LARGEST)
    if b"PK\x05\x06" in data[-_TAIL:]:
        return not_programs.zip_at_the_end(shown)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return not_programs.no_utf8(shown, data, error.start)
    if not text.strip():
        return not_programs.empty(shown)
    source = Source(path, text.replace("\r\n", "\n").replace("\r", "\n"))
    control = _BAD_CONTROL.search(source.text)
    if control is not None:
        return not_programs.control_character(shown, control.group(), source.position(control.start()))
    bidi = _BIDI.search(source.text)
    if bidi is not None:
        return not_programs.bidi_control(shown, bidi.group(), source.position(bidi.start()))
    longest = max(range(1, source.line_count + 1), key=lambda number: len(source.line(number)))
    if len(source.line(longest)) > LONGEST_LINE:
        return not_programs.long_line(shown, longest, len(source.line(longest)), LONGEST_LINE)
    language = not_programs.other_language(source.text)
    if language is not None:
        return not_programs.written_in(shown, language)
    return source


def _shown(name: str) -> str:
    """A path as it can be printed on one line."""
    return "".join(char if char.isprintable() else "?" for char in name.encode("utf-8", "replace").decode())


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or "it cannot be opened").lower() if isinstance(error, OSError) else "it is no path"


def _neighbour(name: str) -> str | None:
    """A file beside the missing one whose name is close to it."""
    folder, base = os.path.split(name)
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry, _ in zip(entries, range(2000), strict=False) if entry.name.endswith(".pt")]
    except OSError:
        return None
    near = closest(base, names) or closest(base + ".pt", names)
    return None if near is None else os.path.join(folder, near)


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((kind for test, kind in kinds if test(mode)), "no regular file")
