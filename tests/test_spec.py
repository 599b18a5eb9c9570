"""The specification is the test suite: every program of `tests/spec/*.md` does what its comments and its page say.

A page is prose with fenced programs. ```` ```pt ```` is checked, ```` ```pt syntax ```` is parsed only, and
```` ```bytes ```` is a file, written as Python literals, that is read and parsed. ```` ```pt NAME.pt ```` is a file
beside the program of the next block, which may import it; ```` ```jsonl NAME.jsonl ```` and the like are its data
(`pages`), and it is checked as by ``--data``. In a program

* ``# error: [S101]`` (``# warning:``, ``# note:``) at the end of a line, or alone on the line before, says that a
  finding with this code points at this line; errors and warnings that nothing announces fail the test;
* ``# revealed: …`` behind a declaration says which type is inferred for its name.

A ```` ```text ```` block behind a program is what is printed about it. `pytest --update-spec` writes these blocks anew.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections import Counter
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from pages import Fence, fences

from ptc.lang.diagnostic import Diagnostic
from ptc.lang.parse import parse
from ptc.lang.reading import decode
from ptc.lang.render import render_all
from ptc.lang.source import Source

SPEC = Path(__file__).parent / "spec"
PROGRAMS = {"pt", "pt syntax", "bytes"}
_EXPECTED = re.compile(r"#[ \t]*(?P<severity>error|warning|note):(?P<codes>(?:[ \t]*\[[A-Z]\d{3}\])+)")
_REVEALED = re.compile(r"#[ \t]*revealed:[ \t]*(?P<type>.*\S)")
_NAMED = re.compile(r"[ \t]*(?:source|model|eval|let|train|freeze|track)[ \t]+(?P<name>\w+)")


def _cases() -> list[ParameterSet]:
    cases = []
    for path in sorted(SPEC.glob("*.md")):
        blocks = fences(path.read_text(encoding="utf-8"))
        for number, block in enumerate(blocks):
            if block.tag in PROGRAMS:
                after = blocks[number + 1] if number + 1 < len(blocks) and blocks[number + 1].tag == "text" else None
                name = f"{path.stem}:{block.line}:{re.sub(r'[^a-z0-9]+', '-', block.heading.lower()).strip('-')}"
                cases.append(pytest.param(path, block, after, id=name))
    return cases


def _check(block: Fence) -> tuple[Source, tuple[Diagnostic, ...], dict[str, str]]:
    source = Source("program.pt", block.text)
    if block.tag == "bytes":
        found = decode(_bytes(block.text), "program.pt")
        return (source, (found,), {}) if isinstance(found, Diagnostic) else (found, parse(found)[1], {})
    if block.tag == "pt syntax":
        return source, parse(source)[1], {}
    if block.files:
        from data_pages import looked_at

        looked = looked_at(block)
        return looked.source, looked.diagnostics, dict(looked.type_of or {})
    from ptc.api import check_text

    result = check_text(block.text, "program.pt", siblings=block.siblings, placement=block.placement)
    return source, result.diagnostics, dict(result.type_of or {})


def _bytes(text: str) -> bytes:
    r"""``b"…" * 3 + b"…"``, over as many lines as it likes."""
    data = b""
    for literal, times in re.findall(r"""(b"(?:[^"\\]|\\.)*")(?:[ ]\*[ ]([0-9_]+))?""", text):
        data += literal_eval(literal) * int(times or 1)
    return data


def _expected(text: str) -> Counter[tuple[int, str, str]]:
    """Line, severity and code of every announced finding."""
    found: Counter[tuple[int, str, str]] = Counter()
    for number, line in enumerate(text.split("\n"), start=1):
        for announced in _EXPECTED.finditer(line):
            where = number if line[: announced.start()].strip() else number + 1
            for code in re.findall(r"\[(\w+)\]", announced["codes"]):
                found[where, announced["severity"], code] += 1
    return found


def _revealed(text: str) -> list[tuple[str, str]]:
    """Name and announced type, for every ``# revealed:``."""
    found = []
    name = ""
    for line in text.split("\n"):
        named = _NAMED.match(line)
        name = named["name"] if named else name
        revealed = _REVEALED.search(line)
        if revealed:
            found.append((name, revealed["type"]))
    return found


@pytest.mark.parametrize(("page", "program", "printed"), _cases())
def test_program_does_what_its_page_says(
    page: Path, program: Fence, printed: Fence | None, request: pytest.FixtureRequest
) -> None:
    source, diagnostics, types = _check(program)
    rendered = render_all(diagnostics, source)
    if printed is not None and request.config.getoption("--update-spec"):
        _rewrite(page, program, printed, rendered + "\n")
    elif printed is not None:
        assert rendered + "\n" == printed.text

    announced = _expected(program.text)
    if announced or printed is None:
        found = Counter((_line(d, source), d.severity, d.code) for d in diagnostics)
        notes = {key for key in found if key[1] == "note"} - set(announced)
        assert {key: count for key, count in found.items() if key not in notes} == dict(announced), rendered

    for name, type_ in _revealed(program.text):
        matching = [value for key, value in types.items() if key == name or key.endswith(f".{name}")]
        assert [" ".join(value.split()) for value in matching] == [" ".join(type_.split())]


def _line(diagnostic: Diagnostic, source: Source) -> int:
    """The line of the program that a finding points at, or that leads to where it points."""
    own = [label.span for label in diagnostic.labels if label.span.text is None or label.span.text.path == source.path]
    return source.position(own[0].start)[0] if own else 1


def _rewrite(page: Path, program: Fence, printed: Fence, text: str) -> None:
    """Puts a new rendering into the page; the page may have changed since its blocks were collected."""
    content = page.read_text(encoding="utf-8")
    blocks = fences(content)
    here = next(n for n, block in enumerate(blocks) if block.text == program.text and block.heading == program.heading)
    old = blocks[here + 1]
    page.write_text(content[: old.start] + text + content[old.end :], encoding="utf-8")
