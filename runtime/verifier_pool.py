"""Judging rows with a verifier: inline where that is quick and safe, otherwise in processes with a deadline per row.

A row that hangs or crashes its process is tried once more in a fresh one; then its verdict says so.
More than 1 % of such rows stop the run: an error is not a wrong answer, and must never be trained on as one.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import ptc
from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong, InvariantBroken, ResourceMissing
from ptc.runtime.verifier_worker import READY, WRONG, decode
from ptc.stdlib.signatures import RUNNABLE, VerifierSignature
from ptc.stdlib.verifiers import Error, Pass, Timeout, Verdict, corrupted, gold_response, judge_one

_QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
MOST_KINDS = 5
"""Of failures that are told."""
ERROR_BUDGET = 0.01
"""Share of rows that may fail to be judged."""
DEADLINE = 10.0
"""Seconds for one row, …"""
EXTERN_DEADLINE = 60.0
"""… and for one that somebody's own Python judges, which may run programs."""
START_DEADLINE = 120.0
"""Seconds for a process to import what it needs."""
ATTEMPTS = 2
SELF_TEST_ROWS = 16

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SelfTest:
    """What a verifier said of gold answers, and of the same ones corrupted."""

    gold: tuple[Verdict, ...]
    corrupted: tuple[Verdict, ...]

    @property
    def gold_right(self) -> float:
        """Share of gold answers with score 1: the true positive rate. 1 if there was no row to try."""
        return _share_right(self.gold, empty=1.0)

    @property
    def corrupted_right(self) -> float:
        """Share of corrupted answers with score 1: the false positive rate."""
        return _share_right(self.corrupted, empty=0.0)


