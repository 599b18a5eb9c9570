"""What the runtime cannot carry out yet is refused before a run, by its place, and never by the checker."""

from __future__ import annotations

from dataclasses import replace

from graph_programs import SPELLING

from ptc import api
from ptc.compiler import core
from ptc.compiler.executable import OPERATIONS, unsupported


def program(text: str = SPELLING) -> core.Program:
    checked = api.check_text(text).checked
    assert checked is not None
    return checked.program


def test_what_can_be_run_is_not_refused() -> None:
    assert unsupported(program()) == ()


def test_each_thing_is_refused_once_where_it_stands() -> None:
    whole = program()
    stage = next(stage for stage in whole.stages if stage.name == "reasoner")
    [term] = stage.terms
    elsewhere = replace(stage, terms=(replace(term, loss=replace(term.loss, op="wish")),))
    refused = unsupported(replace(whole, stages=(elsewhere, elsewhere)))
    assert {(found.code, found.title, found.span) for found in refused} == {
        ("N110", "an objective with `wish` cannot be run in this version", term.span)
    }


WATCHED = """edition 2026
from std.objectives import sft
source tasks = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer) |> respond(.answer)
source held_out = tasks |> slice(90%, 100%)
model base = new.model("llama", hidden = 32, layers = 1, tokenizer = characters(tasks))
eval reading = bits_per_character(held_out)
stage reader {
  train policy = base
  source demos = tasks |> slice(0%, 90%)
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 8 samples
  budget = 1 epoch
  watch reading every 2 steps
}
"""


def test_any_eval_is_watched_while_a_stage_runs() -> None:
    assert api.check_text(WATCHED).diagnostics == ()
    assert unsupported(program(WATCHED)) == ()


def test_the_operations_of_a_loss_are_those_of_the_runtime() -> None:
    from ptc.runtime.losses import tree

    assert OPERATIONS == tree.OPERATIONS
