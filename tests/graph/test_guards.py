"""Guards in the graph: the usual limits, the program's own, and what is allowed; never part of a meaning."""

from __future__ import annotations

from graph_programs import of_kind

from ptc import api
from ptc.compiler.graph import Graph, Guard
from ptc.compiler.graph_document import from_document, to_document

PROGRAM = """edition 2026
from std.objectives import grpo, sft
from std.verifiers  import exact
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source problems = tasks |> slice(0%, 60%)
model tuned = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))
eval skill = pass_rate(tasks |> slice(80%, 100%), exact, n = 16)
stage reasoner {
  train policy = tuned
  freeze reference = tuned
  source rollouts = problems |> sample(policy, n = 8) |> score(exact)
  minimize grpo(rollouts, policy, reference, kl = 0.01)
  optimizer = adamw(lr = 1e-6)
  batch     = 32 prompts
  budget    = 100 steps
  watch skill every 20 steps
  MORE
}
"""


def compiled(more: str = "") -> Graph:
    result = api.check_text(PROGRAM.replace("MORE", more))
    assert result.sound, result.diagnostics
    return api.compiled(result)


def guards(graph: Graph) -> dict[str, Guard]:
    (stage,) = of_kind(graph, "train")
    return {guard.measure: guard for guard in stage.guards}


def test_every_stage_is_watched_by_limits_that_warn() -> None:
    found = guards(compiled())
    assert {"zero_advantage", "entropy_kept", "kl", "memorisation", "proxy_gold_split"} <= found.keys()
    assert not any(guard.stops for guard in found.values())
    assert found["memorisation"].about == "skill"
    assert not {"chosen_logp_drop", "gradient_cosine"} & found.keys()


def test_a_limit_of_the_program_stops_and_takes_the_place_of_the_usual_one() -> None:
    limit = guards(compiled("guard kl <= 0.2 over 10 steps"))["kl"]
    assert limit == Guard("kl-budget", "kl", "le", 0.2, 10, stops=True, place="program.pt:17")


def test_what_is_allowed_is_not_watched() -> None:
    found = guards(compiled('allow(entropy_collapse, "an exact task")'))
    assert "entropy_kept" not in found and "kl" in found


def test_guards_are_part_of_no_meaning_and_are_kept_with_the_graph() -> None:
    plain, guarded = compiled(), compiled("guard kl <= 0.2 over 10 steps")
    assert plain.nodes.keys() == guarded.nodes.keys() and plain.roots == guarded.roots
    assert from_document(to_document(guarded)) == guarded
