"""Names, scopes and uses, over the tree alone; and what is being written at a place of a text that does not parse."""

from __future__ import annotations

import pytest

from ptc.lang.cursor import cursor
from ptc.lang.parse import parse
from ptc.lang.source import Source
from ptc.lang.symbols import Index, Symbol

PROGRAM = """\
edition 2026
from std.objectives import sft
from .shared import pace

type Tasks = Trajectories{prompt, answer}
extern verifier brevity(response: Text) -> Real = "my_lab.rewards:brevity"
param name: Text

source tasks = gym("chain_sum", size = 10) |> prompts(.question, answer = .answer)
source score = tasks |> score(brevity)
model base = hf.model("org/base")
eval skill = pass_rate(tasks, brevity)

## One round of it.
## It gives a model.
recipe round(start: Model, rows: Tasks, steps: Count = 10 steps) -> Model {
  stage tuned expands skill, consolidates skill from start {
    train policy = start
    track target = ema(policy, 0.99)
    source tries = rows |> sample(target, n = 4) |> score(brevity)
    minimize sft(tries, policy)
    optimizer(policy) = adamw(lr = pace)
    batch(tries) = 32 prompts
    budget = steps
    allow(false_on_policy, "policy")
  }
  return tuned
}

objective mine(rows: Trajectories{response} by policy, policy: Trained, rate: Real = 1) {
  let prompt = rate * logp(policy, .response)
  loss = mean(prompt, over = [token, prompt, sample])
}

model r1 = round(base, tasks, steps = 5 steps)
model again = r1
model fine = again.tuned.policy @ best(skill)
export fine to f"out/{name}/{name}"
"""


def index(text: str = PROGRAM) -> Index:
    return Index(parse(Source("program.pt", text))[0])


def symbol(found: Index, mark: str, shift: int = 0) -> Symbol:
    assert found.source.text.count(mark) == 1, mark
    known = found.symbol_at(found.source.text.index(mark) + shift)
    assert known is not None, mark
    return known


def lines(found: Index, known: Symbol) -> list[int]:
    return [found.source.position(span.start)[0] for span in found.places(known)]


def test_every_use_stands_where_it_says() -> None:
    found = index()
    text = found.source.text
    assert all(text[each.span.start : each.span.end] == each.name for each in (*found.symbols, *found.references))


def test_kinds() -> None:
    kinds = {each.name: each.kind for each in index().symbols}
    assert kinds["sft"] == kinds["pace"] == "import"
    assert kinds["Tasks"] == "type" and kinds["brevity"] == "verifier" and kinds["name"] == "param"
    assert kinds["round"] == "recipe" and kinds["tuned"] == "stage" and kinds["target"] == "role"
    assert kinds["start"] == "parameter" and kinds["mine"] == "objective" and kinds["skill"] == "eval"


def test_uses_are_found_wherever_a_name_may_stand() -> None:
    found = index()
    assert lines(found, symbol(found, "pace\n")) == [3, 22]
    assert lines(found, symbol(found, "Tasks =")) == [5, 16]
    assert lines(found, symbol(found, "name: Text")) == [7, 38, 38]
    assert lines(found, symbol(found, "skill = pass")) == [12, 17, 17, 37]
    assert lines(found, symbol(found, "start: Model")) == [16, 17, 18]
    assert lines(found, symbol(found, "steps: Count")) == [16, 24, 35]
    assert lines(found, symbol(found, "tries = rows")) == [20, 21, 23]
    assert lines(found, symbol(found, "policy = start")) == [18, 19, 21, 22, 37]
    assert lines(found, symbol(found, "policy: Trained")) == [30, 30, 31]


def test_names_behind_a_dot_lead_into_the_stage_and_the_recipe() -> None:
    found = index()
    assert symbol(found, "again.tuned", 6) is symbol(found, "tuned expands")
    assert symbol(found, "again.tuned.policy", 12) is symbol(found, "policy = start")
    behind = found.behind("r1.tuned", len(PROGRAM))
    assert behind is not None and set(behind.names) == {"policy", "target", "tries"}


def test_a_name_is_no_step_no_axis_and_no_finding() -> None:
    found = index()
    assert lines(found, symbol(found, "score = tasks")) == [10]
    assert lines(found, symbol(found, "prompt = rate")) == [31, 32]
    assert all(each.name != "false_on_policy" for each in found.references)


def test_documentation_is_what_stands_before_it() -> None:
    assert symbol(index(), "round(start").doc == "One round of it.\nIt gives a model."


