"""The wheel, in an environment of its own without torch: the language half is complete."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE_HALF = ("filelock", "lark", "pydantic", "networkx", "rich")

Run = Callable[..., subprocess.CompletedProcess[str]]


def locked(names: tuple[str, ...]) -> list[str]:
    """The locked versions of some packages."""
    lines = (ROOT / "requirements" / "cpu.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.split("==")[0] in names]


@pytest.fixture(scope="module")
def ptc(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`ptc`, installed from a wheel with its plain dependencies, run in an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info", "tests", "benchmarks")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*wheel, str(source)], check=True, timeout=300)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    built = next(folder.glob("ptc-*.whl"))
    install = [str(python), "-m", "pip", "install", "-qq", str(built), *locked(LANGUAGE_HALF)]
    subprocess.run(install, check=True, timeout=300)
    empty = folder / "work"
    shutil.copytree(ROOT / "examples", empty)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(python.with_name("ptc")), *words]
        return subprocess.run(command, cwd=empty, env=clean, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.mark.slow
def test_torch_is_not_there(ptc: Run) -> None:
    done = ptc("run", "spelling.pt")
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    assert "ptc[run]" in done.stderr


@pytest.mark.slow
def test_the_language_server_is_an_extra(ptc: Run) -> None:
    done = ptc("lsp")
    assert done.returncode == 6
    assert done.stderr == 'ptc lsp: the language server needs pygls:  pip install "ptc[lsp]"\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("check", "spelling.pt"), "spelling.pt: ok"),
        (("check", "spelling.pt", "--types"), "on-policy: by reasoner.policy"),
        (("fmt", "spelling.pt"), ""),
        (("explain", "S101"), "# S101"),
        (("plan", "spelling.pt"), "to run"),
        (("graph", "spelling.pt"), "flowchart TD"),
        (("runs",), "no runs"),
        (("new", "sft", "mine"), "wrote mine/program.pt"),
        (("plan", "spelling.pt", "--emit", "core"), "Program"),
    ],
)
def test_the_language_half_works(ptc: Run, words: tuple[str, ...], expected: str) -> None:
    done = ptc(*words)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.mark.slow
def test_json(ptc: Run) -> None:
    assert json.loads(ptc("check", "--json", "spelling.pt").stdout)["files"][0]["ok"]
    assert json.loads(ptc("plan", "--json", "spelling.pt").stdout)["nodes"]
