"""Our side: the call in a program, compiled, and its loss and gradient on the batch."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from loss_cases import Gradient, forward_of
from parity_batches import Groups

from ptc import api
from ptc.compiler.objective_names import LIBRARY
from ptc.lang.render import render_all
from ptc.runtime.batches import collate
from ptc.runtime.loss import losses_of

PROGRAM = """edition 2026
{objectives}
from std.verifiers import exact
source tasks = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
source labelled = gym("chain_sum", size = 100) |> prompts(.question, response = .answer, label = .num_terms == 2)
source strangers = labelled |> shuffle(.response)
source pairs = jsonl("pairs.jsonl")
source chosen = pairs |> respond(.chosen)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
model other = new.model("qwen3", hidden = 32, layers = 2, tokenizer = characters(tasks))
{own}
stage learner {{
{roles}
{rollouts}
  minimize {call}
  optimizer = adamw(lr = 1e-3)
  batch = 4 prompts
  budget = 1 steps
}}
"""
ROLES = {
    "policy": "  train policy = base",
    "student": "  train student = base",
    "judge": "  train judge = reward_head(base)",
    "reference": "  freeze reference = base",
    "teacher": "  freeze teacher = other",
}
ROLLOUTS = "  source rollouts = tasks |> sample(policy, n = 4, temperature = {}, max_tokens = 4) |> score(exact)"


def objectives(call: str) -> list[str]:
    """The names of the library in a call."""
    return [word for word in dict.fromkeys(re.findall(r"\w+", call)) if word in LIBRARY]


def program(call: str, temperature: float = 1.0, own: str = "") -> str:
    """A program that minimises a call; `own` is the text of objectives that the library has not got."""
    words = set(re.findall(r"\w+", call))
    library = ", ".join(objectives(call))
    return PROGRAM.format(
        objectives=f"from std.objectives import {library}" if library else "",
        own=own,
        roles="\n".join(line for role, line in ROLES.items() if role in words),
        rollouts=ROLLOUTS.format(temperature) if "rollouts" in words else "",
        call=call,
    )


def loss_and_gradient(
    call: str,
    sources: Mapping[str, Groups],
    models: Mapping[str, torch.nn.Module],
    temperature: float = 1.0,
    own: str = "",
) -> tuple[float, Gradient]:
    """Summed over the terms of the call; `sources` and `models` go by the names that the call gives them."""
    result = api.check_text(program(call, temperature, own))
    assert result.sound, render_all(result.diagnostics, result.source)
    [stage] = [node for node in api.compiled(result).nodes.values() if node.kind == "train"]
    asked = [models[stage.names[canonical]] for canonical in stage.settings["models"]]
    learner, total = asked[0], 0.0
    learner.zero_grad()
    for loss in losses_of(stage.settings["terms"]):
        batches = {source: collate(sources[stage.names[source]]) for source in loss.sources}
        value = loss.whole(loss.prepare(batches), forward_of(*asked)).loss
        value.backward()
        total += float(value.detach())
    return total, {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in learner.named_parameters()
    }
