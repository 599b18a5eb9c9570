"""Stages whose roles are known: the chances are those of all attempts there are, the truths those of the formulas."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, Qwen3Config

from ptc.runtime.nodes.tokenizers import write_characters
from ptc.runtime.rollouts import render_prompts
from ptc.stdlib.verifiers import Pass, exact

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import roles
from populations import Population
from trained import confusion
from trained.recipes import DESIGNS
from trained.truths import did, truth
from trained.words import LENGTH, LETTERS, POPULATION, SKILLS, chances, row


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing, far from uniform."""
    folder = tmp_path_factory.mktemp("checkpoint")
    write_characters(pa.table({"text": [LETTERS + "".join(SKILLS)]}), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = Qwen3Config(**shape, head_dim=8, intermediate_size=16, vocab_size=len(tokenizer), eos_token_id=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        model.lm_head.weight.data.normal_(std=0.3)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("skill", SKILLS)
def test_the_chance_is_that_of_all_attempts_that_the_verifier_passes(checkpoint: Path, skill: str) -> None:
    asked = row(skill, "abl")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    [prompt] = render_prompts(tokenizer, [asked["prompt"]])
    attempts = list(itertools.product(range(len(tokenizer)), repeat=LENGTH))
    texts = tokenizer.batch_decode(attempts, skip_special_tokens=True)
    passed = [isinstance(exact(text, asked["answer"]), Pass) for text in texts]
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *attempt] for attempt in attempts])).logits
    log = torch.log_softmax(logits[:, len(prompt) - 1 : -1].double(), -1)
    whole = log.gather(-1, torch.tensor(attempts)[..., None]).sum((-1, -2)).exp().numpy()
    assert whole.sum() == pytest.approx(1.0)
    assert chances(checkpoint, [asked])[0] == pytest.approx(whole[passed].sum(), rel=1e-4) and any(passed)


def test_a_stage_has_the_roles_that_the_formulas_say() -> None:
    before = np.array([0.0] * 50 + [0.2] * 50)
    opened = Population(before, np.array([0.5] * 50 + [0.2] * 50))
    raised = Population(before, np.array([0.0] * 50 + [0.6] * 50))
    traded = Population(before, np.array([0.9] * 50 + [0.0] * 50))
    assert [truth("expands", each, 200).holds for each in (opened, traded)] == [True, True]
    assert [truth("reshapes", each, 200).holds for each in (opened, raised, traded)] == [True, True, False]
    assert not truth("consolidates", Population(before, before * 0.94), 200).holds
    assert truth("consolidates", Population(before, before * 0.96), 200).holds
    assert truth("expands", Population(before, before), 200).null
    assert did(traded, 200) == "expand with attrition"
    assert did(Population(before, before * 0.9), 200) == "decline"


def test_no_prompt_of_the_population_is_learned_from() -> None:
    from trained.words import LESSONS

    learned = {each["prompt"] for rows in LESSONS.values() for each in rows}
    assert learned.isdisjoint(each["prompt"] for each in POPULATION)
    assert len(learned) + len(POPULATION) == len(SKILLS) * len(LETTERS) ** LENGTH


def test_the_page_has_every_stage() -> None:
    page = roles.PAGE.read_text(encoding="utf-8")
    missing = [
        (design.name, dose) for design in DESIGNS for dose in design.doses if f"`{design.name}` {dose} |" not in page
    ]
    assert not missing


@pytest.mark.slow
def test_verdicts_on_trained_stages_are_as_good_as_promised(tmp_path: Path) -> None:
    designs = [design for design in DESIGNS if design.name in ("shown_alone", "chosen", "hurried", "still")]
    claims = list(roles.trained(4, designs, tmp_path))
    assert len(claims) == 11
    assert all(promise.kept for promise in confusion.promises(claims))
    assert {each.verdict for each in claims} >= {"supported", "refuted"}
    still = next(each for each in claims if each.design.name == "still" and each.truth.role == "expands")
    assert still.verdict == "undecided" and np.array_equal(still.solved["entry"], still.solved["exit"])
