"""Files that are no programs: how they are recognised, and what is said about them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ptc.lang.diagnostic import Diagnostic


@dataclass(frozen=True)
class Kind:
    """What a file is. `what` completes "this is …, not a program"."""

    code: str
    name: str
    what: str
    helps: tuple[str, ...] = ()


_LOAD = 'weights go into a program as  model base = local.model("FOLDER"), a Hugging Face folder with safetensors'
_ZIP = Kind("S151", "pytorch-checkpoint", "a PyTorch checkpoint (a zip archive)", (_LOAD,))
_PICKLE = Kind("S152", "pickle", "a Python pickle (an old PyTorch checkpoint, perhaps)", (_LOAD,))


def _weights(what: str) -> Kind:
    return Kind("S153", "model-weights", what, (_LOAD,))


def _binary(what: str) -> Kind:
    return Kind("S154", "other-file-format", what)


def _data(what: str) -> Kind:
    return Kind(
        "S154",
        "other-file-format",
        what,
        ('a program reads rows with  parquet("rows.parquet") or jsonl("rows.jsonl")',),
    )


_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"PK\x07\x08", _ZIP),
    (b"GGUF", _weights("a GGUF model file")),
    (b"\x7fELF", _binary("an executable (ELF)")),
    (b"MZ\x90", _binary("an executable for Windows")),
    (b"\xcf\xfa\xed\xfe", _binary("an executable for macOS")),
    (b"\x1f\x8b", _binary("a gzip archive")),
    (b"BZh", _binary("a bzip2 archive")),
    (b"\xfd7zXZ\x00", _binary("an xz archive")),
    (b"\x28\xb5\x2f\xfd", _binary("a zstandard archive")),
    (b"7z\xbc\xaf\x27\x1c", _binary("a 7-zip archive")),
    (b"\x93NUMPY", _data("a NumPy array")),
    (b"\x89HDF\r\n\x1a\n", _weights("an HDF5 file")),
    (b"PAR1", _data("a Parquet table")),
    (b"ARROW1", _data("an Arrow table")),
    (b"SQLite format 3\x00", _binary("an SQLite database")),
    (b"\x89PNG\r\n\x1a\n", _binary("a PNG picture")),
    (b"\xff\xd8\xff", _binary("a JPEG picture")),
    (b"GIF8", _binary("a GIF picture")),
    (b"%PDF-", _binary("a PDF document")),
    (b"\xff\xfe", Kind("S155", "not-utf-8", "text in UTF-16", ("save it as UTF-8",))),
    (b"\xfe\xff", Kind("S155", "not-utf-8", "text in UTF-16", ("save it as UTF-8",))),
)


def recognise(head: bytes, size: int) -> Kind | None:
    """What the first bytes of a file of `size` bytes give away."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return _PICKLE
    if re.match(rb"\((?:dp|lp|i)[0-9]*\n|c[a-z_.]+\n[A-Za-z_]+\n", head):
        return _PICKLE
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= max(size - 8, 2):
        return _weights("a safetensors file")
    if len(head) > 262 and head[257:262] == b"ustar":
        return _binary("a tar archive")
    if len(head) >= 4 and (head[1:4:2] == b"\x00\x00" or head[0:3:2] == b"\x00\x00") and any(head[:4]):
        return Kind("S155", "not-utf-8", "text in UTF-16", ("save it as UTF-8",))
    return None


_COMMENTS = r"(?:[ \t]*(?:#.*)?\n)*"
_PYTHON = (
    r"import [\w.]+(?: as \w+)?[ \t]*(?:#.*)?$",
    r"from [\w.]+ import \w.*\n(?:.*\n)*?(?:def|class|import) ",
    r"def \w+\(.*:$",
    r"class \w+.*:$",
    r'"""(?:.*\n)+?(?:import|from) ',
)
_LANGUAGES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("JSON", re.compile(r"\s*(?:\{\s*(?:\"|\}\s*\Z)|\[\s*[\[{\"\d\]])")),
    ("a shell script", re.compile(r"#!.*\b(?:ba|z)?sh\b")),
    ("Python", re.compile(rf"#!.*python|{_COMMENTS}(?:{'|'.join(_PYTHON)})", re.M)),
    ("YAML", re.compile(rf"{_COMMENTS}(?:---[ \t]*$|[A-Za-z_][\w-]*:(?:[ \t].*)?$)", re.M)),
    ("TOML", re.compile(rf"{_COMMENTS}\[{{1,2}}[A-Za-z_][\w.\"-]*\]{{1,2}}[ \t]*$", re.M)),
    ("HTML or XML", re.compile(r"\s*<(?:!DOCTYPE|html|\?xml|svg)", re.I)),
    ("Markdown", re.compile(r"\s*```")),
    ("a table of comma-separated values", re.compile(r"\w+(?:,\w+)+[ \t]*\n[^\n]*,")),
    ("a pointer to a file in Git LFS, whose content was not fetched", re.compile(r"version https://git-lfs")),
)


