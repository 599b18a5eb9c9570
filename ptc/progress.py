"""A run while it goes on: a live display in a terminal, one line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from ptc.runtime.bills import amount

if TYPE_CHECKING:
    from ptc.compiler.graph import Node
    from ptc.runtime.artifacts import Artifact, Progress
    from ptc.runtime.listening import Listener
    from ptc.runtime.store import Holder

SHOWN: Mapping[str, str] = {
    "reward": "reward {:.2f}",
    "pass@1": "pass@1 {:.1%}",
    "bits_per_character": "{:.3f} bits/character",
    "loss": "loss {:.3f}",
    "kl": "kl {:.3f}",
    "entropy": "entropy {:.2f}",
    "grad_norm": "grad {:.2f}",
}
"""Metrics worth a reader's glance, in this order, and how they are written."""

LONG_KINDS = frozenset({"train", "sample", "pass_rate", "bits_per_character", "evidence", "score", "bpe", "gym"})
"""Kinds that may take long enough for their start to be worth a line."""
QUIET_SECONDS = 15.0
"""Without a terminal, a running node says no more often than this how far it is."""


def telling(metrics: Mapping[str, float]) -> str:
    """The few metrics that say how it goes: ``reward 0.41 · pass@1 63.2% · loss 0.012``."""
    values: dict[str, float] = {}
    for name, value in metrics.items():
        short = name.rpartition("/")[2] if name.startswith("eval/") else name
        if short in SHOWN:
            values[short] = value
    shown = [form.format(values[name]) for name, form in SHOWN.items() if name in values]
    return " · ".join(shown[:4])


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


@dataclass
class Pace:
    """Rates of one running node, counted from its first message: a resumed node starts in the middle."""

    began: float
    first_done: int
    first_tokens: float
    last: Progress
    now: float
    watched: dict[str, float] = field(default_factory=dict)
    """What evals said last: they are not measured at every step."""

    @classmethod
    def begin(cls, progress: Progress, now: float) -> Pace:
        return cls(now, progress.done, progress.metrics.get("num_tokens", 0.0), progress, now)

    def update(self, progress: Progress, now: float) -> None:
        self.last, self.now = progress, now
        self.watched |= {name: value for name, value in progress.metrics.items() if name.startswith("eval/")}

    @property
    def metrics(self) -> Mapping[str, float]:
        return {**self.last.metrics, **self.watched}

    @property
    def per_second(self) -> float:
        return (self.last.done - self.first_done) / max(self.now - self.began, 1e-9)

    @property
    def tokens_per_second(self) -> float:
        tokens = self.last.metrics.get("num_tokens", 0.0) - self.first_tokens
        return tokens / max(self.now - self.began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        if self.last.total is None or self.per_second <= 0:
            return None
        return (self.last.total - self.last.done) / self.per_second

    def rates(self) -> str:
        """``12.3 steps/s · 28.9k tokens/s``; nothing before there is something to divide."""
        if self.per_second <= 0:
            return ""
        rate = f"{self.per_second:.1f}" if self.per_second >= 1 else f"{self.per_second:.2f}"
        text = f"{rate} {self.last.unit}/s"
        return f"{text} · {amount(self.tokens_per_second)} tokens/s" if self.tokens_per_second > 0 else text


class Plain:
    """One line per event, for logs and pipes."""

    def __init__(self, console: Console, nodes: int) -> None:
        self._console = console
        self._nodes = nodes
        self._ended = 0
        self._pace: Pace | None = None
        self._said = 0.0

    def reused(self, node: Node, artifact: Artifact) -> None:
        self._ended += 1
        self._line("reused", node, "")

    def waiting(self, node: Node, holder: Holder | None) -> None:
        self._line("waiting", node, f"for {holder}" if holder else "")

    def started(self, node: Node, attempt: int, resumed: str | None) -> None:
        self._pace, self._said = None, time.monotonic()
        if node.kind in LONG_KINDS or resumed:
            self._line("started", node, f"from {resumed}" if resumed else "")

    def progress(self, node: Node, progress: Progress) -> None:
        now = time.monotonic()
        self._keep_pace(progress, now)
        self._warn(node, progress)
        if now - self._said >= QUIET_SECONDS:
            self._said = now
            self._line("running", node, self._state(progress))

    def finished(self, node: Node, artifact: Artifact, seconds: float) -> None:
        self._ended += 1
        parts = [duration(seconds)]
        if self._pace is not None:
            parts += [part for part in (self._pace.rates(), telling(self._pace.metrics)) if part]
        self._line("finished", node, " · ".join(parts))

    def stopped(self, node: Node, message: str) -> None:
        self._line("stopped", node, "")

    def _keep_pace(self, progress: Progress, now: float) -> None:
        if self._pace is None:
            self._pace = Pace.begin(progress, now)
        self._pace.update(progress, now)

    def _warn(self, node: Node, progress: Progress) -> None:
        for words in progress.said:
            self._line("warning", node, words)

    def _state(self, progress: Progress) -> str:
        of = f"/{progress.total}" if progress.total is not None else ""
        parts = [f"{progress.done}{of} {progress.unit}"]
        if self._pace is not None:
            parts += [self._pace.rates(), telling(self._pace.metrics)]
            if self._pace.seconds_left is not None:
                parts.append(f"{duration(self._pace.seconds_left)} left")
        return " · ".join(part for part in parts if part)

    def _line(self, event: str, node: Node, text: str) -> None:
        head = f"[{self._ended:>{len(str(self._nodes))}}/{self._nodes}] {event:<8} {title(node)}"
        self._console.print(Text(f"{head}  {text}".rstrip()), soft_wrap=True)


class _State(ProgressColumn):
    """How far the running node is, its rates, telling metrics, and the time left."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("state", "")))


class Live(Plain):
    """A bar for the running node over a line for each that ended."""

    def __init__(self, console: Console, nodes: int, bars: Bars) -> None:
        super().__init__(console, nodes)
        self._bars = bars
        self._task: TaskID | None = None

    def started(self, node: Node, attempt: int, resumed: str | None) -> None:
        self._pace = None
        self._remove()
        self._task = self._bars.add_task(title(node), total=None, state=f"from {resumed}" if resumed else "")

    def progress(self, node: Node, progress: Progress) -> None:
        self._keep_pace(progress, time.monotonic())
        self._warn(node, progress)
        if self._task is not None:
            state = self._state(progress)
            self._bars.update(self._task, completed=progress.done, total=progress.total, state=state)

    def finished(self, node: Node, artifact: Artifact, seconds: float) -> None:
        self._remove()
        super().finished(node, artifact, seconds)

    def stopped(self, node: Node, message: str) -> None:
        self._remove()
        super().stopped(node, message)

    def _remove(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def title(node: Node) -> str:
    """``reasoner (train)``, or the kind of a node without a name."""
    return f"{node.label} ({node.kind})" if node.label not in ("", node.kind) else node.kind


@contextmanager
def listening(console: Console, nodes: int) -> Iterator[Listener]:
    """The listener that fits where the output goes."""
    if not console.is_terminal:
        yield Plain(console, nodes)
        return
    bars = Bars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        _State(),
        console=console,
        transient=True,
    )
    with bars:
        yield Live(console, nodes, bars)