class Judge:
    """A verifier, ready to judge; a context manager, because it may hold processes.

    The first rows with gold answers that it sees test it: gold must score 1 and corrupted gold less, in the very place
    where judging happens, or `InvariantBroken` is raised (verl #5635 scored all of MATH with 0 in a wrong thread).
    Raises `ResourceMissing` if the verifier's package is not installed.
    """

    def __init__(self, verifier: Mapping[str, Json], workers: int = 1, self_test: bool = True) -> None:
        self.signature = signature_of(verifier)
        self.options: Mapping[str, Json] = verifier.get("options") or {}
        _require_package(self.signature.package, self.signature.name)
        limit = EXTERN_DEADLINE if "target" in verifier else DEADLINE
        self._outside = "target" in verifier
        self._pool = None if self.signature.inline else Pool(verifier, workers, limit)
        self._judged = 0
        self._failed: Counter[str] = Counter()
        self._tested = not self_test

    def __call__(self, rows: Sequence[Row]) -> list[Verdict]:
        """One verdict per row, in order. Rows have `response` and the columns of the verifier's signature.

        Raises `InvariantBroken` when more than 1 % of all rows so far (and more than one) failed to be judged.
        """
        if not self._tested and rows and not self._outside:
            self._tested = True
            self._refuse_broken(self.self_test(_spread(rows, SELF_TEST_ROWS)))
        verdicts = self.verdicts(rows)
        self._judged += len(rows)
        self._failed.update(_failure(verdict) for verdict in verdicts if isinstance(verdict, Error | Timeout))
        failed = sum(self._failed.values())
        if failed > max(1.0, ERROR_BUDGET * self._judged):
            kinds = ", ".join(f"{count} × {kind}" for kind, count in self._failed.most_common(MOST_KINDS))
            raise InvariantBroken(
                f"`{self.signature.name}`: {failed:,} of {self._judged:,} responses could not be judged ({kinds}): an "
                "error is no wrong answer; try it on the rows with `ptc check --data`"
            )
        return verdicts

    def self_test(self, rows: Sequence[Row]) -> SelfTest:
        """The verdicts on the rows' gold answers and on corrupted ones; rows without gold are left out."""
        golds = [(row, gold_response(self.signature.name, row)) for row in rows]
        right = [{**row, "response": gold} for row, gold in golds if gold]
        wrong = [{**row, "response": corrupted(gold)} for row, gold in golds if gold]
        verdicts = self.verdicts([*right, *wrong])
        return SelfTest(tuple(verdicts[: len(right)]), tuple(verdicts[len(right) :]))

    def close(self) -> None:
        """Ends its processes."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def inline(self) -> bool:
        """Whether it is so quick that judging costs less than writing."""
        return self.signature.inline

    def verdicts(self, rows: Sequence[Row]) -> list[Verdict]:
        """One verdict per row, in order, whatever they are: no self-test, and no limit on failures."""
        if self._pool is None:
            return [judge_one(self.signature.name, self.options, row) for row in rows]
        return self._pool.judge([{name: row[name] for name in self.signature.reads} for row in rows])

    def _refuse_broken(self, test: SelfTest) -> None:
        if test.gold_right < 0.9:
            raise InvariantBroken(
                f"`{self.signature.name}` finds {test.gold_right:.0%} of {len(test.gold)} gold answers right "
                f"({_summary(test.gold)}): nothing it says of a response can be trusted: "
                "look at the answers, or take another verifier"
            )
        if test.corrupted_right > 0.1:
            raise InvariantBroken(
                f"`{self.signature.name}` finds {test.corrupted_right:.0%} of {len(test.corrupted)} corrupted answers "
                "right and would reward wrong responses: take another verifier"
            )


def signature_of(verifier: Mapping[str, Json]) -> VerifierSignature:
    """What a verifier reads: one of the library, or one whose head the program declares."""
    if "target" not in verifier:
        return RUNNABLE[verifier["name"]]
    columns = tuple(name for name in verifier["reads"] if name != "response")
    score: Literal["binary", "real"] = "binary" if verifier["gives"] == "Bool" else "real"
    return VerifierSignature(verifier["name"], columns, score, None, False, verifier["target"])


def judge(verifier: Mapping[str, Json], rows: Sequence[Row]) -> list[Verdict]:
    """The verdicts on rows once and for all. Whoever judges often keeps a `Judge` open."""
    with Judge(verifier) as opened:
        return opened(rows)


def self_test(verifier: Mapping[str, Json], rows: Sequence[Row]) -> SelfTest:
    """What the verifier says, where it really judges, of the gold answers of rows and of corrupted ones."""
    with Judge(verifier) as opened:
        return opened.self_test(rows)


class Pool:
    """Processes that judge with one verifier. Started when first needed, replaced when they hang or die."""

    def __init__(self, verifier: Mapping[str, Json], workers: int, deadline: float) -> None:
        self._argument = json.dumps(dict(verifier))
        self._size = workers
        self._deadline = deadline
        self._workers: list[_Worker] = []

    def judge(self, rows: Sequence[Row]) -> list[Verdict]:
        """One verdict per row, in order."""
        verdicts: list[Verdict | None] = [None] * len(rows)
        attempts = [0] * len(rows)
        waiting = deque(range(len(rows)))
        while len(self._workers) < min(self._size, len(rows)):
            self._workers.append(_Worker(self._argument))
        busy: dict[_Worker, int] = {}
        while waiting or busy:
            for worker in self._workers:
                if waiting and worker not in busy:
                    busy[worker] = waiting.popleft()
                    worker.give(rows[busy[worker]], self._deadline)
            for worker, verdict in _answers(busy):
                index = busy.pop(worker)
                attempts[index] += 1
                if isinstance(verdict, Error | Timeout) and attempts[index] < ATTEMPTS:
                    waiting.append(index)
                else:
                    verdicts[index] = verdict
                if not worker.alive:
                    self._workers[self._workers.index(worker)] = _Worker(self._argument)
        return [verdict for verdict in verdicts if verdict is not None]

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []


class _Worker:
    """One process, idle or with one row."""

    def __init__(self, argument: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from ptc.runtime.verifier_worker import main; main()", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the run, which ends its workers itself
        )
        self.alive = True
        self.overdue_at = time.monotonic() + START_DEADLINE
        self._await_ready()

    @property
    def answers(self) -> Any:
        """The stream that its answers come from."""
        return self._process.stdout

    def give(self, row: Row, deadline: float) -> None:
        """Hands it a row. A process that is dead already is noticed when its answer is awaited."""
        assert self._process.stdin is not None
        self.overdue_at = time.monotonic() + deadline
        data = json.dumps(row).encode() + b"\n"
        try:
            while data:
                data = data[self._process.stdin.write(data) or 0 :]
        except BrokenPipeError:
            pass

    def take(self) -> Verdict:
        """The answer that has come; ``Error("crash")`` if the process ended instead."""
        line = self.answers.readline()
        if line.endswith(b"\n"):
            return decode(json.loads(line))
        self.end()
        return Error("crash")

    def end(self) -> None:
        """Kills it, and waits until it is gone."""
        self.alive = False
        self._process.kill()
        self._process.wait(timeout=30)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def _await_ready(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            line = self.answers.readline() if selector.select(timeout=START_DEADLINE) else b""
        if line == READY + b"\n":
            return
        if line.startswith(WRONG):
            self.end()
            raise InputWrong(line.removeprefix(WRONG).decode().strip())
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        self.end()
        raise InvariantBroken(f"the process of the verifier does not start ({lines[-1]}): mend that, and run again")


def _answers(busy: Mapping[_Worker, int]) -> list[tuple[_Worker, Verdict]]:
    """Waits until at least one worker has answered, died or run out of time."""
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        first = min(worker.overdue_at for worker in busy)
        ready = [key.data for key, _ in selector.select(timeout=max(0.0, first - time.monotonic()))]
    answers: list[tuple[_Worker, Verdict]] = [(worker, worker.take()) for worker in ready]
    for worker in busy:
        if worker not in ready and time.monotonic() >= worker.overdue_at:
            worker.end()
            answers.append((worker, Timeout()))
    return answers


def _environment() -> dict[str, str]:
    """The few variables that a verifier's process gets: no secret among them."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    root = str(Path(ptc.__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, **_QUIET}


def _require_package(package: str | None, verifier: str) -> None:
    if package is not None and find_spec(package.replace("-", "_")) is None:
        raise ResourceMissing(f"the verifier `{verifier}` needs the package {package}: pip install '{package}'")


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows, evenly spread."""
    step = max(1, len(rows) // count)
    return list(rows[::step][:count])


def _share_right(verdicts: Sequence[Verdict], empty: float) -> float:
    right = sum(isinstance(verdict, Pass) and verdict.score >= 1 for verdict in verdicts)
    return right / len(verdicts) if verdicts else empty


def _failure(verdict: Error | Timeout) -> str:
    return verdict.kind if isinstance(verdict, Error) else "timeout"


def _summary(verdicts: Sequence[Verdict]) -> str:
    names = Counter(type(verdict).__name__.lower() for verdict in verdicts)
    return ", ".join(f"{name} {count}" for name, count in names.most_common())