def other_language(text: str) -> str | None:
    """The format that a text is evidently written in, if it is not this language."""
    return next((name for name, pattern in _LANGUAGES if pattern.match(text)), None)


def _refused(code: str, name: str, path: str, what: str, *helps: str) -> Diagnostic:
    return Diagnostic(code, name, "error", f"{path}: {what}", helps=helps)


def other_file(path: str, kind: Kind) -> Diagnostic:
    return _refused(kind.code, kind.name, path, f"this is {kind.what}, not a program", *kind.helps)


def written_in(path: str, language: str) -> Diagnostic:
    return _refused(
        "S156", "other-language", path, f"this is {language}, not a program",
        "a program begins with  edition 2026",
    )  # fmt: skip


def no_utf8(path: str, data: bytes, offset: int) -> Diagnostic:
    line = data.count(b"\n", 0, offset) + 1
    if sum(byte < 9 or 13 < byte < 32 or byte > 126 for byte in data[:4096]) * 4 > min(len(data), 4096):
        return _refused(
            "S154", "other-file-format", path, "this is binary data of no kind that is known here, not a program"
        )
    return _refused(
        "S155", "not-utf-8", path, f"this text is not UTF-8: byte 0x{data[offset]:02x} in line {line}",
        "save it as UTF-8",
    )  # fmt: skip


def control_character(path: str, char: str, position: tuple[int, int]) -> Diagnostic:
    line, column = position
    what = "a NUL byte" if char == "\x00" else f"the control character U+{ord(char):04X}"
    return _refused("S157", "control-character", path, f"{what} stands in line {line}, column {column}", "remove it")


def bidi_control(path: str, char: str, position: tuple[int, int]) -> Diagnostic:
    line, column = position
    return _refused(
        "S158", "hidden-direction", path,
        f"the invisible character U+{ord(char):04X} in line {line}, column {column} changes the order of the text",
        "remove it: a reader would see another program than the one that is read",
    )  # fmt: skip


def zip_at_the_end(path: str) -> Diagnostic:
    return _refused(
        "S159", "zip-at-the-end", path,
        "a zip archive (a PyTorch checkpoint, perhaps) is hidden at the end of this text",
        "a program is text and nothing else",
    )  # fmt: skip


def empty(path: str) -> Diagnostic:
    return _refused(
        "S160", "empty-file", path, "this file is empty", "a program begins with  edition 2026"
    )  # fmt: skip


def too_large(path: str, size: int, largest: int) -> Diagnostic:
    return _refused(
        "S161", "file-too-large", path, f"{size:_} bytes; a program has at most {largest:_}",
        "data and weights stand in files of their own, which a program names",
    )  # fmt: skip


def long_line(path: str, line: int, length: int, longest: int) -> Diagnostic:
    return _refused(
        "S162", "line-too-long", path, f"line {line} has {length:_} characters; at most {longest:_} are read",
        "new lines are white space: break it anywhere outside a string",
    )  # fmt: skip


def no_such_file(path: str, neighbour: str | None) -> Diagnostic:
    helps = () if neighbour is None else (f"did you mean `{neighbour}`?",)
    return _refused("S163", "no-such-file", path, "there is no such file", *helps)


def broken_link(path: str) -> Diagnostic:
    return _refused("S163", "no-such-file", path, "this is a link to a file that does not exist")


def directory(path: str, programs: tuple[str, ...]) -> Diagnostic:
    helps = tuple(f"a program in it:  {path.rstrip('/')}/{name}" for name in programs)
    return _refused("S164", "not-a-file", path, "this is a folder, not a program", *helps)


def no_regular_file(path: str, kind: str) -> Diagnostic:
    return _refused("S164", "not-a-file", path, f"this is {kind}, not a program; it was not opened")


def unreadable(path: str, why: str) -> Diagnostic:
    return _refused("S165", "unreadable-file", path, f"this file cannot be read: {why}")
