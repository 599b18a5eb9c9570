"""The process in which a verifier judges: it answers lines of JSON with lines of JSON, and may be killed at any time.

Started by `verifier_pool` with the verifier's name and options. It judges in its main thread (math-verify raises in any
other), ends with its parent, and can take no more than `MEMORY` bytes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

from ptc.stdlib.verifiers import Error, Fail, Pass, Penalty, Refused, Timeout, Verdict, judge_one, prepare

MEMORY = 4 << 30
"""Bytes of address space: `9**9**9**9` ends in an error and not in a frozen machine."""
_SET_PARENT_DEATH_SIGNAL = 1


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints must not be taken for an answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    name, options = sys.argv[1], json.loads(sys.argv[2])
    prepare(name)
    answers.write(b"ready\n")
    for line in sys.stdin.buffer:
        answers.write(json.dumps(encode(_judge(name, options, json.loads(line)))).encode() + b"\n")


def _judge(name: str, options: dict[str, Any], row: dict[str, Any]) -> Verdict:
    try:
        return judge_one(name, options, row)
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
        case "refused":
            return Refused(value)
        case "error":
            return Error(value)
        case "timeout":
            return Timeout()
    raise ValueError(f"no verdict: {document}")
