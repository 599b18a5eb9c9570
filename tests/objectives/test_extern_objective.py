"""Objectives in Python: the same loss and gradient as in the language, however the batch is cut, and what is said of
functions that are wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from loss_cases import pairs
from objective_batches import groups_of
from suitable import LIBRARY, program
from test_batch_laws import Way, gradient, models_of
from training_cases import MemoryFlow, Stage

from ptc import api
from ptc.compiler.graph import Node
from ptc.lang.render import render_all
from ptc.runtime import checkpoint
from ptc.runtime.artifacts import InputWrong, Interrupted, InvariantBroken
from ptc.runtime.losses.outside import refuse_uncallable
from ptc.runtime.placement import Placement
from ptc.runtime.trainer import Trainer
from ptc.runtime.training import Training

CALLS = {
    "sft": "",
    "dpo": "",
    "grpo": "grpo(rollouts, policy, reference, clip_high = 0.28, kl = 0.05)",
    "reverse_kl": "",
    "entropy_bonus": "entropy_bonus(attempts, policy)",
    "bradley_terry": "",
    "prm": "",
    "luffy": "",
}
"""Objectives of the library that `python_losses` has as well, with a call where the usual one asks for more."""
VALUED = """
objective valued(rollouts: Trajectories{prompt, response, reward}, policy: Trained, critic: Trained) {
  let off = value(critic, .response) - .reward
  loss = mean(mean(off * off - logp(policy, .response), over = token), over = sample)
}"""
WAYS = (Way(), Way(micro_batch=1), Way(micro_batch=3, packing=True, order=5), Way(processes=2, micro_batch=2))


def node_of(text: str) -> Node:
    checked = api.check_text(text)
    assert checked.sound, render_all(checked.diagnostics, checked.source)
    [node] = [node for node in api.compiled(checked).nodes.values() if node.kind == "train"]
    return node


def head_of(text: str) -> str:
    [head] = re.findall(r"^objective (\w+\(.*?\)) \{$", text, re.MULTILINE | re.DOTALL)
    return str(head)


def in_python(text: str, objective: str, name: str) -> str:
    """A program in which an objective, whose text is given, is a function of `python_losses`."""
    declared = f'extern objective {head_of(objective)} = "python_losses:{name}"'
    text = text.replace(objective, "").replace(f"from std.objectives import {name}\n", "")
    return text.replace("stage learner", f"{declared}\nstage learner")


def both(name: str) -> tuple[Node, Node]:
    """The node of a stage that learns by an objective in the language, and by the same one in Python."""
    if name == "valued":
        usual = program("ppo", "valued(rollouts, policy, critic)").replace("import ppo", "import sft")
        text = usual.replace("stage learner", f"{VALUED}\nstage learner")
        return node_of(text), node_of(in_python(text, VALUED, name))
    text = program(name, CALLS[name])
    return node_of(text), node_of(in_python(text, (LIBRARY / f"{name}.pt").read_text(encoding="utf-8"), name))


def groups_for(name: str) -> list[Any]:
    return groups_of({"valued": "ppo"}.get(name, name))


@pytest.mark.parametrize("name", [*CALLS, "valued"])
def test_it_has_the_gradient_of_the_same_in_the_language(name: str, tmp_path: Path) -> None:
    mathematics, python = both(name)
    assert [term["loss"]["op"] for term in python.settings["terms"]] == ["extern"]
    groups = dict(zip(Training.of(mathematics.settings).losses[0].sources, groups_for(name), strict=True))
    models = models_of(mathematics, torch.float64)
    expected, whole, _ = gradient(mathematics, models, groups, Way(), tmp_path)
    assert float(whole.norm()) > 1e-4
    for way in WAYS:
        loss, found, _ = gradient(python, models, groups, way, tmp_path)
        assert abs(loss - expected) <= 1e-6 * max(1.0, abs(expected)), way
        assert float((found - whole).norm() / whole.norm()) <= 1e-6, way


def test_the_head_decides_what_is_handed_over() -> None:
    _, python = both("grpo")
    [rows] = python.settings["terms"][0]["loss"]["args"]
    assert rows["name"] == "rollouts"
    assert (rows["numbers"], rows["texts"]) == (["logprobs", "reward"], ["response"])
    assert [(leaf["op"], leaf.get("name", leaf.get("model"))) for leaf in rows["args"]] == [
        ("column", "logprobs"), ("column", "reward"), ("logp", "m0"), ("logp", "m1")
    ]  # fmt: skip
    assert python.settings["terms"][0]["loss"]["numbers"]["unbiased_kl"] is False


# At the first step ----------------------------------------------------------------------------------------------------


def trained(
    name: str, stage: Stage, steps: int = 1, micro_batch: int | None = None, every: int | None = None
) -> dict[str, torch.Tensor]:
    """What a stage leaves, in which pairs are learned from by a function with the head of `dpo`."""
    _, node = both("dpo")
    settings = dict(node.settings)
    [term] = settings["terms"]
    settings["terms"] = [{**term, "loss": {**term["loss"], "target": f"python_losses:{name}"}}]
    refuse_uncallable(settings["terms"])
    [source] = settings["batch"]
    settings["batch"] = {source: {"count": 6, "unit": "samples"}}
    settings["budget"] = {"count": steps, "unit": "steps"}
    node = replace(node, settings=settings, inputs={})
    models = models_of(node, torch.float32)
    placement = Placement(micro_batch=micro_batch, checkpoint_every=every)
    flows = {source: MemoryFlow(pairs(3))}
    Trainer(Training.of(settings), models, flows, stage.context(node), placement).run()
    return checkpoint.weights(models["m0"])


def test_a_stage_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = trained("dpo", Stage.at(tmp_path / "whole"), steps=4)
    cut = Stage.at(tmp_path / "cut", interrupt_after=2)
    with pytest.raises(Interrupted):
        trained("dpo", cut, steps=4, every=1)
    again = Stage.at(tmp_path / "cut")
    found = trained("dpo", again, steps=4, every=1)
    assert [row["step"] for row in again.rows if "loss" in row] == [3, 4]
    assert all(torch.equal(found[name], weight) for name, weight in whole.items())


@pytest.mark.parametrize("micro_batch", [None, 1, 4])
def test_one_that_adds_up_takes_its_step(micro_batch: int | None, tmp_path: Path) -> None:
    trained("dpo", Stage.at(tmp_path), micro_batch=micro_batch)


@pytest.mark.parametrize("micro_batch", [None, 1])
@pytest.mark.parametrize("name", ["mean_of_what_it_gets", "centred_where_it_is", "adds_a_number", "at_zero"])
def test_one_whose_parts_do_not_add_up_is_refused(name: str, micro_batch: int | None, tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken) as raised:
        trained(name, Stage.at(tmp_path), micro_batch=micro_batch)
    said = str(raised.value)
    assert said.startswith("identity-violated: a batch has one loss and one gradient however it is cut, and ")
    assert f'"python_losses:{name}" gives ' in said
    assert said.endswith(
        "return one value per sample, or divide by the whole batch with pairs.batch_mean(…); weights untouched"
    )


REFUSED = {
    "raises": "raised KeyError: 'b' (*): mend it, and run again",
    "misfits": "raised ValueError: `pairs.chosen` wants one value for each of * tokens, not (2,) (*): mend it",
    "reads_what_is_not_there": "raised AttributeError: `pairs` has no `reward`, which its head does not ask for: it",
    "asks_another_head": "`policy` has another head: it can be asked for `logp`, not for `value` (*)",
    "asks_no_text": "raised TypeError: `policy.logp` takes a text, such as rows.response, not str (*)",
    "groups_nothing": "raised ValueError: `pairs` has no number per sample that is called `reward` (*)",
    "gives_tokens": "(*) gave a tensor of shape (*,): return one value for each of the * samples, or a number, "
    "pairs.batch_mean(values), or pairs.chosen.batch_mean(values) of tokens",
    "gives_lengths": "(*) gave a tensor of torch.int64, and a loss is of floating point: return one value for each",
    "gives_a_number": "(*) gave float, and a tensor is wanted: return one value for each of the * samples",
    "gives_no_gradient": "(*) gave a loss without a gradient: compute it from what a `Trained` model says, without",
    "takes_less": "(*) does not take what its head declares (got an unexpected keyword argument 'reference'): "
    "def takes_less(pairs, policy, reference, beta)",
    "is_not_there": '"python_losses:is_not_there" cannot be loaded: the module python_losses has no function',
    "gives_tokns": "has no function `gives_tokns`: did you mean `gives_tokens`?",
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_that_is_wrong_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputWrong) as raised:
        trained(name, Stage.at(tmp_path))
    said = str(raised.value)
    assert said.startswith(f'"python_losses:{name}"')
    assert "\n" not in said
    assert re.search(re.escape(REFUSED[name]).replace(r"\*", ".+"), said), said
    if "(*)" in REFUSED[name]:
        assert re.search(r"python_losses\.py:\d+\)", said), said


def test_one_that_gives_nan_leaves_the_weights_untouched(tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match=r"gave a loss that is not finite \(nan\), weights untouched: keep log"):
        trained("gives_nan", Stage.at(tmp_path))
