"""What a run shows while it goes on, and at its end."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from ptc import progress
from ptc.compiler.graph import Node
from ptc.ending import ClaimRow, StageRow, generate, measured, table
from ptc.progress import Pace, Plain, duration, listening, telling
from ptc.runtime.artifacts import Artifact, Progress
from ptc.runtime.bills import amount

TRAIN = Node("train", 1, {}, {}, "reasoner")
ARTIFACT = Artifact("0" * 64, Path("nowhere"), {})


def written(width: int = 100) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, highlight=False), out


def test_quantities() -> None:
    assert [duration(seconds) for seconds in (0.04, 12.3, 185, 7_800)] == ["0.0 s", "12 s", "3 min 05 s", "2 h 10 min"]
    assert [amount(count) for count in (812, 4_100, 1_300_000, 2e9)] == ["812", "4.1k", "1.3M", "2.0G"]


def test_telling_metrics() -> None:
    metrics = {"loss": 0.0123, "reward": 0.41, "eval/skill/pass@1": 0.632, "num_tokens": 9.0}
    assert telling(metrics) == "reward 0.41 · pass@1 63.2% · loss 0.012"
    assert telling({}) == ""


def test_rates_are_counted_from_where_a_resumed_node_goes_on() -> None:
    pace = Pace.begin(Progress(50, 100, "steps", {"num_tokens": 1000.0}), now=10.0)
    assert pace.rates() == ""
    pace.update(Progress(60, 100, "steps", {"num_tokens": 3000.0}), now=15.0)
    assert pace.rates() == "2.0 steps/s · 400 tokens/s"
    assert pace.seconds_left == 20.0


def test_plain_lines() -> None:
    console, out = written()
    plain = Plain(console, 3)
    plain.reused(Node("gym", 1, {}, {}, "tasks"), ARTIFACT)
    plain.started(TRAIN, 2, "step-00000020")
    plain.progress(TRAIN, Progress(21, 100, "steps", {"reward": 0.5}))
    plain.finished(TRAIN, ARTIFACT, 61.0)
    plain.stopped(Node("export", 1, {}, {}), "no room")
    assert out.getvalue().splitlines() == [
        "[1/3] reused   tasks (gym)",
        "[1/3] started  reasoner (train)  from step-00000020",
        "[2/3] finished reasoner (train)  1 min 01 s · reward 0.50",
        "[2/3] stopped  export",
    ]


def test_a_terminal_gets_bars() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with listening(console, 2) as listener:
        assert isinstance(listener, progress.Live)
        listener.started(TRAIN, 1, None)
        listener.progress(TRAIN, Progress(1, 10, "steps", {"reward": 0.25}))
        listener.finished(TRAIN, ARTIFACT, 3.0)
    assert "[1/2] finished reasoner (train)" in out.getvalue()


ROWS = [
    StageRow(
        "cold_start",
        (ClaimRow("expands skill", "supported", "claimed expand, measured expand: NSCR 0.9"),),
        (),
        {"pass@1": 0.0, "pass@16": 0.01},
        {"pass@1": 0.41, "pass@16": 0.93},
        104_000,
        51_200,
        12.0,
    ),
    StageRow("primed", (), ("protect skill: changed",), None, {"pass@1": 0.6, "pass@16": 0.9}, 28_000, None, None),
]


def test_the_table_of_stages() -> None:
    console, out = written(100)
    console.print(table(ROWS))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert lines == [
        "stage claims verdict pass@1 pass@16 parameters tokens time",
        "cold_start expands skill supported 0.0% → 41.0% 1.0% → 93.0% 104.0k 51.2k 12 s",
        "primed – – 60.0% 90.0% 28.0k – –",
    ]
    assert list(measured(ROWS)) == [
        "",
        "cold_start  claimed expand, measured expand: NSCR 0.9",
        "primed      protect skill: changed",
    ]


def test_the_line_that_generates_is_one_shell_word() -> None:
    line = generate("out/small", "47+85=")
    assert line.startswith('python -c "from transformers')
    assert line.count('"') == 2
    assert "'47+85='" in line