def test_a_definition_that_leads_to_itself_ends() -> None:
    found = index("model a = b\nmodel b = a\nmodel c = c\nmodel d = a.x.y\n")
    assert found.behind("a", 40) is None and found.behind("c", 40) is None


def test_what_cannot_be_read_still_declares_and_uses() -> None:
    found = index("source tasks = gym(\nsource more = tasks |> = 3 # tasks\nsource few = more\n")
    assert [each.name for each in found.symbols] == ["tasks", "more", "few"]
    assert lines(found, symbol(found, "tasks = gym")) == [1, 2]
    assert lines(found, symbol(found, "more = tasks")) == [2, 3]


@pytest.mark.parametrize(
    ("mark", "shift", "seen", "unseen"),
    [
        ("rows |> sample", 0, {"start", "rows", "policy", "target", "base"}, {"tries", "r1", "tuned"}),
        ("return tuned", 7, {"tuned", "start"}, {"policy", "round", "mine"}),
        ("fine = again", 7, {"r1", "again", "round", "mine"}, {"fine", "tuned", "policy"}),
        ("rate * logp", 0, {"rate", "policy", "rows", "base"}, {"prompt", "start"}),
    ],
)
def test_what_can_be_seen(mark: str, shift: int, seen: set[str], unseen: set[str]) -> None:
    names = {each.name for each in index().visible(PROGRAM.index(mark) + shift)}
    assert seen <= names and not unseen & names


STAGE = "stage s {\n  train policy = base\n  "


@pytest.mark.parametrize(
    ("text", "where", "block"),
    [
        ("", "statement", "file"),
        ("so", "statement", "file"),
        ("source x = ", "value", "file"),
        ("source x = a |> ke", "step", "file"),
        ("source x = a |> keep(", "argument", "file"),
        ("source x = a |> keep(.re", "column", "file"),
        ("source x = a |> keep(length(.re) > 3 and .", "column", "file"),
        ("source x = a |> sample(m, n = ", "value", "file"),
        ("source x = a |> sample(m, n = 8, ", "argument", "file"),
        ("source x = a\n", "statement", "file"),
        ("source x = mix([a, ", "value", "file"),
        ("# why", "comment", "file"),
        ("# why\n", "statement", "file"),
        ('source x = gym("ch', "string", "file"),
        ('source x = gym("chain", ', "argument", "file"),
        ('let x = """a\n"b', "string", "file"),
        ("from st", "module", "file"),
        ("from std.ob", "module", "file"),
        ("from std.objectives import a, ", "imported", "file"),
        ("stage s ", "claim", "file"),
        ("stage s expands ", "claimed", "file"),
        ("stage s consolidates a from ", "value", "file"),
        ("stage s {", "statement", "stage"),
        (STAGE, "statement", "stage"),
        (STAGE + "minimize ", "value", "stage"),
        (STAGE + "minimize 0.5 * f(a) + ", "value", "stage"),
        (STAGE + "budget = 2 ", "unit", "stage"),
        (STAGE + "budget = 2", "behind", "stage"),
        (STAGE + "watch skill ", "behind", "stage"),
        (STAGE + "allow(", "check", "stage"),
        (STAGE + "}\n", "statement", "file"),
        (STAGE + "}\nmodel m = s.", "member", "file"),
        (STAGE + "}\nmodel m = s @ ", "which", "file"),
        ("param x: ", "type", "file"),
        ("objective f(x: Trajectories{", "columns", "file"),
        ("objective f(x: Real, y: Tr", "type", "file"),
        ("objective f(x: T{a}) {\n  let y = .", "column", "objective"),
        ("recipe r(a: Model) -> ", "type", "file"),
        ("recipe r(a: Model) -> Model {\n  ", "statement", "recipe"),
        ("recipe r(a: Model) -> Model {\n  stage s {\n  }\n  return ", "value", "recipe"),
    ],
)
def test_what_is_being_written(text: str, where: str, block: str) -> None:
    here = cursor(text, len(text))
    assert (here.where, here.block) == (where, block)


def test_the_arguments_of_a_call() -> None:
    text = "source x = a |> sample(m, f(1, 2), n = 8, top_k = 3"
    here = cursor(text, len(text))
    assert here.call is not None and here.call.name == "sample" and here.step is here.call
    assert (here.position, here.label, list(here.given)) == (3, "top_k", ["n", "top_k"])
