"""What was run, when, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from ptc.report.section import Section
from ptc.runtime.history import History, Running
from ptc.runtime.runs import RunState

REMEDIES: Mapping[int, str] = {
    1: "A bug in ptc: the trace lies in the run's folder. Report it with the program; what is sealed is kept.",
    2: "Change what the message names in the program or its data, and run again: what is sealed is reused.",
    3: "Something pinned has changed outside: run `ptc plan` again, and `ptc lock` where the change is wanted.",
    4: "A gate or a promise did not hold. The message names the weights to go back to, where there are any; change the "
    "stage before the gate, or what the gate asks.",
    5: "Run the same command again: the run goes on from its last sealed piece.",
    6: "Provide what the message names, or change the profile; then run the same command again.",
    130: "Run the same command again: the run goes on from its last sealed piece.",
}
"""What to do, by exit code."""


class Progress(Section):
    """The node that a run is at."""

    node: str
    kind: str
    done: int
    total: int | None
    unit: str
    seconds: float
    """Since it began."""


class Run(Section):
    """The run itself."""

    id: str
    program: str
    """Its file, by name."""
    folder: str
    """From the store on: where that stands is nobody else's business."""
    command: str
    settings: dict[str, str]
    state: RunState
    exit_code: int | None
    message: str
    remedy: str
    """What to do about the message."""
    failed: str
    """The node that it ended at, where it did not end well."""
    attempts: int
    started: str
    ended: str | None
    seconds: float
    """From the first start to the end, or to now."""
    nodes: int
    computed: int
    reused: int
    running: Progress | None
    lost: dict[str, str]
    """What the store has no more, by node, and why."""
    exports: dict[str, str]
    """Export nodes that are done, and where their copies stand."""


def run(history: History) -> Run:
    nodes, now = history.graph.nodes, time.time()
    code = history.exit_code
    interrupted = history.state == "interrupted"
    return Run(
        id=history.id,
        program=_program(history),
        folder="/".join(history.folder.parts[-3:]),
        command=str(history.info.get("command", "")),
        settings=dict(history.info.get("settings", {})),
        state=history.state,
        exit_code=code,
        message=history.message or ("The run was cut short without a word: killed, or its machine went." * interrupted),
        remedy=REMEDIES.get(code, "") if code is not None else REMEDIES[5] * interrupted,
        failed=nodes[history.failed].label if history.failed in nodes else "",
        attempts=history.summary.attempts,
        started=moment(history.started),
        ended=None if history.ended is None else moment(history.ended),
        seconds=round((history.ended or now) - history.started, 1),
        nodes=len(nodes),
        computed=len(history.keys.keys() - history.reused),
        reused=len(history.reused),
        running=_progress(history, history.running, now),
        lost={nodes[meaning].label or meaning[:12]: why for meaning, why in history.lost.items()},
        exports={
            node.label: str(node.settings["path"])
            for meaning, node in nodes.items()
            if node.kind == "export" and meaning in history.keys
        },
    )


def moment(seconds: float) -> str:
    """ISO 8601, in UTC: a report looks the same wherever it is made."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _program(history: History) -> str:
    path = str(history.info.get("path", ""))
    return path.replace("\\", "/").rsplit("/", 1)[-1] or history.summary.label


def _progress(history: History, at: Running | None, now: float) -> Progress | None:
    if at is None:
        return None
    node = history.graph.nodes[at.meaning]
    return Progress(
        node=node.label or node.kind,
        kind=node.kind,
        done=at.done,
        total=at.total,
        unit=at.unit,
        seconds=round(now - at.since, 1),
    )
