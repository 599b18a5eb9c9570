"""Evals taken while a stage runs: one attempt at a few fixed prompts, every so many steps. They change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from ptc.compiler.graph import Watch
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.nodes.evals import count_attempts
from ptc.runtime.tables import column
from ptc.runtime.verifier_pool import Judge

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Watching:
    """One watched eval of the model that a stage trains."""

    def __init__(
        self,
        watch: Watch,
        prompts: pa.Table,
        tokenizer: PreTrainedTokenizerBase,
        engine: Callable[[int], Engine],
    ) -> None:
        """`engine` gives the engine with the weights behind so many updates."""
        self._watch = watch
        self._prompts = prompts
        self._tokenizer = tokenizer
        self._engine = engine
        self._judge = Judge(watch.settings["verifier"])

    def measure(self, step: int) -> dict[str, float]:
        """The metric after `step` updates, if it is due: ``eval/<name>/pass@1``, the share of attempts with score 1."""
        if step % self._watch.every:
            return {}
        counts = count_attempts(
            self._engine(step), self._tokenizer, self._prompts, self._watch.settings, self._judge, greedy=False
        )
        judged = sum(column(counts, "n"))
        return {f"eval/{self._watch.name}/pass@1": sum(column(counts, "correct")) / judged} if judged else {}

    def close(self) -> None:
        """Ends the verifier's processes."""
        self._judge.close()
