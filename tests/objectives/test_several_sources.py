"""Losses over several sources: which terms belong together, who leads, and numbers that change while a stage runs."""

from __future__ import annotations

from typing import Any

import loss_expressions as e
import pyarrow as pa
import pytest
import torch
from loss_cases import rollouts, tiny_model
from objective_batches import groups_of
from small_tokenizers import chatml
from suitable import program

from ptc import api
from ptc.runtime.batches import Draw, collate
from ptc.runtime.flows import FixedFlow
from ptc.runtime.forward import answers
from ptc.runtime.loss import Loss, losses_of
from ptc.runtime.losses.needs import Needs
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.training import Training

GROUPS = rollouts(61)


def reward(source: str) -> dict[str, Any]:
    return {**e.column("reward", e.SAMPLES), "source": source}


def mean(document: dict[str, Any]) -> dict[str, Any]:
    return e.reduce("mean", document, "group", "prompt")


def term(loss: dict[str, Any], source: str, weight: Any = 1.0) -> dict[str, Any]:
    return {"weight": weight, "source": source, "loss": loss}


def apart(*sources: str) -> dict[str, Any]:
    """Each source reduced to one number by itself."""
    return e.apply("add", *(mean(reward(source)) for source in sources))


def alike(one: str, other: str) -> dict[str, Any]:
    """The rewards of one source against the other's at the same prompt."""
    return mean(e.apply("sub", reward(one), e.reduce("mean", reward(other), "group")))


def test_terms_that_share_a_source_are_one_loss_in_the_order_of_the_first() -> None:
    plain = mean(e.column("reward", e.SAMPLES))
    terms = [term(plain, "s1"), term(plain, "s0"), term(apart("s2", "s0"), "s2"), term(plain, "s3"), term(plain, "s1")]
    assert [set(loss.sources) for loss in losses_of(terms)] == [{"s1"}, {"s0", "s2"}, {"s3"}]


def test_a_document_that_names_no_source_reads_that_of_its_term() -> None:
    [loss] = losses_of([term(apart("s0", "s1"), "s0"), term(mean(e.column("reward", e.SAMPLES)), "s1", 10.0)])
    batches = {"s0": collate(rollouts(62)), "s1": collate(GROUPS)}
    means = {source: float(batch.numbers["reward"].mean()) for source, batch in batches.items()}
    value = loss.whole(loss.prepare(batches), lambda *_: []).loss
    assert float(value) == pytest.approx(means["s0"] + 11 * means["s1"], rel=1e-5)


def test_sources_that_are_reduced_apart_need_not_share_their_prompts() -> None:
    assert not losses_of([term(apart("s0", "s1"), "s0")])[0].shares_prompts
    assert losses_of([term(alike("s0", "s1"), "s0")])[0].shares_prompts


def test_attempts_of_two_sources_do_not_line_up() -> None:
    with pytest.raises(ValueError, match="cannot align the samples of s0 and s1"):
        losses_of([term(mean(e.apply("sub", reward("s0"), reward("s1"))), "s0")])


def test_a_source_without_samples_takes_part() -> None:
    [loss] = losses_of([term(alike("s0", "s1"), "s0")])
    batches = {"s0": collate(GROUPS), "s1": collate([[] for _ in GROUPS])}
    value = loss.whole(loss.prepare(batches), lambda *_: []).loss
    assert float(value) == pytest.approx(float(batches["s0"].numbers["reward"].mean()), rel=1e-5)


def test_a_source_without_samples_is_taken_up_and_keeps_nothing() -> None:
    then = {**e.logp("m0"), "at": "batch_start"}
    ratio = e.per_sample(e.apply("exp", e.apply("sub", e.logp("m0"), then)))
    [loss] = losses_of([term(e.apply("add", mean(reward("s1")), ratio), "s0")])
    taken = loss.taken_up([[], []], lambda *_: [], lambda widths: [], "s0")
    assert list(taken) == [[], []]
    prepared = loss.prepare({"s0": collate(taken), "s1": collate(GROUPS)})
    value = loss.whole(prepared, lambda *_: []).loss
    assert float(value) == pytest.approx(float(prepared.batches["s1"].numbers["reward"].mean()), rel=1e-5)


def test_all_rows_at_a_prompt_are_there_whatever_a_unit_is() -> None:
    rows = pa.table({"prompt": ["a", "b", "a"], "response": ["x", "y", "z"]})
    for unit, size in (("samples", 3), ("prompts", 2)):
        flow = FixedFlow(rows, unit, Needs(texts=("response",)), chatml(), Rendering())
        assert flow.size == size
        found = flow.at(0, Draw([[], [], []], {}, ["b", "c", "a"]))
        assert [len(group) for group in found.groups] == [1, 0, 2]


def test_statistics_of_two_sources_add_up() -> None:
    fit = [{**e.logp("m0"), "source": source} for source in ("s0", "s1")]
    [loss] = losses_of([term(e.apply("add", *map(e.per_sample, fit)), "s0")])
    batches = {"s0": collate(rollouts(62)), "s1": collate(GROUPS)}
    policy = tiny_model(1)
    part = loss.whole(
        loss.prepare(batches), lambda model, columns, batch: answers(policy, [batch.sequences["response"]])
    )
    assert part.statistics["m0", "response"].tokens == sum(
        len(batch.sequences["response"].tokens) for batch in batches.values()
    )


def test_the_one_that_others_are_joined_to_leads() -> None:
    [stage] = [node for node in api.compiled(api.check_text(program("luffy"))).nodes.values() if node.kind == "train"]
    assert Training.of(stage.settings).follows == {"s1": "s0"}


def test_parts_of_both_sources_are_the_loss() -> None:
    [stage] = [node for node in api.compiled(api.check_text(program("luffy"))).nodes.values() if node.kind == "train"]
    [loss] = losses_of(stage.settings["terms"])
    batches = {source: collate(groups) for source, groups in zip(("s0", "s1"), groups_of("luffy"), strict=True)}
    said = {batch.samples: torch.randn(len(batch.sequences["response"].tokens), 17) for batch in batches.values()}
    prepared = loss.prepare(batches)
    whole = loss.whole(prepared, lambda model, columns, batch: [said[batch.samples]]).loss
    parts = [
        loss.part(prepared, 0, batch.samples, lambda model, columns, batch: [said[batch.samples]], source).loss
        for source, batch in batches.items()
    ]
    assert float(sum(parts)) - loss.constant_part(prepared) == pytest.approx(float(whole), rel=1e-5)


# Numbers that change --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "expected"), [(0, 0.9), (100, 0.475), (200, 0.05), (1000, 0.05)])
def test_weights_and_numbers_anneal_with_completed_steps_and_stay(step: int, expected: float) -> None:
    usual = float(collate(GROUPS).numbers["reward"].mean())
    inside = e.apply("mul", {"op": "anneal", "start": 0.9, "end": 0.05, "steps": 200, "axes": []}, reward("s0"))
    course = {"anneal": [0.9, 0.05], "over": 200}
    for loss in (Loss([(1.0, mean(inside))]), Loss([(course, mean(reward("s0")))])):
        prepared = loss.prepare(collate(GROUPS), step)
        assert float(loss.whole(prepared, lambda *_: []).loss) == pytest.approx(expected * usual, rel=1e-5)
