"""`ptc check --data` on the command line: what it says that it looked at, how much, and without what it cannot look."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec

import pytest
from workshop import SFT, Workshop, codes

from ptc import cli, probes

ROWS = [{"prompt": f"What is {n} + {n}?", "response": f"It is {2 * n}."} for n in range(900)]


@pytest.fixture
def program(workshop: Workshop) -> Workshop:
    workshop.rows("rows.jsonl", ROWS)
    workshop.model()
    workshop.result(f'source rows = jsonl("rows.jsonl")\nmodel base = local.model("model")\n{SFT}')
    return workshop


def test_what_was_looked_at_is_said(program: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--data", "program.pt"]) == 0
    said = "looked at 900 rows of 1 source; a prompt of plain text is a user's turn of the chat template"
    assert f"program.pt: {said}\nprogram.pt: ok" in capsys.readouterr().out
    assert cli.main(["check", "--data", "--json", "program.pt"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["looked"] == said


def test_messages_are_turns_already(program: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    program.rows("rows.jsonl", [{"messages": turns}] * 8)
    cli.main(["check", "--data", "program.pt"])
    assert "looked at 8 rows of 1 source\n" in capsys.readouterr().out


def test_more_rows_may_be_rendered(program: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    program.rows("rows.jsonl", [*ROWS[:898], {"prompt": "a", "response": None}, ROWS[899]])
    assert cli.main(["check", "--data", "program.pt"]) == 0
    assert cli.main(["check", "--data", "--rows", "900", "program.pt"]) == 2
    assert "1 of 900 rows cannot be learned from" in capsys.readouterr().out
    assert cli.main(["check", "--data", "--rows", "0", "program.pt"]) == 2


def test_without_transformers_there_is_one_sentence(
    program: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probes, "find_spec", lambda name: None if name == "transformers" else find_spec(name))
    assert cli.main(["check", "program.pt"]) == 0
    assert cli.main(["check", "--data", "program.pt"]) == 6
    said = capsys.readouterr().err
    assert said == "ptc: check --data renders rows and needs the package transformers: pip install 'ptc[run]'\n"


def test_three_sources_of_text_take_seconds(workshop: Workshop) -> None:
    text = "and so on, for a good while, until there is nothing left to say about it " * 8
    for name in ("one", "two", "three"):
        rows = [{"prompt": f"{name} {n} {text}", "response": text} for n in range(2000)]
        workshop.rows(f"{name}.jsonl", rows)
    workshop.model()
    began = time.process_time()
    program = "".join(f'source {name} = jsonl("{name}.jsonl")\n' for name in ("one", "two", "three"))
    program += 'model base = local.model("model")\neval reading = bits_per_character(three)\n'
    program += SFT.replace("sft(rows, policy)", "sft(one, policy) + sft(two, policy)") + "report reading\n"
    result = workshop.result(program)
    assert (
        codes(result.diagnostics) == []
        and result.looked is not None
        and result.looked.startswith("looked at 6,000 rows of 3 sources")
    )
    assert time.process_time() - began < 20
