"""The prompts: all words of three letters out of twelve, to be copied, mirrored, or shifted by a letter.

An attempt is three tokens long, as long as the answer, so that one sequence of tokens alone is right: its probability
under a checkpoint is the chance of success, and one pass over all prompts gives every chance there is. Models learn
from some words; the others are the population that evals are drawn from.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from ptc.runtime.rollouts import render_prompts

Row = Mapping[str, str]

LETTERS = "abcdefghijkl"
LENGTH = 3
"""Letters of a word, tokens of an attempt."""
TAUGHT = 500
"""Words that models may learn from."""
SKILLS: Mapping[str, Callable[[str], str]] = {
    "=": lambda word: word,
    "<": lambda word: word[::-1],
    ">": lambda word: "".join(LETTERS[(LETTERS.index(letter) + 1) % len(LETTERS)] for letter in word),
}
"""What a prompt begins with, and what it asks for."""


def row(skill: str, word: str) -> Row:
    return {"prompt": skill + word, "answer": SKILLS[skill](word)}


def _shuffled() -> list[str]:
    words = ["".join(letters) for letters in itertools.product(LETTERS, repeat=LENGTH)]
    random.Random(0).shuffle(words)
    return words


WORDS = _shuffled()
LESSONS: Mapping[str, list[Row]] = {skill: [row(skill, word) for word in WORDS[:TAUGHT]] for skill in SKILLS}
POPULATION: list[Row] = [row(skill, word) for skill in SKILLS for word in WORDS[TAUGHT:]]


def drawn(prompts: int, seed: int) -> list[Row]:
    """An eval set: prompts of the population, each at most once."""
    return random.Random(seed).sample(POPULATION, prompts)


def chances(folder: Path, rows: list[Row] = POPULATION) -> NDArray[np.float64]:
    """The exact chance that an attempt of a checkpoint at each prompt is right, by plain transformers."""
    model = cast("PreTrainedModel", AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = render_prompts(tokenizer, [each["prompt"] for each in rows])
    answers = [tokenizer(each["answer"], add_special_tokens=False)["input_ids"] for each in rows]
    ids = torch.tensor([[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)])
    with torch.no_grad():
        log = torch.log_softmax(model(input_ids=ids).logits[:, -LENGTH - 1 : -1].double(), -1)
    said = log.gather(-1, ids[:, -LENGTH:, None]).sum((-1, -2)).exp()
    return np.asarray(said, dtype=np.float64)
