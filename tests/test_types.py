"""What `ptc check --types` says: sources by themselves, and what each is to the learner of a stage."""

from __future__ import annotations

from dataclasses import replace

from ptc import api
from ptc.compiler import core
from ptc.compiler.types import regimes, relation
from ptc.lang.render import render_all

HEAD = """edition 2026
from std.objectives import sft, grpo, dpo
from std.verifiers import exact
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source problems = tasks |> slice(0%, 80%)
source demos = problems |> respond(.answer)
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))
model other = new.model("qwen3", hidden = 128, layers = 2, tokenizer = characters(tasks))
"""
STAGE = """stage warm {{
  train policy = base
  {}
  optimizer = adamw(lr = 1e-3)
  batch     = 32 prompts
  budget    = 100 steps
}}
"""


def program(body: str, before: str = "") -> core.Program:
    text = HEAD + before + STAGE.format(body)
    result = api.check_text(text)
    assert result.sound and result.checked is not None, render_all(result.diagnostics, result.source)
    return result.checked.program


def said(body: str, before: str = "") -> list[str]:
    return [" ".join(line.split()) for line in regimes(program(body, before))]


def test_on_policy_and_external() -> None:
    body = "source tries = problems |> sample(policy, n = 8, max_lag = 2 steps) |> score(exact)"
    assert said(f"{body} minimize grpo(tries, policy) + sft(demos, policy)") == [
        "warm tries -> policy on-policy (lag 2)",
        "warm demos -> policy off-policy: external",
    ]


def test_the_same_rows_are_ones_own_past_in_one_stage_and_anothers_in_the_next() -> None:
    sampled = "source mine = problems |> sample(base)\nsource theirs = problems |> sample(other)\n"
    assert said("minimize sft(mine, policy) + sft(theirs, policy)", sampled) == [
        "warm mine -> policy off-policy: own past (base)",
        "warm theirs -> policy off-policy: other model (other)",
    ]


def test_mixtures_and_what_was_done_to_the_rows() -> None:
    mixture = "source both = (problems |> hint(.answer) |> sample(other)) + demos |> replay()\n"
    assert said("minimize sft(both, policy)", mixture) == [
        "warm both -> policy mixed: other model (other); external, guided by a hint (dropped in training), replayed"
    ]


def test_a_source_without_a_name_is_called_after_what_it_is_made_of() -> None:
    body = 'minimize sft(demos + (problems |> sample(other) |> take(10)), policy) + sft(jsonl("x.jsonl"), policy)'
    assert [line.split(" -> ")[0] for line in said(body)] == ["warm demos + problems |> …", "warm rows"]


def test_a_joined_source_keeps_its_author_and_follows_its_partner() -> None:
    body = """source tries = problems |> sample(policy, n = 8) |> score(exact)
  source rescue = demos |> join(tries, on = .prompt) |> only(max(.reward, over = group) == 0)
  minimize sft(rescue, policy)"""
    assert said(body) == ["warm rescue -> policy off-policy: external, in the batch of tries"]


def test_the_author_of_a_purchased_set_is_named() -> None:
    whole = program("minimize sft(bought, policy)", 'source bought = jsonl("x.jsonl", by = "Qwen/QwQ-32B")\n')
    assert regimes(whole) == ("warm  bought -> policy  off-policy: external, by Qwen/QwQ-32B",)


def test_rows_of_a_copy_that_follows_the_learner_are_its_own_past() -> None:
    whole = program("source tries = problems |> sample(policy, n = 8) minimize sft(tries, policy)")
    learner, (term,) = whole.stages[0].learner, whole.stages[0].terms
    follower = replace(learner, verb="track", name="target", tracking=core.Tracking("ema", learner, decay=0.99))
    for role, words in (
        (follower, "off-policy: own past (target, which follows policy)"),
        (replace(learner, name="critic"), "off-policy: other model (critic, live)"),
    ):
        kind = replace(term.source.type, provenance=core.Live(role, 0))
        assert relation(replace(term.source, type=kind), learner) == words
