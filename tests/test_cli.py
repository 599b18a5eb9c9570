"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ptc.cli import main

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """\
edition 2026
from std.objectives import sft
source tasks = gym("chain_sum", size = 64, seed = 1) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
stage cold {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 8 samples
  budget = 2 steps
}
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(empty_folder: Path) -> str:
    (empty_folder / "program.pt").write_text(PROGRAM)
    return "program.pt"


def test_check(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", program]) == 0
    assert capsys.readouterr().out == "program.pt: ok\n"


def test_check_names_the_types(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--types", program]) == 0
    assert "demos  Trajectories{" in capsys.readouterr().out


def test_check_finds_errors(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "wrong.pt").write_text(PROGRAM.replace("batch = 8 samples", "batch = 8"))
    assert main(["check", "wrong.pt"]) == 2
    out = capsys.readouterr().out
    assert "error[U" in out
    assert "\x1b" not in out
    assert out.endswith("wrong.pt: 1 error\n")


def test_check_as_json(program: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "wrong.pt").write_text("source = 3\n")
    assert main(["check", "--json", program, "wrong.pt"]) == 2
    right, wrong = json.loads(capsys.readouterr().out)["files"]
    regimes = ["cold  demos -> policy  off-policy: external"]
    assert right == {"path": "program.pt", "ok": True, "diagnostics": [], "types": right["types"], "regimes": regimes}
    assert not wrong["ok"]
    assert wrong["diagnostics"][0]["labels"][0]["line"] == 1


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "none.pt"]) == 2
    assert "none.pt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chek", "program.pt"], "ptc: there is no command `chek`: did you mean `check`?"),
        (["--chek"], "ptc: there is no option `--chek`"),
        (["check", "program.pt", "--typs"], "ptc check: there is no option `--typs`: did you mean `--types`?"),
        (["check"], "the following arguments are required: FILE"),
        (["plan", "program.pt", "more.pt"], "too many arguments: more.pt"),
        (["plan", "program.pt", "--set", "beta"], "--set takes NAME=VALUE, not `beta`"),
        (["plan", "program.pt", "--set", "a=1", "--set", "a=2"], "--set gives `a` twice"),
        (["plan", "program.pt", "--emit", "gaph"], "invalid choice: 'gaph'"),
        (["explain", "S10l"], "no finding is called `S10l`: did you mean `S101`?"),
        (["plan", "program.pt", "--profile", "none.toml"], "none.toml: the profile cannot be read"),
        (["run", "program.pt", "--to", "dems"], "--to names no node: `dems`: did you mean `demos`?"),
    ],
)
def test_wrong_command_lines(program: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "check" in out and "130 Ctrl-C" in out
    assert main([]) == 2
    assert main(["run", "--help"]) == 0


def test_fmt(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = empty_folder / "program.pt"
    path.write_text(PROGRAM.replace("batch = 8", "batch   =    8"))
    before = path.read_text()
    assert main(["fmt", "--check", "program.pt"]) == 2
    assert path.read_text() == before
    assert main(["fmt", "program.pt"]) == 0
    assert main(["fmt", "--check", "program.pt"]) == 0
    assert main(["check", "program.pt"]) == 0
    capsys.readouterr()
    path.write_text("source = = 3\n")
    assert main(["fmt", "program.pt"]) == 2
    assert "not formatted" in capsys.readouterr().err


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "s101"]) == 0
    assert capsys.readouterr().out.startswith("# S101: ")
    assert main(["explain"]) == 0
    assert "S101  " in capsys.readouterr().out


def test_plan(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", program]) == 0
    out = capsys.readouterr().out
    assert "stage cold: claims nothing" in out
    assert "adamw.lr = 0.001" in out
    assert "TRL 1.16:" in out
    assert not Path(".ptc").exists()


def test_plan_as_json(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--json", program]) == 0
    document = json.loads(capsys.readouterr().out)
    stage = document["stages"][0]
    assert (stage["name"], stage["steps"]) == ("cold", 2)
    assert {"name": "adamw.weight_decay", "value": "0", "origin": "TRL 1.16"} in stage["settings"]
    assert all(node["action"] == "run" for node in document["nodes"])


@pytest.mark.parametrize("phase", ["ast", "core", "graph"])
def test_emit(program: str, phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", program, "--emit", phase]) == 0
    assert capsys.readouterr().out


def test_graph(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", program]) == 0
    assert '[["cold<br/>train"]]' in capsys.readouterr().out
    assert main(["graph", "--format", "dot", program]) == 0
    assert capsys.readouterr().out.startswith("digraph {")


def test_run_reads_rows_without_torch(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", program, "--to", "demos"]) == 0
    out = capsys.readouterr().out
    assert "finished demos (respond)" in out
    assert "metrics.jsonl" in out
    assert main(["run", program, "--to", "demos"]) == 0
    assert "finished" not in capsys.readouterr().out
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.count("done") == 2
    assert main(["plan", program, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {node["label"]: node["action"] for node in document["nodes"]}["demos"] == "reuse"


def test_a_wrong_program_does_not_run(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "wrong.pt").write_text(PROGRAM.replace("batch = 8 samples", "batch = 8"))
    for command in ("run", "plan", "graph"):
        assert main([command, "wrong.pt"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "error[U" in captured.err
    assert not Path(".ptc").exists()


def test_a_store_that_cannot_be(program: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "file").write_text("")
    assert main(["run", program, "--store", "file/store"]) == 6
    assert "the store file/store cannot be used" in capsys.readouterr().err


def test_gpus_that_are_not_there(
    program: str, empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (empty_folder / "gpu.toml").write_text('device = "cuda"\ndevices = 8\n')
    assert main(["run", program, "--profile", "gpu.toml"]) == 6
    error = capsys.readouterr().err
    assert "gpu.toml asks for 8 CUDA devices; this machine has no CUDA device" in error
    assert not Path(".ptc").exists()


def test_a_closed_pipe_is_no_error() -> None:
    code = "import sys; from ptc.cli import main; sys.exit(main(['explain']))"
    command = f'{sys.executable} -c "{code}" | head -1'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


EXTERN = """\
edition 2026
from std.objectives import sft
extern verifier mine(response: Text) -> Real = "lab.verify:mine"
source tasks = gym("chain_sum", size = 64, seed = 1) |> prompts(.question, answer = .answer)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
eval skill = pass_rate(tasks |> slice(50%, 100%), mine, n = 2)
stage cold expands skill {
  train policy = base
  minimize sft(tasks |> slice(0%, 50%) |> respond(.answer), policy)
  optimizer = adamw(lr = 1e-3)
  batch = 8 samples
  budget = 2 steps
}
"""


def test_python_outside_is_called_only_if_the_run_allows_it(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_folder / "program.pt").write_text(EXTERN)
    (empty_folder / "here.toml").write_text('allow_extern = ["lab.verify"]\n')
    assert main(["check", "program.pt"]) == 0
    assert main(["run", "program.pt"]) == 2
    refused = capsys.readouterr().err
    assert "error[N118]" in refused
    assert "error[N110]" not in refused
    for allowed in (["--allow-extern"], ["--profile", "here.toml"]):
        main(["run", "program.pt", *allowed])
        assert "error[N118]" not in capsys.readouterr().err


def test_what_cannot_be_run_yet_is_refused_at_plan_and_not_at_check(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = 'gym("chain_sum", size = 64, seed = 2) |> prompts(.question, answer = .answer)'
    searched = f'eval skill = pass_rate({others}, exact, n = 2, scaffold = "search")\nstage cold'
    text = PROGRAM.replace("stage cold", searched).replace("2 steps\n", "2 steps\n  ensure skill >= 1%\n")
    text = text.replace("edition 2026\n", "edition 2026\nfrom std.verifiers import exact\n")
    (empty_folder / "program.pt").write_text(text)
    assert main(["check", "program.pt"]) == 0
    assert main(["graph", "program.pt"]) == 0
    capsys.readouterr()
    for command in ("plan", "run"):
        assert main([command, "program.pt"]) == 2
        assert "error[N110]: a search cannot be run" in capsys.readouterr().err
