"""`docs/lines-of-code.md` says what is counted."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lines() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lines", ROOT / "benchmarks" / "lines.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lines"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_is_counted(lines: ModuleType) -> None:
    pytest.importorskip("trl")
    assert (ROOT / "docs" / "lines-of-code.md").read_text(encoding="utf-8") == lines.page()


def test_comments_and_docstrings_do_not_count(lines: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "some_trainer.py"
    path.write_text(
        '"""Of the module."""\nimport os\n\n\nclass SomeTrainer:\n    """Of the class,\n\n    long."""\n\n'
        "    # a comment\n    size: int = field(\n        default=1,\n"
        '        metadata={"help": "much"\n        " text"},\n    )\n\n'
        '    def run(self):\n        """Of the function."""\n        return """a\n# text"""\n\n\n'
        "def helper():\n    pass\n",
        encoding="utf-8",
    )
    assert lines.class_lines(path) == [
        "class SomeTrainer:",
        "size: int = field(",
        "default=1,",
        ")",
        "def run(self):",
        'return """a',
        '# text"""',
    ]
