"""Python outside of ptc: verifiers in worker processes, sources, and what is said of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodes_world import World

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import InputWrong, InvariantBroken
from ptc.runtime.externs import digest_of, verdict_of
from ptc.runtime.keys import numerics
from ptc.runtime.profile import Profile
from ptc.runtime.verifier_worker import _outside as judged_outside
from ptc.stdlib.verifiers import PASS, WRONG, Error, Graded, Refused

MODULE = """
def brevity(response, answer):
    if response == "raise": raise ZeroDivisionError
    return None if response == "" else -len(response) / len(answer)

def right(response): return response == "4"

def puzzles(count, level=3):
    for number in range(count):
        yield {"prompt": f"{number} + {level}", "tests": [number]}

def broken(count):
    yield {"prompt": "1"}
    raise RuntimeError("no more of them")

def nothing(): return 7
"""


def verifier(name: str, *columns: str, gives: str = "Real") -> dict[str, Json]:
    return {"name": name, "options": {}, "target": f"my_lab:{name}", "reads": ["response", *columns], "gives": gives}


def scored(*summands: tuple[float, dict[str, Json]]) -> dict[str, Json]:
    kinds = {True: "extern", False: "verifier"}
    return {
        "scorers": [{"kind": kinds["target" in one], "weight": weight, "verifier": one} for weight, one in summands]
    }


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module stands in the working directory, as the user's would."""
    (tmp_path / "my_lab.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)


def test_what_a_function_gives_is_a_verdict() -> None:
    assert [verdict_of(value) for value in (True, False, 3, -0.5, None)] == [
        PASS, WRONG, Graded(3.0), Graded(-0.5), Refused("no score was given")
    ]  # fmt: skip
    assert verdict_of(float("nan")) == Error("not a finite number")
    assert verdict_of("good") == Error("str instead of a number")


def test_a_verifier_outside_judges_beside_one_of_the_library(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(response=["4", "12", "", "4444"], answer=["4", "4", "4", "4"])
    exact = {"name": "exact", "options": {}}
    found = world.records("score", scored((2.0, exact), (0.5, verifier("brevity", "answer"))), rows=rows)
    assert [row["reward"] for row in found] == [1.5, -1.0, None, -2.0]
    assert found[1]["verdict"] == "exact fail; brevity graded -2"
    whole = world.records("score", scored((1.0, verifier("right", gives="Bool"))), rows=rows)
    assert [row["reward"] for row in whole] == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("target", "said"),
    [("no_lab:brevity", "No module named 'no_lab'"), ("my_lab:brevty", "the module my_lab has no function `brevty`")],
)
def test_what_cannot_be_loaded_is_said_in_a_line(tmp_path: Path, target: str, said: str) -> None:
    world = World(tmp_path)
    judging = scored((1.0, {**verifier("brevity", "answer"), "target": target}))
    with pytest.raises(InputWrong, match=said) as raised:
        world.run("score", judging, rows=world.rows(response=["4"], answer=["4"]))
    assert "\n" not in str(raised.value)


def test_a_verifier_that_fails_often_stops_the_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(response=["raise"] * 4, answer=["4"] * 4)
    with pytest.raises(InvariantBroken, match=r"`brevity`: 4 of 4 .* \(4 × ZeroDivisionError\)"):
        world.run("score", scored((1.0, verifier("brevity", "answer"))), rows=rows)


def test_what_a_function_outside_raises_is_told_with_its_words() -> None:
    def as_in_trl(completions: list[str]) -> list[float]:
        return [0.0 for _ in completions]

    verdict = judged_outside(as_in_trl, {"response": "4"})
    assert isinstance(verdict, Error) and verdict.kind.startswith("TypeError: ")
    assert "unexpected keyword argument 'response'" in verdict.kind


def test_a_source_outside_gives_rows(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.records("extern_source", {"target": "my_lab:puzzles", "arguments": {"count": 3, "level": 2}})
    assert rows == [{"prompt": f"{number} + 2", "tests": [number]} for number in range(3)]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("broken", {"count": 1}, '"my_lab:broken" raised RuntimeError: no more of them'),
        ("puzzles", {"size": 1}, '"my_lab:puzzles" raised TypeError'),
        ("puzzles", {"count": 0}, '"my_lab:puzzles" gave no rows'),
        ("nothing", {}, '"my_lab:nothing" gave int'),
    ],
)
def test_a_source_that_fails_says_so(tmp_path: Path, name: str, arguments: dict[str, Json], said: str) -> None:
    with pytest.raises(InputWrong, match=said):
        World(tmp_path).run("extern_source", {"target": f"my_lab:{name}", "arguments": arguments})


def test_a_function_that_was_rewritten_is_another_one(tmp_path: Path) -> None:
    node = Node("score", 1, scored((1.0, verifier("brevity", "answer"))), {})
    before = numerics(node, Profile(device="cpu"))
    assert before["outside"] == {"my_lab:brevity": digest_of("my_lab:brevity")}
    (tmp_path / "my_lab.py").write_text(MODULE + "\n# another\n")
    assert numerics(node, Profile(device="cpu")) != before
    assert digest_of("no_lab.at.all:brevity") is None
