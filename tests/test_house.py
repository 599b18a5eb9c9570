"""The house: who may import whom, what stays out of `ptc check`, and pages that are made from the source."""

from __future__ import annotations

import ast
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED: dict[str, tuple[str, ...]] = {
    "lang": ("ptc.lang",),
    "compiler": ("ptc.compiler", "ptc.lang"),
    "stdlib": ("ptc.stdlib",),
    "runtime": ("ptc.runtime", "ptc.stdlib", "ptc.compiler.graph", "ptc.compiler.graph_document"),
}
"""What of ours each part may import: of the compiler, the runtime sees the graph, which is data."""

PURE = ("lang", "compiler")
IMPURE = {
    *("torch", "transformers", "accelerate", "datasets", "huggingface_hub", "vllm", "numpy", "pyarrow"),
    *("socket", "ssl", "http", "urllib", "requests", "httpx"),
    *("time", "datetime", "random", "secrets"),
    *("subprocess", "threading", "multiprocessing", "asyncio", "tempfile", "shutil", "signal"),
}
"""Neither language nor compiler computes with weights, asks the network or looks at the clock."""


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module of a file, those inside functions too, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def modules(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("part", ALLOWED)
def test_parts_import_only_what_they_may(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in modules(part)
        for module, line in imports(path)
        if module.startswith("ptc.") and not any(f"{module}.".startswith(f"{own}.") for own in ALLOWED[part])
    ]
    assert not wrong


@pytest.mark.parametrize("part", PURE)
def test_language_and_compiler_are_pure(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in modules(part)
        for module, line in imports(path)
        if module.split(".")[0] in IMPURE
    ]
    assert not wrong


def test_nobody_imports_the_folders_by_their_bare_names() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for part in (*ALLOWED, "tests", "benchmarks")
        for path in modules(part)
        for module, line in imports(path)
        if module.split(".")[0] in ALLOWED
    ]
    assert not wrong


def test_links_are_relative() -> None:
    for name in (*ALLOWED, "errors"):
        assert not os.readlink(ROOT / "ptc" / name).startswith("/")


def test_check_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ptc", "check", "examples/spelling.pt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    traced = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    found = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in traced}
    assert "lark" in found
    assert not found & {"torch", "transformers", "networkx", "pydantic", "rich", "numpy", "pyarrow"}


GENERATED = (
    "docs/monitors.md",
    "docs/from-trl.md",
    "docs/demo.md",
    "docs/objectives.md",
    "tests/spec/words.md",
    "README.md",
)


@pytest.mark.parametrize("page", GENERATED)
def test_generated_pages_are_up_to_date(page: str) -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]
    assert (ROOT / page).read_text(encoding="utf-8") == pages[page](), "run `make docs`"


LONGEST_FILE = 500


def test_files_stay_short() -> None:
    parts = (*ALLOWED, "ptc")
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for part in parts
        for path in modules(part)
    }
    assert not {path: length for path, length in lengths.items() if length > LONGEST_FILE}


def dataclasses_of(path: Path) -> Iterator[ast.ClassDef]:
    for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(found, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in found.decorator_list):
            yield found


@pytest.mark.parametrize("part", PURE)
def test_dataclasses_say_what_they_are(part: str) -> None:
    """To one that does not, `dataclasses` gives its signature: what `ptc check` would wait for, class by class."""
    assert not [kind.name for path in modules(part) for kind in dataclasses_of(path) if not ast.get_docstring(kind)]
