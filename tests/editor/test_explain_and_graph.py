"""`ptc explain` by code and by name; `ptc graph` in each of its forms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ptc import explaining
from ptc.cli import main
from ptc.compiler.findings import CHECKS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "spelling.pt")


def _names_in_lang() -> dict[str, str]:
    texts = "".join((ROOT / "lang" / name).read_text("utf-8") for name in ("mistakes.py", "not_programs.py"))
    return dict(re.findall(r'"([SU]1\d\d)",\s*"([a-z0-9-]+)"', texts))


def test_every_finding_is_explained_by_its_name() -> None:
    names = {check.code: check.name for check in CHECKS} | _names_in_lang()
    assert {page.code: page.name for page in explaining.pages()} == names


@pytest.mark.parametrize("word", ["P201", "p201", "false-on-policy", "false_on_policy", "False-On-Policy"])
def test_code_and_name_lead_to_one_page(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", word]) == 0
    assert capsys.readouterr().out.startswith("# P201: false-on-policy\n")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("P2O1", "P201"),
        ("false-onpolicy", "false-on-policy"),
        ("unclosed_braket", "unclosed-bracket"),
        ("comma", "missing-comma"),
    ],
)
def test_a_slip_is_guessed(word: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", word]) == 2
    error = capsys.readouterr().err
    assert f"did you mean `{meant}`?" in error and error.count("\n") == 1


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "P201  false-on-policy" in lines
    assert "S118  missing-comma" in lines
    assert lines == sorted(lines)


def test_a_graph_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", EXAMPLE]) == 0
    assert capsys.readouterr().out.startswith("flowchart TD\n")
    assert main(["graph", EXAMPLE, "--format", "dot"]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith("digraph {\n") and "\\ntrain" in drawn
    assert main(["graph", EXAMPLE, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and set(document["roots"]) <= set(document["nodes"])


def _dot(folder: Path, script: str) -> None:
    (folder / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "dot").chmod(0o755)


def test_a_picture_is_drawn_by_graphviz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for `dot` that answers with its arguments and what it was told."""
    _dot(tmp_path, 'echo "<svg><!-- $* $(head -c 9) --></svg>"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert main(["graph", EXAMPLE, "--format", "svg"]) == 0
    assert capsys.readouterr().out == "<svg><!-- -Tsvg digraph { --></svg>\n"
    _dot(tmp_path, "echo 'syntax error' >&2; exit 1")
    assert main(["graph", EXAMPLE, "--format", "svg"]) == 6
    assert capsys.readouterr().err.endswith("ptc: the `dot` of Graphviz did not draw: syntax error\n")


def test_without_graphviz_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["graph", EXAMPLE, "--format", "svg"]) == 6
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.splitlines()[-1]
    assert said.startswith("ptc: --format svg needs `dot` of Graphviz, which is not installed")
