"""What each engine carries out of what a program asks of it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

WHOLE = frozenset({"n", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "stop", "seed"})
HONOURED: Mapping[str, frozenset[str]] = {
    "transformers": WHOLE,
    "vllm": WHOLE,
    "fake": frozenset({"n", "max_tokens", "seed", "stop"}),
}
"""The arguments of `sample` that each engine carries out. A test shows the effect of every one."""
