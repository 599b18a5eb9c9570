"""Files beside a program, as they lie on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptc import api
from ptc.lang.source import Source
from ptc.siblings import Siblings

SHARED = 'edition 2026\nsource tasks = gym("chain_sum", size = 100, seed = 1) |> prompts(.question)\n'


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    (folder / "parts").mkdir(parents=True)
    (folder / "shared.pt").write_text(SHARED)
    (folder / "parts" / "more.pt").write_text("edition 2026\nfrom .near import tasks\nsource few = tasks |> take(9)\n")
    (folder / "parts" / "near.pt").write_text(SHARED)
    return folder / "program.pt"


def codes(program: Path, text: str) -> list[str]:
    program.write_text(f"edition 2026\n{text}")
    return [found.code for found in api.check_file(program).diagnostics if found.severity == "error"]


def test_files_are_read_beside_the_program_and_below_it(program: Path) -> None:
    assert codes(program, "from .shared import tasks\nfrom .parts.more import few\n") == []
    assert list(Siblings(str(program))) == ["program.pt", "shared.pt", "parts/more.pt", "parts/near.pt"]


def test_a_file_below_imports_what_lies_beside_itself(program: Path) -> None:
    (program.parent / "parts" / "near.pt").unlink()
    assert codes(program, "from .parts.more import few\n") == ["N114"]


def test_a_link_out_of_the_folder_is_not_followed(program: Path) -> None:
    (program.parent.parent / "secret.pt").write_text(SHARED)
    (program.parent / "linked.pt").symlink_to("../secret.pt")
    assert codes(program, "from .linked import tasks\n") == ["N114"]
    assert Siblings(str(program))["linked.pt"] == "it lies outside the program's folder"


def test_what_is_no_text_is_said_to_be_none(program: Path) -> None:
    (program.parent / "weights.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    found = Siblings(str(program))["weights.pt"]
    assert isinstance(found, str)
    assert "PyTorch" in found


def test_given_texts_stand_for_the_files(program: Path) -> None:
    siblings = Siblings(str(program), {"other.pt": SHARED})
    assert isinstance(siblings["other.pt"], Source)
    assert "shared.pt" not in siblings
