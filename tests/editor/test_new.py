"""`ptc new`: each template is a program without a finding that can be planned at once, and nothing is overwritten."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ptc import api
from ptc.cli import main
from ptc.lang.format import format as lay_out
from ptc.lang.parse import parse
from ptc.lang.source import Source
from ptc.runtime.profile import load_profile
from ptc.starting import TEMPLATES

SHELF = Path(__file__).resolve().parents[2] / "ptc" / "templates"


def test_every_template_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(listed) == sorted(folder.name for folder in SHELF.iterdir() if folder.name != "common")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_program_checks_and_can_be_planned(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", template]) == 0
    monkeypatch.chdir(tmp_path / template)
    text = Path("program.pt").read_text(encoding="utf-8")
    assert [each for each in api.check_file("program.pt").diagnostics if each.severity != "note"] == []
    tree, _ = parse(Source("program.pt", text))
    assert lay_out(tree) == text
    assert main(["plan", "program.pt", "--profile", "profile.toml"]) == 0
    assert "to run" in capsys.readouterr().out
    load_profile(Path("profile.toml"))


def test_git_keeps_programs_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitignore").write_text("*.pt\n")
    (tmp_path / ".gitattributes").write_text("*.pt filter=lfs diff=lfs merge=lfs -text\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    assert main(["new", "sft", "mine"]) == 0
    ignored = subprocess.run(["git", "check-ignore", "mine/program.pt"], cwd=tmp_path, check=False)
    assert ignored.returncode == 1
    asked = ["git", "check-attr", "text", "filter", "--", "mine/program.pt"]
    told = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "text: set" in told and "filter: unset" in told


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/profile.toml").write_text("precious")
    assert main(["new", "grpo", "mine"]) == 2
    assert capsys.readouterr().err == "ptc new: mine/profile.toml exists, and nothing is overwritten\n"
    assert [path.name for path in Path("mine").iterdir()] == ["profile.toml"]
    Path("file").write_text("")
    assert main(["new", "grpo", "file"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "gpro"]) == 2
    assert "did you mean `grpo`?" in capsys.readouterr().err
    assert main(["new", "x"]) == 2
    assert "there are sft, dpo" in capsys.readouterr().err
