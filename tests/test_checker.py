"""The checker as a function: it answers to anything, says each thing once, and hears `--set`."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from ptc import api
from ptc.lang.render import render_all

EXAMPLES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent.parent / "examples").glob("*.pt"))
}
TOKEN = re.compile(r'"[^"\n]*"|\w+|\s+|\|>|.', re.DOTALL)
MUTANTS = 200
SLOWEST = 1.0
"""Seconds in which any program of an example's size is checked."""

PARAMETERS = """edition 2026
from std.objectives import sft
param width: Int = 64
param share: Real = 80%
param folder: Text = "out"
param tied: Bool = true
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source demos = tasks |> slice(0%, share) |> respond(.answer)
model base = new.model("qwen3", hidden = width, layers = 2, tokenizer = characters(tasks), tied = tied)
stage warm {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch     = 64 samples
  budget    = 2 epochs
}
"""


def codes(text: str, settings: dict[str, str] | None = None) -> list[str]:
    return [each.code for each in api.check_text(text, settings=settings).diagnostics]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_check(name: str) -> None:
    result = api.check_text(EXAMPLES[name], f"{name}.pt")
    assert result.sound, render_all(result.diagnostics, result.source)


def mutants() -> list[str]:
    """Copies of the examples with tokens deleted, doubled or swapped, the same ones every time."""
    rng = random.Random(0)
    made = []
    for number in range(MUTANTS):
        tokens = TOKEN.findall(list(EXAMPLES.values())[number % len(EXAMPLES)])
        words = [index for index, token in enumerate(tokens) if not token.isspace()]
        for _ in range(rng.choice((1, 1, 1, 3))):
            here, there = rng.choice(words), rng.choice(words)
            match rng.choice(("delete", "double", "swap")):
                case "delete":
                    tokens[here] = ""
                case "double":
                    tokens[here] = f"{tokens[here]} {tokens[here]}"
                case _:
                    tokens[here], tokens[there] = tokens[there], tokens[here]
        made.append("".join(tokens))
    return made


@pytest.mark.slow
def test_mutants_give_diagnostics_and_never_a_traceback() -> None:
    wrong = 0
    errors = []
    for text in mutants():
        began = time.process_time()
        result = api.check_text(text)
        assert time.process_time() - began < SLOWEST
        assert render_all(result.diagnostics, result.source) or result.sound
        if result.sound:
            api.compiled(result)
        errors.append(sum(each.severity == "error" for each in result.diagnostics))
        wrong += not result.sound
    assert wrong > MUTANTS / 2
    assert sum(errors) / wrong < 2.5, "one mistake should be one error or two"


@pytest.mark.parametrize("text", ["", "edition 2026", "\0", "stage", "source x = ", "((((" * 200, "é" * 100, "}" * 50])
def test_anything_is_answered(text: str) -> None:
    render_all(api.check_text(text).diagnostics, api.check_text(text).source)


@pytest.mark.slow
@pytest.mark.parametrize("call", ["lora(rank = 4)", "merge_adapter()", 'retemplate(template = "x")', "value_head()"])
def test_a_model_made_of_nothing_is_one_error(call: str) -> None:
    found = api.check_text(f"edition 2026\nmodel a = {call}\n").diagnostics
    assert [each.code for each in found if each.severity == "error"] == ["N104"]


def test_every_finding_has_a_place_and_every_place_is_in_the_text() -> None:
    for text in mutants()[:60]:
        result = api.check_text(text)
        for each in result.diagnostics:
            assert each.labels
            for label in each.labels:
                within = label.span.text.text if label.span.text else text
                assert 0 <= label.span.start <= label.span.end <= len(within)


# --set ----------------------------------------------------------------------------------------------------------------


def test_parameters_are_set() -> None:
    assert codes(PARAMETERS) == []
    given = {"width": "128", "share": "50%", "folder": "elsewhere", "tied": "false", "seed": "3"}
    result = api.check_text(PARAMETERS, settings=given)
    assert result.sound and result.checked is not None
    program = result.checked.program
    assert program.seed == 3
    (base,) = program.models
    assert (base.settings["hidden"], base.settings["tied"]) == (128, False)
    assert next(s for s in program.sources[1].upstream() if s.kind == "slice").settings["to"] == 0.5


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"widht": "128"}, "N101", "--set widht: the program has no parameter `widht`"),
        ({"width": "wide"}, "T105", "--set width=wide: `width` is of type Int"),
        ({"width": "64.5"}, "T105", "--set width=64.5: `width` is of type Int"),
        ({"tied": "yes"}, "T105", "--set tied=yes: `tied` is of type Bool"),
        ({"share": "nan"}, "T105", "--set share=nan: `share` is of type Real"),
        ({"seed": "one"}, "T105", "--set seed=one: the seed is a whole number"),
        ({"share": "120%"}, "U204", "`to` must be between 0% and 100%"),
    ],
)
def test_what_cannot_be_set(settings: dict[str, str], code: str, words: str) -> None:
    (found,) = api.check_text(PARAMETERS, settings=settings).diagnostics
    assert (found.code, found.title) == (code, words)


def test_a_misspelt_parameter_is_recognised() -> None:
    (found,) = api.check_text(PARAMETERS, settings={"widht": "1"}).diagnostics
    assert found.helps == ("did you mean `width`?",)


# Types ----------------------------------------------------------------------------------------------------------------


def test_types_of_the_demo() -> None:
    assert [" ".join(line.split()) for line in api.check_text(EXAMPLES["spelling"]).types[3:]] == [
        "demos Trajectories{prompt, answer, response} off-policy: external",
        "rollouts Trajectories{prompt, answer, group, response, logprobs, reward} "
        "on-policy: by reasoner.policy, live, lag 0",
        "lessons Trajectories{prompt, answer, group, response, logprobs, reward} "
        "off-policy: by reasoner (final weights), kept where reward = 1",
        "attempts Trajectories{prompt, answer, group, response, logprobs} on-policy: by small.student, live, lag 0",
    ]


HUB = """edition 2026
from std.objectives import sft

source demos = jsonl("demos.jsonl") |> prompts(.question, answer = .answer) |> respond(.answer)
model base = hf.model("org/tiny")
"""


def test_a_hub_model_in_the_cache_is_known_without_asking_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert [found.code for found in api.check_text(HUB).diagnostics] == ["D402", "D402"]
    model = tmp_path / "models--org--tiny"
    snapshot = model / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("a" * 40)
    (snapshot / "config.json").write_text('{"max_position_embeddings": 128}')
    (snapshot / "tokenizer.json").write_text("{}")
    result = api.check_text(HUB)
    assert [found.title for found in result.diagnostics] == [
        '"demos.jsonl" is not here to be read: its columns are unknown'
    ]
    assert result.checked is not None
    assert result.checked.program.models[0].type.context == 128
