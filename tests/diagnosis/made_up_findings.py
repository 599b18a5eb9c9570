"""Attempts and references as tables of counts have them, written down instead of sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from ptc.diagnosis.evidence import Attempts, Evidence, evidence, instrument_of
from ptc.runtime.nodes.attempts import ATTEMPTS

SAMPLES = 64
PROMPTS = 40
Speaker = Callable[[int, int], str]
"""What attempt `a` at prompt `p` says."""


def gold(prompt: int) -> str:
    return f"word{prompt}"


def right(prompt: int, attempt: int) -> str:
    return gold(prompt)


def attempts(says: Speaker, logp: float = -0.5, parsed: float = 1.0, tokens: int = 6) -> Attempts:
    """64 attempts at each of 40 prompts; right is what equals the gold answer."""
    rows = []
    for prompt in range(PROMPTS):
        said = [says(prompt, attempt) for attempt in range(SAMPLES)]
        rows.append(
            {
                "prompt_id": f"p{prompt}",
                "n": SAMPLES,
                "correct": sum(one == gold(prompt) for one in said),
                "parsed": round(parsed * SAMPLES),
                "finished": SAMPLES,
                "attempts": [
                    {
                        "response": one,
                        "score": float(one == gold(prompt)),
                        "verdict": "",
                        "finished": True,
                        "tokens": tokens,
                        "logp": logp,
                        "counts": True,
                    }
                    for one in said
                ],
            }
        )
    fields = {name: pa.int64() for name in ("n", "correct", "parsed", "finished")}
    schema = pa.schema({"prompt_id": pa.string(), **fields, "attempts": ATTEMPTS})
    return Attempts(pa.Table.from_pylist(rows, schema=schema), SAMPLES)


def probe(logps: Sequence[float], helped: Sequence[bool]) -> pa.Table:
    """Every reference costs the same; `helped`: whether each share given solves every prompt."""
    shares = [0.0, 0.25, 0.5, 0.75]
    prefix = [{"share": share, "n": 8, "correct": 8 * one} for share, one in zip(shares, helped, strict=True)]
    tokens = [*"abcde", ""][: len(logps)]
    return pa.Table.from_pylist(
        [
            {
                "prompt_id": f"p{prompt}",
                "reference": gold(prompt),
                "tokens": [f"{token}{prompt}" for token in tokens],
                "logps": list(logps),
                "free_running": 0.5,
                "prefix": prefix,
            }
            for prompt in range(PROMPTS)
        ]
    )


def judged(true: float = 1.0, false: float = 0.0) -> pa.Table:
    """What a verifier says of references and of wrong responses."""
    return pa.Table.from_pylist(
        [
            {
                "prompt_id": f"p{prompt}",
                "reference": gold(prompt),
                "reference_verdict": "pass" if prompt < true * PROMPTS else "fail",
                "reference_right": prompt < true * PROMPTS,
                "wrong": 3,
                "wrong_right": 3 if prompt < false * PROMPTS else 0,
                "passed": "x" if prompt < false * PROMPTS else None,
            }
            for prompt in range(PROMPTS)
        ]
    )


def measured(now: Attempts, references: pa.Table | None = None, **earlier: Attempts) -> Evidence:
    golds = {f"p{prompt}": gold(prompt) for prompt in range(PROMPTS)}
    return evidence(now, now, instrument_of(judged()), golds, references, 8, earlier)
