"""The parser: what it reads, where it recovers, that it has words for every place where it can stop."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest
from reading_states import situations

from ptc.lang import ast, grammar
from ptc.lang.expectations import EXPECTATIONS, expectation, wanted
from ptc.lang.keywords import KEYWORDS
from ptc.lang.parse import parse
from ptc.lang.same import same, walk
from ptc.lang.source import Source

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted([*ROOT.glob("examples/*.pt"), *ROOT.glob("stdlib/objectives/*.pt")])


def _program(text: str) -> ast.Program:
    program, diagnostics = parse(Source("program.pt", text))
    assert diagnostics == ()
    return program


def _codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in parse(Source("program.pt", text))[1]]


# The grammar ---------------------------------------------------------------------------------------------------------


def test_the_grammar_has_no_conflict_and_no_two_terminals_for_one_text() -> None:
    grammar.build(strict=True)


def test_the_words_of_the_grammar_are_the_words_of_the_language() -> None:
    words = {
        t.pattern.value for t in grammar.build().terminals if t.pattern.type == "str" and t.pattern.value.isalpha()
    }
    assert words == KEYWORDS


@pytest.mark.slow
def test_there_are_words_for_every_place_where_reading_can_stop() -> None:
    found = {wanted(accepted): path for accepted, path in situations(grammar.build())}
    assert len(found) > 60
    for want, path in found.items():
        assert want in EXPECTATIONS or want | {"OPERATOR"} in EXPECTATIONS, f"after {' '.join(path)}: {sorted(want)}"
    arising = {want if want in EXPECTATIONS else want | {"OPERATOR"} for want in found}
    assert set(EXPECTATIONS) == arising, "words for what never arises"


def test_sets_that_the_walk_does_not_meet_are_put_together() -> None:
    assert expectation(frozenset({"COMMA", "NUMBER", "OPERATOR"})) == "`,` or a number"


def test_the_parser_works_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ptc").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    grammar.parser.cache_clear()
    try:
        assert len(_program("source a = b").statements) == 1
    finally:
        grammar.parser.cache_clear()


# What is read --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_the_programs_of_this_house_are_read(path: Path) -> None:
    _program(path.read_text(encoding="utf-8"))


def test_spans_cover_what_was_written() -> None:
    text = "stage a {\n  minimize (x + 1) * grpo(y, n = 4 steps)\n}\n"
    program = _program(text)
    written = {type(node).__name__: text[node.span.start : node.span.end] for node in walk(program.statements)}
    assert written["Minimize"] == "minimize (x + 1) * grpo(y, n = 4 steps)"
    assert written["Call"] == "grpo(y, n = 4 steps)"
    assert written["Number"] in ("1", "4 steps")
    assert written["Stage"] == text.strip()


def test_binding() -> None:
    pairs = (
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("-a * b", "(-a) * b"),
        ("not a == b", "not (a == b)"),
        ("a or b and not c", "a or (b and (not c))"),
        ("a + b |> f(c) |> g(d)", "((a + b) |> f(c)) |> g(d)"),
        ("if a then b else c |> f(d)", "if a then b else (c |> f(d))"),
        ("a.b(c) @ best(d)", "(a.b(c)) @ best(d)"),
    )
    for one, other in pairs:
        assert same(_program(f"let x = {one}").statements, _program(f"let x = {other}").statements), one


def test_numbers() -> None:
    expected = {
        "1e-6": (1e-6, None),
        "4_096": (4096, None),
        "10%": (10, "%"),
        "80 GB": (80, "GB"),
        "16Ki": (16, "Ki"),
        "1.5M": (1.5, "M"),
        "2  epochs": (2, "epochs"),
        "4k tokens": (4000, "tokens"),
    }
    for text, (value, unit) in expected.items():
        (define,) = _program(f"let x = {text}").statements
        assert isinstance(define, ast.Define) and isinstance(define.value, ast.Number)
        assert (define.value.value, define.value.unit) == (value, unit)


def test_strings() -> None:
    expected = {
        r'"a\tb\n\"\\\{"': 'a\tb\n"\\{',
        '"""\n    two\n      lines\n    """': "two\n  lines",
        '""': "",
        '"""a "b" c"""': 'a "b" c',
    }
    for text, value in expected.items():
        (define,) = _program(f"let x = {text}").statements
        assert isinstance(define, ast.Define) and isinstance(define.value, ast.String)
        assert define.value.value == value
    (define,) = _program('let x = f"out/{name}.{more}"').statements
    assert isinstance(define, ast.Define) and isinstance(define.value, ast.String) and define.value.parts is not None
    assert [part if isinstance(part, str) else part.id for part in define.value.parts] == ["out/", "name", ".", "more"]


def test_comments_hang_on_what_they_belong_to() -> None:
    program = _program(
        "# one\n\n# two\nsource a = b  # three\n  # four\n  |> f(c,  # five\n    # six\n"
        "    d\n    # seven\n  )  # eight\n# nine\n"
    )
    (define,) = program.statements
    assert isinstance(define, ast.Define) and isinstance(define.value, ast.Pipe)
    call = define.value.step
    assert isinstance(call, ast.Call)
    assert define.comments == ("# one", "", "# two")
    assert define.trailing == "# three"
    assert define.value.comments == ("# four",)
    assert call.arguments[0].trailing == "# five"
    assert call.arguments[1].comments == ("# six",)
    assert call.closing == ("# seven",)
    assert define.value.trailing == "# eight"
    assert program.closing == ("# nine",)


# Recovery ------------------------------------------------------------------------------------------------------------


def test_names_of_statements_that_do_not_read_are_kept() -> None:
    program, _ = parse(
        Source("p", "from std.objectives import sft, grpo,,\nsource a = (\nsoruce b = 3\nstage c {\n  train d = )\n}\n")
    )
    unreadable = [node for node in walk(program) if isinstance(node, ast.Unreadable)]
    assert {name for node in unreadable for name in node.names} >= {"sft", "grpo", "a", "b", "d"}


def test_a_stage_with_a_broken_statement_keeps_the_others() -> None:
    program, diagnostics = parse(
        Source(
            "p", "stage a expands b {  # head\n  train p = c\n  minimize (\n  budget = 2 epochs\n  # end\n}\nreport b\n"
        )
    )
    stage, report = program.statements
    assert isinstance(stage, ast.Stage) and isinstance(report, ast.Report)
    assert [type(s).__name__ for s in stage.body.statements] == ["Role", "Unreadable", "Setting"]
    assert stage.claims[0].role.id == "expands"
    assert len(diagnostics) == 1


def test_unindented_bodies_are_bodies() -> None:
    text = "stage a {\ntrain p = b\nsource x = p |> f(\n1)\nminimize sft(x y)\nbudget = 2 epochs\n}\nsource z = x\n"
    assert _codes(text) == ["S118"]


@pytest.mark.parametrize("count", [1, 5, 40])
def test_as_many_errors_as_mistakes(count: int) -> None:
    text = "".join(f"source a{n} = gym(\n  size 3\n)\nmodel m{n} = a{n}\n" for n in range(count))
    assert _codes(text) == ["S118"] * count


# Limits and noise ----------------------------------------------------------------------------------------------------


def test_deep_and_large_programs_are_refused_in_words() -> None:
    assert _codes("let a = " + "(" * 5_000 + "1" + ")" * 5_000) == ["S115"]
    assert _codes("let a = " + "-" * 5_000 + "1") == ["S115"]
    assert _codes("let a = 1" + " + 1" * 5_000) == ["S115"]
    assert _codes("let a = b" + " |> f(x)" * 300) == ["S115"]
    assert _codes("let a = " + "if a then b else " * 300 + "c") == ["S115"]
    assert _codes("let a = [" + "1, " * 40_000 + "1]") == ["S115"]
    assert _codes("let a = 1\n" * 200_000) == ["S115"]


def test_a_byte_order_mark_and_line_ends_do_no_harm() -> None:
    assert _codes("edition 2026\r\nsource a = b\r\n  |> f(x)\r\n") == []


def _mutants(text: str, seed: int, count: int) -> list[str]:
    """Copies of a program with tokens deleted, doubled and swapped."""
    draw = random.Random(seed)
    tokens = re.findall(r'"[^"\n]*"|#[^\n]*|\w+|\s+|[^\w\s]', text)
    made = []
    for _ in range(count):
        mutant = list(tokens)
        for _ in range(draw.randint(1, 3)):
            here, there = draw.randrange(len(mutant)), draw.randrange(len(mutant))
            match draw.choice(("delete", "double", "swap", "cut")):
                case "delete":
                    del mutant[here]
                case "double":
                    mutant.insert(here, mutant[here])
                case "swap":
                    mutant[here], mutant[there] = mutant[there], mutant[here]
                case "cut":
                    mutant[here] = mutant[here][: len(mutant[here]) // 2]
        made.append("".join(mutant))
    return made


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_mutants_give_diagnostics_and_never_an_exception(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    parse(Source("warm.pt", text))
    for number, mutant in enumerate(_mutants(text, seed=2026, count=60)):
        start = time.process_time()
        program, diagnostics = parse(Source("mutant.pt", mutant))
        took = time.process_time() - start
        assert took < 1, (number, took)
        broken = any(isinstance(node, ast.Unreadable | ast.Missing) for node in walk(program))
        assert bool(diagnostics) or not broken, mutant
        assert len(diagnostics) <= 12, mutant


def test_noise_gives_diagnostics_and_never_an_exception() -> None:
    draw = random.Random(7)
    signs = "abz019 \n\t\r\"'{}()[]|>=#.,@%+-*/:;?!\\_~^&$\x00\u202eé漢\ufeff"
    for _ in range(300):
        parse(Source("noise.pt", "".join(draw.choice(signs) for _ in range(draw.randint(1, 200)))))


def test_a_program_is_read_quickly() -> None:
    text = (ROOT / "examples" / "spelling.pt").read_text(encoding="utf-8")
    parse(Source("warm.pt", text))
    times = []
    for _ in range(9):
        start = time.process_time()
        parse(Source("spelling.pt", text))
        times.append(time.process_time() - start)
    assert min(times) < 0.05
