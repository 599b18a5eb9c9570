"""The VS Code folder: programs are recognised by what they say, and PyTorch's files are left alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "editors" / "vscode"

PROGRAMS = ["edition 2026\n", "\n# a comment\n\n  edition 2026\nmodel a = b", "from std.objectives import sft\n"]
OTHERS = [
    "PK\x03\x04archive/data.pkl",
    "\x80\x02}q\x00(X\x05",
    "#!/bin/bash\necho\n",
    "# settings\nname = 1\n",
    "import torch\n",
    "",
]


def manifest() -> dict[str, object]:
    loaded: dict[str, object] = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    return loaded


def test_no_suffix_is_claimed_and_the_first_line_tells() -> None:
    contributes = manifest()["contributes"]
    assert isinstance(contributes, dict)
    (language,) = contributes["languages"]
    assert "extensions" not in language and "filenamePatterns" not in language
    first_line = re.compile(language["firstLine"])
    assert first_line.search("edition 2026")
    assert not [text for text in (*OTHERS, 'edition = "2021"') if first_line.search(text.split("\n")[0])]


def test_everything_that_the_manifest_names_is_there() -> None:
    contributes = manifest()["contributes"]
    assert isinstance(contributes, dict)
    named = [language["configuration"] for language in contributes["languages"]]
    named += [grammar["path"] for grammar in contributes["grammars"]]
    for path in (str(manifest()["main"]), *named):
        assert (FOLDER / path).is_file()
    json.loads((FOLDER / "language-configuration.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_what_opens_as_plain_text_is_told_apart() -> None:
    code = "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(require('./recognise').isProgram)))"
    command = ["node", "-e", code, json.dumps(PROGRAMS + OTHERS)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [True] * len(PROGRAMS) + [False] * len(OTHERS)
    subprocess.run(["node", "--check", "extension.js"], cwd=FOLDER, timeout=60, check=True)


Opened = tuple[str, str, str]
COMMENTED: Opened = ("/w/program.pt", "plaintext", "# mine\nedition 2026\n")
CHECKPOINT: Opened = ("/w/model.pt", "plaintext", OTHERS[0])
NOTES: Opened = ("/w/notes.txt", "plaintext", "edition 2026\n")
RECOGNISED: Opened = ("/w/other.pt", "ptc", "edition 2026\n")


def extension(workspace: Path, documents: list[Opened], trust: str = "trusted", server: str = "") -> dict[str, object]:
    """What the extension does when these documents are open."""
    stub = Path(__file__).with_name("vscode_stub.js")
    command = ["node", str(stub), json.dumps(documents), trust, str(workspace), server]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_extension_starts_one_server_and_only_for_programs(tmp_path: Path) -> None:
    done = extension(tmp_path, [COMMENTED, CHECKPOINT, NOTES, RECOGNISED])
    assert done == {"languages": {"/w/program.pt": "ptc"}, "started": ["ptc lsp"], "errors": []}
    assert extension(tmp_path, [CHECKPOINT, NOTES])["started"] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_workspaces_own_server_is_started_where_it_is_trusted(tmp_path: Path) -> None:
    own = tmp_path / ".venv" / "bin" / "ptc"
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert extension(tmp_path, [RECOGNISED])["started"] == [f"{own} lsp"]
    assert extension(tmp_path, [RECOGNISED], trust="restricted")["started"] == ["ptc lsp"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_server_that_does_not_start_is_told_once(tmp_path: Path) -> None:
    done = extension(tmp_path, [RECOGNISED, COMMENTED], server="broken")
    assert done["started"] == ["ptc lsp"]
    assert done["errors"] == ['`ptc lsp` does not start. It comes with:  pip install "ptc[lsp]"']
