"""`ptc fmt`: what it writes, what it prints, and that it rather writes nothing than something else."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from ptc.cli import main
from ptc.lang import format as formatter
from ptc.lang.parse import parse
from ptc.lang.source import Source

LOOSE = '# what it is\nsource   tasks = gym( "chain_sum" )\n'
LAID_OUT = '# what it is\nsource tasks = gym("chain_sum")\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "program.pt"
    path.write_text(LOOSE)
    return path


def _reads(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_file_is_rewritten_in_place(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o640)
    assert main(["fmt", "program.pt"]) == 0
    assert file.read_text() == LAID_OUT
    assert file.stat().st_mode & 0o777 == 0o640
    assert capsys.readouterr().out == "program.pt: reformatted\n"
    assert main(["fmt", "program.pt"]) == 0
    assert capsys.readouterr().out == ""
    assert os.listdir() == ["program.pt"]


def test_a_link_stays_a_link(file: Path) -> None:
    link = file.with_name("link.pt")
    link.symlink_to(file)
    assert main(["fmt", "link.pt"]) == 0
    assert link.is_symlink()
    assert file.read_text() == LAID_OUT


def test_line_ends_are_laid_out_too(file: Path) -> None:
    file.write_bytes(LAID_OUT.replace("\n", "\r\n").encode())
    assert main(["fmt", "--check", "program.pt"]) == 2
    assert main(["fmt", "program.pt"]) == 0
    assert file.read_bytes() == LAID_OUT.encode()


def test_the_difference_is_a_patch(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--diff", "program.pt"]) == 0
    assert file.read_text() == LOOSE
    assert capsys.readouterr().out.splitlines() == [
        "--- program.pt",
        "+++ program.pt",
        "@@ -1,2 +1,2 @@",
        " # what it is",
        '-source   tasks = gym( "chain_sum" )',
        '+source tasks = gym("chain_sum")',
    ]
    assert main(["fmt", "--diff", "--check", "program.pt"]) == 2


def test_standard_input_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _reads(monkeypatch, LOOSE)
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out == LAID_OUT
    _reads(monkeypatch, "source = = 3")
    assert main(["fmt", "-"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("standard input: not formatted: it has syntax errors\n")


def test_an_edition_is_added_where_it_is_missing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--edition", "2026", "program.pt"]) == 0
    assert file.read_text() == f"edition 2026\n\n{LAID_OUT}"
    assert main(["fmt", "--edition", "2026", "program.pt"]) == 0
    assert file.read_text() == f"edition 2026\n\n{LAID_OUT}"
    capsys.readouterr()
    assert main(["fmt", "--edition", "2027", "program.pt"]) == 2
    assert capsys.readouterr().err == "ptc fmt: this version knows edition 2026, not 2027\n"


def test_an_edition_stands_before_comments_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _reads(monkeypatch, "# to be written\n")
    assert main(["fmt", "--edition", "2026", "-"]) == 0
    assert capsys.readouterr().out == "edition 2026\n# to be written\n"


def _untouched(file: Path, capsys: pytest.CaptureFixture[str], why: str) -> None:
    assert main(["fmt", "program.pt"]) == 2
    assert file.read_text() == LOOSE
    assert capsys.readouterr().err == f"program.pt: not formatted: {why}\n"


def test_what_would_read_otherwise_is_not_written(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formatter, "lay_out", lambda program: "source tasks = gym(1)\n")
    _untouched(file, capsys, "laid out, it would not read as what it is")
    monkeypatch.setattr(formatter, "lay_out", lambda program: "source tasks = (\n")
    _untouched(file, capsys, "laid out, it would not read as what it is")


def test_what_would_lose_a_comment_is_not_written(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formatter, "same", lambda one, other: True)
    monkeypatch.setattr(formatter, "lay_out", lambda program: 'source tasks = gym("chain_sum")\n')
    _untouched(file, capsys, "laid out, it would lose a comment")


def test_what_would_not_stay_as_it_is_is_not_written(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out = formatter.lay_out
    monkeypatch.setattr(
        formatter, "lay_out", lambda program: lay_out(program) + "\n" * (len(program.source.text) < len(LOOSE))
    )
    _untouched(file, capsys, "laid out twice, it would change again")


def test_a_file_with_errors_stays(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("source = = 3\n")
    assert main(["fmt", "program.pt"]) == 2
    assert file.read_text() == "source = = 3\n"
    assert capsys.readouterr().err.endswith("program.pt: not formatted: it has syntax errors\n")


def test_the_edition_of_a_tree() -> None:
    tree, _ = parse(Source("p.pt", "edition 2026  # the first\nlet a = 1\n"))
    assert formatter.format(formatter.with_edition(tree, 2026)) == "edition 2026  # the first\nlet a = 1\n"
