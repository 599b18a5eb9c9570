"""Laws of heads and losses, over every objective of the library."""

from __future__ import annotations

import random
import re
import time

import pytest
from suitable import LIBRARY, NAMES, program

from ptc import api
from ptc.compiler import losses


def inline(name: str, body: str) -> str:
    """The program of an objective with the objective's text in it, in place of the import."""
    text = program(name).replace(f"from std.objectives import {name}\n", "")
    return text.replace("stage learner", body + "\nstage learner")


def body_of(name: str) -> str:
    return (LIBRARY / f"{name}.pt").read_text(encoding="utf-8").replace("edition 2026\n", "")


def errors(text: str) -> list[str]:
    return [found.code for found in api.check_text(text).diagnostics if found.severity == "error"]


@pytest.mark.parametrize("name", NAMES)
def test_asking_for_less_never_adds_an_error(name: str) -> None:
    """A wider `within`, no `by`, no column that nothing reads."""
    body = body_of(name)
    head, _, rest = body.partition(") {")
    assert errors(inline(name, body)) == []
    assert errors(inline(name, re.sub(r"within \d+ steps?", "within 1_000 steps", body))) == []
    assert errors(inline(name, re.sub(r" by \w+ within \d+ steps?", "", body))) == []
    unread = [
        column
        for columns in re.findall(r"\{([\w, :]+)\}", head)
        for column in columns.split(", ")
        if not re.search(rf"\b{column.split(':')[0]}\b", rest)
    ]
    for column in unread:
        lighter = head.replace(f"{column}, ", "").replace(f", {column}}}", "}")
        assert errors(inline(name, f"{lighter}) {{{rest}")) == [], column


def mutated(body: str, chance: random.Random) -> str:
    """The text with one word swapped with another, left out, doubled, or a number changed."""
    words = re.findall(r"\s+|[\w.]+|.", body)
    solid = [place for place, word in enumerate(words) if not word.isspace()]
    for _ in range(chance.choice((1, 1, 2, 3))):
        place, other = chance.choice(solid), chance.choice(solid)
        match chance.randrange(4):
            case 0:
                words[place], words[other] = words[other], words[place]
            case 1:
                words[place] = ""
            case 2:
                words[place] = f"{words[place]} {words[other]}"
            case _:
                words[place] = chance.choice(
                    ("0", "none", "token", "sample", "group", "policy", ".reward", "1e400", "-1")
                )
    return "".join(words)


@pytest.mark.parametrize("name", NAMES)
def test_no_mutation_of_an_objective_upsets_the_checker(name: str) -> None:
    chance = random.Random(name)
    for _ in range(12):
        text = inline(name, mutated(body_of(name), chance))
        start = time.process_time()
        result = api.check_text(text)
        assert time.process_time() - start < 1
        assert all(
            label.span.end <= len(text) or label.span.text for found in result.diagnostics for label in found.labels
        )


def test_lets_that_name_each_other_twice_are_read_once() -> None:
    lets = "  let x0 = logp(policy, .response)\n"
    lets += "".join(f"  let x{n} = x{n - 1} * x{n - 1}\n" for n in range(1, 40))
    body = f"""objective sft(demos: Trajectories{{prompt, response}}, policy: Trained) {{
{lets}  loss = -mean(x39, over = [token, sample])
}}
"""
    start = time.process_time()
    assert errors(inline("sft", body)) == []
    live = inline("reinforce", body).replace("minimize reinforce", "minimize sft").replace(", reference, kl = 0.1", "")
    live = live.replace("n = 4,", "n = 4, max_lag = 2 steps,")
    asked = api.check_text(live).checked
    assert asked is not None
    assert not list(losses.unweighted_estimators(asked.program.stages[0].terms[0].loss))
    assert time.process_time() - start < 1


def test_a_let_sees_the_ones_before_it() -> None:
    body = """objective sft(demos: Trajectories{prompt, response}, policy: Trained) {
  let fit = fit + later
  let later = logp(policy, .response)
  loss = -mean(fit, over = [token, sample])
}
"""
    assert errors(inline("sft", body)) == ["N101"]


def test_attempts_are_compared_whether_the_head_says_so_or_not() -> None:
    alone = inline("grpo", body_of("grpo").replace("prompt, group, response", "prompt, response")).replace(
        "n = 4", "n = 1"
    )
    assert errors(alone) == ["T102"]
    assert errors(inline("grpo", body_of("grpo")).replace("n = 4", "n = 1")) == ["T102"]
    assert errors(program("reinforce").replace("n = 4", "n = 1")) == []
