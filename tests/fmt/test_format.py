"""What the formatter does to texts: the house style, comments, and what it refuses."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from ptc.lang.format import CannotFormat, format
from ptc.lang.layout import scan
from ptc.lang.parse import parse
from ptc.lang.source import Source

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = sorted([*ROOT.glob("examples/*.pt"), *ROOT.glob("stdlib/objectives/*.pt")])


def _formatted(text: str) -> str:
    program, diagnostics = parse(Source("program.pt", text))
    assert diagnostics == ()
    return format(program)


STYLED = """\
edition 2026
from std.objectives import sft, grpo
from std.verifiers  import exact

source tasks    = gym("chain_sum", size = 7_000, seed = 1) |> prompts(.question, answer = .answer)
source problems = tasks |> slice(0%, 80%)  # by hash of the prompt

## A policy small enough to train from scratch on a laptop.
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))

# 2. Make them likely.
stage reasoner reshapes skill {
  train  policy    = cold_start
  freeze reference = cold_start
  source rollouts = problems
    |> sample(policy, n = 8, temperature = 1.0, max_tokens = 64)
    # what is right
    |> score(exact)  # by the rule
    |> keep(.reward == 1 and not (.a + .b) * -.c > 2)
  minimize grpo(
    rollouts,
    policy,
    clip_high = 0.28,  # the second argument is long, and so this stands on lines of its own
    clip_low = 0.2,
  )
  optimizer       = adamw(lr = 1e-4)
  batch(rollouts) = 32 prompts
  budget          = 100 steps

  watch skill every 20 steps
  # the end
}

## Group-relative policy optimisation.
objective grpo(
  rollouts:  Trajectories{prompt, group, response, logprobs, reward} by policy within 8 steps,
  policy:    Trained,
  reference: Anchor? = none,  # frozen or tracked
) {
  let ratio = exp(logp(policy, .response) - .logprobs)
  loss = mean(mean(ratio * .reward, over = token), over = sample)
}

export reasoner @ best(skill) to "out/reasoner"
"""


def test_the_style() -> None:
    assert _formatted(STYLED) == STYLED
    assert _formatted(re.sub(r" +=", " =", STYLED).replace("verifiers  import", "verifiers import")) == STYLED


def test_white_space_is_the_formatters() -> None:
    loose = "\n\n\nsource   a=b|>f( x,y = 2  epochs , )   # c\n\n\n\nstage s{train p=a\n\n\n}\n\n\n"
    assert _formatted(loose) == "source a = b |> f(x, y = 2 epochs)  # c\n\nstage s {\n  train p = a\n}\n"


def test_line_ends_become_line_feeds() -> None:
    assert _formatted("# one\r\nsource a = b  # two\r\n") == "# one\nsource a = b  # two\n"


def test_nothing_comes_of_nothing() -> None:
    assert _formatted("") == ""
    assert _formatted("# a comment alone\n") == "# a comment alone\n"


@pytest.mark.parametrize("text", ["source a =", "let a = 3 gb", "train a = b", "let a = 1 |> 2"])
def test_programs_with_errors_are_refused(text: str) -> None:
    program, _ = parse(Source("program.pt", text))
    with pytest.raises(CannotFormat):
        format(program)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_formatting_twice_changes_nothing(path: Path) -> None:
    once = _formatted(path.read_text(encoding="utf-8"))
    assert _formatted(once) == once


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_no_comment_is_lost_wherever_it_stands(path: Path) -> None:
    draw = random.Random(path.name)
    tokens = re.findall(
        r'"[^"\n]*"|#[^\n]*|[\d.]+[ \t]*\w+|\w+|\|>|[=!<>]=|\s+|[^\w\s]', path.read_text(encoding="utf-8")
    )
    for number in range(15):
        place = draw.randrange(len(tokens))
        text = "".join([*tokens[:place], f" # here {number}\n", *tokens[place:]])
        program, diagnostics = parse(Source("program.pt", text))
        if diagnostics:
            continue
        printed = format(program)
        written = sorted(text[span.start : span.end].rstrip() for span in scan(text).comments)
        assert sorted(printed[span.start : span.end] for span in scan(printed).comments) == written
        assert _formatted(printed) == printed
