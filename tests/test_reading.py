"""Files that are no programs: each gets its own sentence, at once, and none is opened as what it may be."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from ptc.lang.diagnostic import Diagnostic
from ptc.lang.reading import read
from ptc.lang.source import Source


def _refused(path: Path) -> Diagnostic:
    start = time.perf_counter()
    found = read(path)
    assert time.perf_counter() - start < 5
    assert isinstance(found, Diagnostic)
    assert found.severity == "error" and found.title.startswith(f"{path}: ")
    return found


def test_a_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    path.write_bytes(b"\xef\xbb\xbfedition 2026\r\nsource a = b\r")
    found = read(path)
    assert isinstance(found, Source)
    assert found.text == "edition 2026\nsource a = b\n"
    assert found.path == str(path)


def test_a_missing_file_is_looked_for_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "countdown.pt").write_text("edition 2026")
    found = _refused(tmp_path / "contdown.pt")
    assert found.code == "S163"
    assert found.helps == (f"did you mean `{tmp_path / 'countdown.pt'}`?",)
    assert _refused(tmp_path / "countdown").helps == found.helps
    assert _refused(tmp_path / "no" / "such" / "folder.pt").helps == ()
    assert _refused(tmp_path / "countdown.pt" / "inside.pt").code == "S163"


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("edition 2026")
    found = _refused(tmp_path)
    assert (found.code, "folder" in found.title) == ("S164", True)
    assert found.helps == (f"a program in it:  {tmp_path}/a.pt",)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    assert "a pipe" in _refused(tmp_path / "pipe.pt").title


def test_a_device_is_not_read_to_its_end() -> None:
    assert "a device" in _refused(Path("/dev/zero")).title


def test_a_link_to_a_device(tmp_path: Path) -> None:
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    assert "a device" in _refused(tmp_path / "zero.pt").title


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door.pt")
        assert "a socket" in _refused(Path("door.pt")).title


def test_links_to_nothing_and_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.pt").symlink_to(tmp_path / "loop.pt")
    assert "a link to a file that does not exist" in _refused(tmp_path / "gone.pt").title
    assert _refused(tmp_path / "loop.pt").code in ("S163", "S165")


def test_a_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.pt"
    with path.open("wb") as file:
        file.truncate(10 << 30)
    assert _refused(path).code == "S161"


def test_a_large_checkpoint_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "policy.pt"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(10 << 30)
    assert _refused(path).code == "S151"


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "closed.pt"
    path.write_text("edition 2026")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permission denied" in _refused(path).title


def test_a_path_that_is_none() -> None:
    found = read("a\x00b")
    assert isinstance(found, Diagnostic) and found.code == "S165"


@pytest.mark.parametrize("name", ["line\nbreak.pt", "esc\x1b[31m.pt", "\u202etp.margorp"])
def test_names_cannot_do_anything_to_the_terminal(name: str) -> None:
    found = read(name)
    assert isinstance(found, Diagnostic)
    assert all(char.isprintable() for char in found.title)


@pytest.mark.slow
def test_real_checkpoints(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights = {"weight": torch.zeros(3, 3)}
    torch.save(weights, tmp_path / "new.pt")
    torch.save(weights, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert _refused(tmp_path / "new.pt").code == "S151"
    assert _refused(tmp_path / "old.pt").code == "S152"
    pytest.importorskip("safetensors.torch").save_file(weights, tmp_path / "model.pt")
    assert _refused(tmp_path / "model.pt").code == "S153"
    numpy = pytest.importorskip("numpy")
    with (tmp_path / "array.pt").open("wb") as file:
        numpy.save(file, numpy.zeros(3))
    assert "NumPy" in _refused(tmp_path / "array.pt").title


LANGUAGES = {
    "JSON": '{"model": "base"}',
    "a shell script": "#!/bin/bash\nptc run program.pt\n",
    "Python": "# train\nimport torch\n",
    "YAML": "# settings\nmodel: base\nlr: 1e-3\n",
    "TOML": "[engine]\nname = 'fake'\n",
    "HTML": "<!DOCTYPE html>\n",
    "Markdown": "```pt\nedition 2026\n```\n",
    "a table of comma-separated values": "prompt,response\nWhat is 2 + 2?,4\n",
    "a pointer to a file in Git LFS": "version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_languages_are_named(tmp_path: Path, language: str) -> None:
    path = tmp_path / "program.pt"
    path.write_text(LANGUAGES[language])
    found = _refused(path)
    assert found.code == "S156"
    assert f"this is {language}" in found.title


def test_no_program_is_taken_for_another_language(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    for path in (*root.glob("examples/**/*.pt"), *root.glob("stdlib/**/*.pt")):
        assert isinstance(read(path), Source), path
    program = tmp_path / "program.pt"
    for text in (
        "report skill, other\nreport a, b\n",
        "from std.objectives import sft,grpo\n",
        "# a, b\nlet a = [1,\n2]\n",
    ):
        program.write_text(text)
        assert isinstance(read(program), Source), text
