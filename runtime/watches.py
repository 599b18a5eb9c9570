"""Evals taken while a stage runs: one attempt at a few fixed prompts, every so many steps. They change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property

import pyarrow as pa

from ptc.compiler.graph import Watch
from ptc.runtime.costs import watching
from ptc.runtime.judging import Judges, Weights
from ptc.runtime.nodes.evals import count_attempts, summary_of_scores
from ptc.runtime.nodes.likelihoods import Bits, summary_of_bits
from ptc.runtime.nodes.wins import Comparing, attempts, count_wins
from ptc.runtime.rewards import Rewards
from ptc.runtime.rollouts import Rollout
from ptc.runtime.tables import column


class Watching:
    """One watched eval of the model that a stage trains."""

    def __init__(self, watch: Watch, rows: pa.Table, model: Weights, judges: Judges) -> None:
        """`judges` gives the models that the eval needs besides, by the name of the eval's input."""
        self._watch = watch
        self._rows = rows
        self._model = model
        self._judges = judges
        self._opened = ExitStack()

    def measure(self, step: int) -> dict[str, float]:
        """The metric after `step` updates, if it is due and anything can be said: ``eval/<name>/pass@1``, the share of
        attempts with score 1, or ``…/reward``, ``…/win_rate``, ``…/bits_per_character``."""
        if step % self._watch.every:
            return {}
        kinds: Mapping[str, Callable[[int], dict[str, float]]] = {
            "pass_rate": self._pass_rate,
            "reward": self._reward,
            "win_rate": self._win_rate,
            "bits_per_character": self._bits,
        }
        with watching():
            measured = kinds[self._watch.settings["kind"]](step)
        return {f"eval/{self._watch.name}/{name}": value for name, value in measured.items()}

    def close(self) -> None:
        """Ends the verifiers' processes."""
        self._opened.close()

    def _pass_rate(self, step: int) -> dict[str, float]:
        counts = self._counted(step)
        judged = sum(column(counts, "n"))
        return {"pass@1": sum(column(counts, "correct")) / judged} if judged else {}

    def _reward(self, step: int) -> dict[str, float]:
        value = summary_of_scores("reward", self._counted(step), 1)["reward"]
        return {} if value is None else {"reward": value}

    def _counted(self, step: int) -> pa.Table:
        engine, settings = self._model.engine(step), self._watch.settings
        return count_attempts(engine, self._model.tokenizer, self._rows, settings, self._rewards, step, greedy=False)

    def _win_rate(self, step: int) -> dict[str, float]:
        ours = attempts(self._model, self._rows, self._watch.settings, step)
        counts = count_wins(self._rows, ours, self._theirs, self._comparing, step)
        value = summary_of_scores("win_rate", counts, 1)["win_rate"]
        return {} if value is None else {"win_rate": value}

    def _bits(self, step: int) -> dict[str, float]:
        names = self._watch.settings["columns"]
        bits = Bits(self._rows, names, self._model.context, self._model.tokenizer)
        counts = bits.counts(0, self._rows.num_rows, lambda: self._model.engine(step))
        if not sum(column(counts, "characters")):
            return {}
        return {"bits_per_character": summary_of_bits(counts)["bits_per_character"]}

    @cached_property
    def _rewards(self) -> Rewards:
        return self._opened.enter_context(Rewards(self._watch.settings, judges=self._judges))

    @cached_property
    def _comparing(self) -> Comparing:
        return self._opened.enter_context(Comparing(self._watch.settings, 1, self._judges))

    @cached_property
    def _theirs(self) -> list[Rollout]:
        """What the other side of a `win_rate` writes, which never changes."""
        return attempts(self._judges("against"), self._rows, self._watch.settings)
