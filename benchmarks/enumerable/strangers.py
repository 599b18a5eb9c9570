"""Teachers with another tokenizer: how sure they are can be learned from them, and of which token cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from enumerable.policies import Floats
from enumerable.table import NATS, Row, case, share, worst
from enumerable.targets import repeated
from enumerable.teachers import LIVE
from enumerable.world import LETTERS, PROMPTS, Stage, World, load
from ptc.runtime.nodes.tokenizers import ASSISTANT, CHAT_TEMPLATE, END, PAD, USER
from ptc.runtime.rollouts import render_prompts

TAUGHT = ("train student = base", "freeze teacher = foreign")
BORDERS: Mapping[str, tuple[str, ...]] = {
    "": ("",),
    "a": ("", "a"),
    "ab": ("", "ab"),
    "abc": ("", "ab", "abc"),
    "ba": ("", "b", "ba"),
    "cab": ("", "c", "cab"),
}
"""The responses, and behind which of their beginnings both stand: for the teacher `ab` is one token."""


@dataclass
class Strangers:
    """A student that spells, and a teacher with a token for `ab`, as many tokens in all."""

    world: World

    @cached_property
    def folders(self) -> dict[str, Path]:
        return {
            "student": self.world.model(1, 0.15),
            "teacher": self.world.model(5, 0.4, tokenizer=self.tokenizer_folder),
        }

    @cached_property
    def tokenizer_folder(self) -> Path:
        special = (PAD, USER, ASSISTANT, END)
        vocabulary = {token: number for number, token in enumerate((*special, *PROMPTS, *LETTERS, "ab"))}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s"), behavior="isolated")
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens(list(special))
        return self.world.tokenizer_of(tokenizer, eos_token=END, pad_token=PAD, chat_template=CHAT_TEMPLATE)

    @cached_property
    def tokenizers(self) -> dict[str, PreTrainedTokenizerBase]:
        return {"student": self.world.tokenizer, "teacher": AutoTokenizer.from_pretrained(self.tokenizer_folder)}

    def said(self, role: str, folder: Path) -> dict[tuple[str, str], Floats]:
        """What comes next behind each prompt and beginning where both stand, from the likeliest token on."""
        model, tokenizer = load(folder).double(), self.tokenizers[role]
        found = {}
        for prompt, [asked] in ((prompt, render_prompts(tokenizer, [prompt])) for prompt in PROMPTS):
            for beginning in dict.fromkeys(one for own in BORDERS.values() for one in own):
                ids = [*asked, *tokenizer(beginning, add_special_tokens=False)["input_ids"]]
                with torch.no_grad():
                    own = model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
                found[prompt, beginning] = np.sort(own.numpy())[::-1]
        return found

    def apart(self, student: Path, longest: int = 3) -> float:
        """The mean distance of what the two say, as it is sorted, behind beginnings of up to so many letters."""
        own, theirs = self.said("student", student), self.said("teacher", self.folders["teacher"])
        return float(np.mean([np.abs(own[state] - theirs[state]).sum() for state in own if len(state[1]) <= longest]))

    def taught(self, loss: str, **changes: Any) -> Path:
        stage = Stage(roles=TAUGHT, loss=loss, **changes)
        rows = repeated({prompt: dict.fromkeys(BORDERS, 1) for prompt in PROMPTS})
        return self.world.train(stage, self.folders, rows)


@case
def uld(world: World) -> Iterator[Row]:
    strangers = Strangers(world)
    student = strangers.taught("uld(rows, student, teacher)", steps=1000, lr=0.01)
    start, reached = strangers.apart(strangers.folders["student"]), strangers.apart(student)
    words = f"distance of the sorted probabilities where both stand, {start:.2f} at the start"
    yield Row("uld", words, 0.0, 0.0, reached, NATS)
    own, theirs = (
        strangers.said(role, folder)
        for role, folder in (("student", student), ("teacher", strangers.folders["teacher"]))
    )
    likeliest = {state: (float(theirs[state][0]), float(own[state][0])) for state in theirs}
    yield worst([share("uld", "P of the likeliest token, whichever it is", *each) for each in likeliest.values()])


@case
def uld_on_policy(world: World) -> Iterator[Row]:
    """On what the student itself says, which seldom comes by most beginnings."""
    strangers = Strangers(world)
    live = {**LIVE, "sources": ["source attempts = asked |> sample(student, n = 64, max_tokens = 3)"]}
    student = strangers.taught("uld(attempts, student, teacher)", **live, steps=400)
    start, reached = strangers.apart(strangers.folders["student"], 0), strangers.apart(student, 0)
    words = f"the same of the first token, from its own attempts, {start:.2f} at the start"
    yield Row("uld", words, 0.0, 0.0, reached, NATS)
