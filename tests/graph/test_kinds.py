"""Every kind of node that `docs/graph.md` describes comes out of some program, its inputs before it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from graph_programs import HEAD, SPELLING, WARM, graph, of_kind, stage

from ptc import api
from ptc.compiler.diagnosing import Wish, measurements
from ptc.compiler.graph import Graph
from ptc.compiler.meaning import SEMANTICS

TABLE = Path(__file__).parent.parent.parent / "docs" / "graph.md"

BOTH = """objective both(rows: Trajectories{prompt, response}, one: Trained, other: Trained) {
  loss = mean(mean(-logp(one, .response) - value(other, .response), over = token), over = sample)
}
objective valued(rows: Trajectories{prompt, response}, critic: Trained) {
  loss = mean(value(critic, .response), over = [token, sample])
}
"""

PROGRAMS = {
    "the demo": SPELLING,
    "files": HEAD
    + 'source pairs = parquet("pairs.parquet") |> take(10)\n'
    + 'source more = hf.dataset("org/pairs") |> prompts(.question, chosen = .good, rejected = .bad)\n'
    + 'model there = hf.model("org/model")\nmodel here = local.model("folder")\n'
    + 'model made = new.model("llama", hidden = 32, layers = 1, tokenizer = tokenizer(here))\n'
    + stage("a", "train policy = there freeze reference = there minimize dpo(pairs, policy, reference)")
    + stage("b", "train policy = here freeze reference = here minimize dpo(more, policy, reference)")
    + stage("c", "train policy = made minimize sft(demos, policy)"),
    "text": HEAD
    + "source lessons = demos + (problems |> respond(reverse(.answer)))\n"
    + "eval reading = bits_per_character(tasks |> slice(80%, 100%) |> respond(.answer))\n"
    + 'model other = new.model("qwen3", hidden = 32, layers = 1, tokenizer = bpe(lessons, vocabulary = 300))\n'
    + stage("a", "train policy = other minimize sft(lessons, policy)")
    + "report reading\n",
    "every step": HEAD
    + WARM
    + 'source bought = parquet("verl.parquet") |> from_verl() |> unique(.prompt) |> without(skill)\n'
    + 'source more = parquet("open.parquet") |> from_sharegpt() |> from_open_instruct() |> chat("Be brief.")\n'
    + "source lessons = mix([bought, more], weights = [3, 1]) |> hint(.answer) |> sample(warm, n = 4) |> score(exact)\n"
    + "source strange = demos |> against(lessons)\n"
    + "source pairs = lessons |> best(2) |> only(.reward > 0) |> best_and_worst()\n"
    + 'source steps = problems |> prefix(.answer, share = 50%) |> sample(warm) |> split_steps(", ") |> replay()\n'
    + "source joined = demos |> join(lessons, on = .prompt) |> only(max(.reward, over = group) == 0)\n"
    + "eval worth = reward(tasks |> slice(80%, 100%), exact)\n"
    + "eval wins = win_rate(tasks |> slice(80%, 100%), exact, against = base)\n"
    + stage("a", "train policy = warm freeze reference = warm minimize dpo(pairs + strange, policy, reference)")
    + stage("b", "train policy = warm minimize sft(steps, policy) + sft(joined, policy)")
    + stage(
        "c",
        "train policy = warm source tries = problems |> sample(policy, n = 4) |> score(exact) |> keep(.reward > 0)"
        " |> refill(max = 2) require informative_rate(tries) >= 1% ensure kl(base) <= 1 minimize grpo(tries, policy)",
    )
    + "report worth, wins\n",
    "weights": HEAD
    + BOTH
    + 'extern source puzzles(count: Int) -> Trajectories{prompt, response} = "lab.data:puzzles"\n'
    + stage("odd", "train policy = base minimize sft(puzzles(9), policy)")
    + WARM.replace("minimize", "watch skill every 1 steps minimize")
    + "model early = warm @ step(1)\nmodel best = warm @ best(skill)\n"
    + "model joined = merge_adapter(lora(merge([early, best, warm], weights = [0.5, 0.25, 0.25])))\n"
    + 'model judge = reward_head(retemplate(joined, template = "{{ messages }}"))\n'
    + stage("two", "train policy = joined train critic = value_head(judge) minimize both(demos, policy, critic)")
    + stage("after", "train critic = two.critic minimize valued(demos, critic)"),
    "control": HEAD
    + WARM
    + "source tried = problems |> sample(warm, n = 4) |> score(exact) |> shuffle(.reward) |> keep(.reward == 1)\n"
    + stage("a", "train policy = warm minimize sft(tried, policy) ensure skill >= 0%", "consolidates skill from warm"),
}


def kinds_described() -> set[str]:
    table = TABLE.read_text(encoding="utf-8").split("## Kinds")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


def diagnosed(text: str) -> Graph:
    """What `ptc diagnose` measures of the first model of a program."""
    checked = api.check_text(text).checked
    assert checked is not None
    program = checked.program
    return measurements(Wish(program, program.evals[0], program.models[0], "first", references="answer")).graph


def test_every_kind_is_made_and_described() -> None:
    nodes = [node for text in PROGRAMS.values() for node in graph(text).nodes.values()]
    nodes += diagnosed(SPELLING).nodes.values()
    flows = [flow for node in nodes if node.kind == "train" for flow in node.settings["flows"].values()]
    made = {node.kind for node in nodes} | {step["op"] for flow in flows for step in flow}
    assert made == kinds_described() == set(SEMANTICS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nodes_stand_behind_what_they_need(name: str) -> None:
    found = graph(PROGRAMS[name])
    seen: set[str] = set()
    for meaning, node in found.nodes.items():
        assert meaning == node.meaning
        assert {*node.inputs.values(), *node.after, *(watch.prompts for watch in node.watches)} <= seen
        seen.add(meaning)
    assert set(found.roots) <= seen


def test_a_stage_waits_for_its_gate_and_an_export_for_what_is_ensured() -> None:
    gated = (
        HEAD + WARM.replace("minimize", "require skill >= 0% ensure skill >= 10% minimize") + 'export warm to "out"\n'
    )
    found = graph(gated)
    gates = {node.settings["when"]: node for node in of_kind(found, "gate")}
    (trained,), (exported,) = of_kind(found, "train"), of_kind(found, "export")
    assert trained.after == (gates["require"].meaning,)
    assert exported.after == (gates["ensure"].meaning,)


def test_gates_on_rollouts_draw_with_the_weights_at_their_end_of_the_stage() -> None:
    live = "source tried = problems |> sample(policy, n = 4) |> score(exact)"
    body = f"train policy = warm {live} {{}} informative_rate(tried) >= 1% minimize grpo(tried, policy)"

    def drawn_from(when: str) -> str:
        found = graph(HEAD + WARM + stage("a", body.format(when)))
        (sample,) = of_kind(found, "sample")
        return found.nodes[sample.inputs["model"]].label

    assert drawn_from("require") == "warm"
    assert drawn_from("ensure") == "a"


def test_a_live_source_is_no_node() -> None:
    found = graph(HEAD + WARM + stage("a", LIVE))
    assert not of_kind(found, "sample")
    (learned,) = (node for node in of_kind(found, "train") if node.label == "a")
    assert [step["op"] for step in learned.settings["flows"]["s0"]] == ["sample", "score"]


LIVE = (
    "train policy = warm source tried = problems |> sample(policy, n = 4) |> score(exact) minimize grpo(tried, policy)"
)


def test_without_an_export_every_stage_runs_and_with_one_what_it_needs() -> None:
    other = stage("other", "train policy = base minimize sft(demos, policy) seed = 2")
    assert labels(graph(HEAD + WARM + other)) == {"warm", "other"}
    assert labels(graph(HEAD + WARM + other + 'export warm to "out"\n')) == {"warm"}


def labels(found: Graph) -> set[str]:
    return {node.label for node in of_kind(found, "train")}


ADAPTED = """edition 2026
from std.objectives import sft
source rows = jsonl("rows.jsonl")
model base = hf.model("org/base", revision = "abc")
stage warm {
  train policy = lora(base)
  minimize sft(rows, policy)
  optimizer = adamw(lr = 1e-4)
  batch = 8 samples
  budget = 2 steps
}
export warm to "apart"
export merge_adapter(warm) to "merged"
"""


def test_an_exported_adapter_names_the_model_of_the_hub_that_it_is_over() -> None:
    named = {node.settings["path"]: node.settings.get("base") for node in of_kind(graph(ADAPTED), "export")}
    assert named == {"apart": {"name": "org/base", "revision": "abc"}, "merged": None}
