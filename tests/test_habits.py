"""What people write who come from Python, YAML or JSON, and the one sentence that each of them is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ptc.lang import syntax_errors
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.habits import HABITS
from ptc.lang.parse import parse
from ptc.lang.source import Source
from ptc.lang.stop import Stop

WRITTEN = (
    # Python
    ("def reward(x):", "no statement begins with `def`"),
    ("class Reward:", "no statement begins with `class`"),
    ("import torch", "no statement begins with `import`"),
    ("for x in y {\n}", "no statement begins with `for`"),
    ("if beta > 0 {\n}", "no statement begins with `if`"),
    ("let a = True", "`True` is written small"),
    ("let a = f(b = None)", "`None` is written small"),
    ("let a = b if c else d", "a choice begins with its condition"),
    ("let a = f(b if c else d)", "a choice begins with its condition"),
    ("source a = keep(lambda r: r.reward > 0)", "a condition is written over columns"),
    ("let a = [x for x in y]", "rows are not looped over"),
    ("let a = x in y", "there is no `in`"),
    ("let a = f(x is not none)", "there is no `is`"),
    ("let a = tasks[0]", "nothing is taken out by its number"),
    ("let a = (b, c)", "several values stand in square brackets"),
    ("let a = f(*b)", "arguments are written out"),
    ("let a = f(**b)", "arguments are written out"),
    ("let a = b ** 2", "there is no power operator"),
    ("let a = b // 2", "comments begin with `#`"),
    ("let a = r\"b\"", "only `f` stands before a text"),
    ("let a = 'b'", "strings stand in double quotes"),
    ("let a = 5.", "a number ends with a digit"),
    ("let a = .5", "a number begins with a digit"),
    ("let a = 1,000", "digits are grouped by `_`"),
    ("let a = ...", "`...` stands for nothing"),
    ("a += 1", "a name keeps its value"),
    ("stage warm:\n  train policy = base", "a block stands in braces"),
    ("from std.objectives import *", "an import names what it brings"),
    ("from std.objectives import (sft, grpo)", "the names of an import stand without brackets"),
    ("from std.objectives import sft as imitate", "what is imported keeps its name"),
    ("param beta = 0.1", "a type is given with `:`"),
    ("let f(x) = x + 1", "a `let` has no parameters"),
    ("model base = new model(\"qwen3\")", "`model` stands behind a dot"),
    # YAML, JSON, TOML
    ("model: base", "a name stands behind `model`"),
    ("stage warm {\n  train = base\n}", "a name stands behind `train`"),
    ("stage warm {\n  minimize: sft(a, b)\n}", "what `minimize` is about stands right behind it"),
    ("stage warm {\n  budget: 2 epochs\n}", "a value is given with `=`"),
    ("stage warm {\n  budget = 2 epochs,\n}", "statements need no separator"),
    ("stage warm {\n  budget = 2 epochs;\n}", "statements need no separator"),
    ("stage warm = {\n}", "a block stands in braces right behind its head"),
    ("let a = {\"b\": 1}", "there are no dictionaries"),
    ("allow(\"expand_without_source\", \"a smoke test\")", "a name stands without quotes"),
    # C, JavaScript, Rust
    ("const a = 3", "no statement begins with `const`"),
    ("let a = b ? c : d", "a choice begins with its condition"),
    ("let a = b && c", "logic is written in words"),
    ("let a = b <> c", "two values differ with `!=`"),
    ("let a = f(b => 3)", "a value is given with one `=`"),
    ("let a = b -> c", "`->` stands in the heads of recipes and externs only"),
    ("/* a comment */", "comments begin with `#`"),
    ("```pt", "a program stands alone, without Markdown around it"),
    # This language's own heads
    ("stage warm(start: Model) {\n}", "a stage has no parameters"),
    ("objective o(x: Real) -> Real {\n}", "an objective gives the loss, and says no type of it"),
    ("objective o(x: Trajectories[prompt]) {\n}", "the columns of a type stand in braces"),
    ("type Rows = {prompt, response}", "columns stand behind the name of a type"),
    ("recipe r(a: Model): Model {\n  return a\n}", "what a recipe gives stands behind `->`"),
    ("recipe r(a: Model) => Model {\n  return a\n}", "what a recipe gives stands behind `->`"),
    ("recipe r() -> Trajectories{prompt} {\n  return a\n}", "the columns of what a recipe gives have a name first"),
    ("recipe r() -> Model {\n  return a, b\n}", "a recipe gives one value"),
    ("extern verifier f(x: Text): Real = \"a:b\"", "what an `extern` gives stands behind `->`"),
    ("extern verifier f(x: Text) => Real = \"a:b\"", "what an `extern` gives stands behind `->`"),
    ("extern f(x: Text) -> Real = \"a:b\"", "there is no `extern f`"),
    ("extern model f() -> Model = \"a:b\"", "there is no `extern model`"),
    ("extern verifier f() -> Real = \"./a/b.py:c\"", "an `extern` names a function of an installed module"),
    ("extern verifier f() -> Real", "expected `=` and `\"module:function\"` after `Real`"),
)  # fmt: skip


def _told(text: str) -> tuple[str, ...]:
    return tuple(diagnostic.title for diagnostic in parse(Source("program.pt", text))[1])


@pytest.mark.parametrize(("text", "title"), WRITTEN, ids=[text.split("\n")[0] for text, _ in WRITTEN])
def test_one_sentence_is_said_about_it(text: str, title: str) -> None:
    assert _told(text) == (title,)


def test_every_habit_is_met_above(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[str] = set()

    def watched(habit: Callable[[Stop], Diagnostic | None]) -> Callable[[Stop], Diagnostic | None]:
        def asked(stop: Stop) -> Diagnostic | None:
            said = habit(stop)
            if said is not None:
                met.add(habit.__name__)
            return said

        return asked

    monkeypatch.setattr(syntax_errors, "HABITS", tuple(watched(habit) for habit in HABITS))
    for text, _ in WRITTEN:
        _told(text)
    assert met == {habit.__name__ for habit in HABITS}


def test_what_looks_like_a_habit_and_is_none_is_read() -> None:
    fine = "let is = 3\nlet a = f([b.for], .lambda, (r), -b - -c, in = 1)\nlet e = 1_000\nlet rb = if a then b else c\n"
    assert _told(fine) == ()
