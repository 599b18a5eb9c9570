"""What each engine carries out of what a program asks of it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

HONOURED: Mapping[str, frozenset[str]] = {
    "transformers": frozenset({"n", "temperature", "top_p", "top_k", "max_tokens", "seed"}),
    "vllm": frozenset({"n", "temperature", "top_p", "top_k", "max_tokens", "seed"}),
    "fake": frozenset({"n", "max_tokens", "seed"}),
}
"""The arguments of `sample` that each engine carries out. A test shows the effect of every one."""
