"""The process in which a verifier judges: it answers lines of JSON with lines of JSON, and may be killed at any time.

Started by `verifier_pool` with the verifier's document. It judges in its main thread (math-verify raises in any
other), ends with its parent, and can take no more than `MEMORY` bytes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.externs import load, verdict_of
from ptc.stdlib.verifiers import (
    LONGEST_RESPONSE,
    Error,
    Fail,
    Graded,
    Pass,
    Penalty,
    Refused,
    Timeout,
    Verdict,
    judge_one,
    prepare,
)

MEMORY = 4 << 30
"""Bytes of address space: `9**9**9**9` ends in an error and not in a frozen machine."""
LONGEST_COMPLAINT = 160
"""Characters of what a function outside raises."""
READY, WRONG = b"ready", b"wrong: "
"""How its first line begins: that it judges from now on, or why it cannot."""
_SET_PARENT_DEATH_SIGNAL = 1


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints must not be taken for an answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        judge = _ready(json.loads(sys.argv[1]))
    except InputWrong as problem:
        answers.write(WRONG + str(problem).replace("\n", " ").encode() + b"\n")
        return
    answers.write(READY + b"\n")
    for line in sys.stdin.buffer:
        answers.write(json.dumps(encode(_judged(judge, json.loads(line)))).encode() + b"\n")


def _ready(verifier: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Verdict]:
    """What judges one row. Raises `InputWrong` for Python that cannot be loaded."""
    if "target" in verifier:
        return partial(_outside, load(verifier["target"]))
    prepare(verifier["name"])
    return partial(judge_one, verifier["name"], verifier.get("options") or {})


def _outside(function: Callable[..., Any], row: Mapping[str, Any]) -> Verdict:
    if len(row["response"]) > LONGEST_RESPONSE:
        return Refused(f"the response is longer than {LONGEST_RESPONSE} characters")
    try:
        return verdict_of(function(**row))
    except Exception as problem:  # noqa: BLE001 - whoever wrote the function must be told what it said
        said = " ".join(str(problem).split())
        return Error(f"{type(problem).__name__}: {said}"[:LONGEST_COMPLAINT] if said else type(problem).__name__)


def _judged(judge: Callable[[Mapping[str, Any]], Verdict], row: Mapping[str, Any]) -> Verdict:
    try:
        return judge(row)
    except Exception as problem:  # noqa: BLE001 - whatever a verifier raises is its outcome for this row
        return Error(type(problem).__name__)


def encode(verdict: Verdict) -> list[Any]:
    """A verdict as JSON: its name and its value."""
    match verdict:
        case Pass(score):
            return ["pass", score]
        case Fail(parsed):
            return ["fail", parsed]
        case Penalty(score):
            return ["penalty", score]
        case Graded(score):
            return ["graded", score]
        case Refused(reason):
            return ["refused", reason]
        case Error(kind):
            return ["error", kind]
        case Timeout():
            return ["timeout", None]


def decode(document: list[Any]) -> Verdict:
    """The verdict that `encode` spelled."""
    name, value = document
    match name:
        case "pass":
            return Pass(value)
        case "fail":
            return Fail(value)
        case "penalty":
            return Penalty(value)
        case "graded":
            return Graded(value)
        case "refused":
            return Refused(value)
        case "error":
            return Error(value)
        case "timeout":
            return Timeout()
    raise ValueError(f"no verdict: {document}")
