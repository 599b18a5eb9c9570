"""How a diagnostic is drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ptc.lang.diagnostic import Diagnostic, Label
from ptc.lang.render import render, render_all, summary
from ptc.lang.source import Source, Span

R1 = Source(
    "r1.pt",
    "\n" * 25
    + """\
  train policy = cold_start
  source rollouts = problems

    |> sample(cold_start, n = 16, temperature = 1.0, max_tokens = 16Ki)
    |> score(exact)

  minimize grpo(rollouts, policy, clip_low = 0.2, clip_high = 0.28)
""",
)


def _at(source: Source, text: str, nth: int = 0) -> Span:
    start = [match.start() for match in re.finditer(re.escape(text), source.text)][nth]
    return Span(start, start + len(text))


P201 = Diagnostic(
    "P201",
    "false-on-policy",
    "error",
    "`grpo` must learn from rollouts of the policy it trains",
    (
        Label(_at(R1, "rollouts", 1), "these rollouts are by `cold_start`"),
        Label(_at(R1, "policy"), "but this stage trains `policy`"),
        Label(_at(R1, "cold_start", 1), "generated here, with weights that never change"),
    ),
    ("the two weights are equal at step 0 and drift apart from step 1 on",),
    ("sample from the role instead:  sample(policy, n = 16, ...)", "or, to imitate:  sft(rollouts, policy)"),
)


def test_the_picture_of_the_language_page() -> None:
    assert (
        render(P201, R1)
        == """\
error[P201]: `grpo` must learn from rollouts of the policy it trains
  --> r1.pt:32:17
   |
26 |   train policy = cold_start
   |         ------ but this stage trains `policy`
   ...
29 |     |> sample(cold_start, n = 16, temperature = 1.0, max_tokens = 16Ki)
   |               ---------- generated here, with weights that never change
   ...
32 |   minimize grpo(rollouts, policy, clip_low = 0.2, clip_high = 0.28)
   |                 ^^^^^^^^ these rollouts are by `cold_start`
   |
   = note: the two weights are equal at step 0 and drift apart from step 1 on
   = help: sample from the role instead:  sample(policy, n = 16, ...)
   = help: or, to imitate:  sft(rollouts, policy)"""
    )


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render(P201, R1, colour=True)
    assert coloured != render(P201, R1)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render(P201, R1)


def _drawn(text: str, *labels: tuple[str, str]) -> str:
    source = Source("p.pt", text)
    marks = tuple(Label(_at(source, place), said) for place, said in labels)
    return "\n".join(render(Diagnostic("T1", "t", "error", "title", marks), source).split("\n")[3:])


def test_several_places_on_one_line() -> None:
    assert (
        _drawn("abc defg hi", ("abc", "first"), ("defg", "second"), ("hi", "third"))
        == """\
1 | abc defg hi
  | ^^^ ---- -- third
  | |   |
  | |   second
  | first"""
    )


def test_neighbouring_lines_are_not_torn_apart() -> None:
    assert (
        _drawn("one\ntwo\nthree", ("one", "a"), ("three", "b"))
        == """\
1 | one
  | ^^^ a
2 | two
3 | three
  | ----- b"""
    )


def test_tabs_and_wide_characters() -> None:
    assert (
        _drawn("\t漢字 = x", ("x", "here"))
        == """\
1 |     漢字 = x
  |            ^ here"""
    )


def test_a_place_over_several_lines_is_marked_on_its_first() -> None:
    assert (
        _drawn("f(\n  1\n)", ("f(\n  1\n)", "this call"))
        == """\
1 | f(
  | ^^ this call"""
    )


def test_the_end_of_the_text() -> None:
    source = Source("p.pt", "abc\n")
    drawn = render(Diagnostic("T1", "t", "error", "title", (Label(Span(4, 4), "here"),)), source)
    assert drawn.endswith("2 |\n  | ^ here")


@pytest.mark.parametrize("place", [0, 5_000, 9_998])
def test_long_lines_are_shown_in_part(place: int) -> None:
    source = Source("p.pt", "x" * 10_000)
    lines = render(Diagnostic("T1", "t", "error", "title", (Label(Span(place, place + 2), "here"),)), source).split(
        "\n"
    )
    assert max(map(len, lines)) < 160
    assert lines[4].index("^") < len(lines[3])


def test_what_a_program_says_does_nothing_to_the_terminal() -> None:
    assert "\x1b" not in _drawn("a \x1b[31m b", ("b", "x \x1b[0m"))


def test_places_in_another_text() -> None:
    library = Source("std/objectives/grpo.pt", "objective grpo(\n  rollouts: Trajectories by policy,\n) {}\n")
    source = Source("p.pt", "minimize grpo(x)")
    labels = (Label(Span(14, 15), "this"), Label(replace(_at(library, "by policy"), text=library), "wanted here"))
    assert (
        render(Diagnostic("T1", "t", "error", "title", labels), source)
        == """\
error[T1]: title
 --> p.pt:1:15
  |
1 | minimize grpo(x)
  |               ^ this
 ::: std/objectives/grpo.pt:2:26
  |
2 |   rollouts: Trajectories by policy,
  |                          --------- wanted here"""
    )


def test_summary() -> None:
    warning = Diagnostic("T2", "t", "warning", "w")
    assert summary((P201, P201, warning)) == "2 errors, 1 warning"
    assert summary(()) == ""
    assert render_all((warning,)) == "warning[T2]: w\n\n1 warning"
