"""What can be guarded, computed from the rows of a stage: `compiler/monitors.py` says what each is.

Each is a pure function of the rows up to a step, and None where that step says nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean, median

from ptc.runtime.monitors.rows import FIRST, Row, at, beginning, gold, known, watched
from ptc.runtime.monitors.trends import climb, falls, rises

Series = Callable[[Sequence[Row], int, str], float | None]
"""The rows, of which so many count, and the watched eval that it is about."""

BEFORE = 100
"""Steps before, of which a spike is a multiple of the median …"""
LEAST = 50
"""… where there are so many: while the learning rate warms up, every gradient outgrows the one before."""
POINTS = 8
"""Measurements of a watched eval that a trend is looked for in."""
CHANCE = 0.01
"""At which a rise or a fall is taken for one; where both are wanted, the chance of both is the square."""
CHANCE_OF_GAP = 0.002
"""The same of the gap between reward and eval, which takes the noise of both, beside a reward that rises …"""
CHANCE_OF_REWARD = 0.05
"""… at this level."""
RISEN = 0.25
"""How far a reward has risen, in its own standard deviations at first, when longer responses are paid for."""


def _metric(name: str, rows: Sequence[Row], end: int, about: str) -> float | None:
    return at(rows, end, name)


def _first_known(names: Sequence[str], rows: Sequence[Row], end: int, about: str) -> float | None:
    return next((value for name in names if (value := at(rows, end, name)) is not None), None)


def _entropy_kept(rows: Sequence[Row], end: int, about: str) -> float | None:
    now, first = at(rows, end, "entropy"), beginning(rows, end, "entropy")
    return None if now is None or not first else now / first


def _spike(name: str, rows: Sequence[Row], end: int, about: str) -> float | None:
    """Against the steps before, or those at first, whichever were greater: what has nearly converged jumps more, and
    comes to no harm. None as long as these are too few, or say nothing above 0."""
    now, first = at(rows, end, name), beginning(rows, end - 1, name)
    before = known(rows, end - 1 - BEFORE, end - 1, name)
    if now is None or first is None or len(before) < LEAST or min(before) < 0:
        return None
    usual = max(first, median(before))
    return now / usual if usual > 0 else None


def _chosen_logp_drop(rows: Sequence[Row], end: int, about: str) -> float | None:
    """In shares of what it was, of 1 nat at least."""
    now, first = at(rows, end, "logps/chosen"), beginning(rows, end, "logps/chosen")
    return None if now is None or first is None else (first - now) / max(abs(first), 1.0)


def _length_drift(rows: Sequence[Row], end: int, about: str) -> float | None:
    now, first = (take(rows, end, "completions/mean_length") for take in (at, beginning))
    reward, spread = beginning(rows, end, "reward"), beginning(rows, end, "reward_std")
    if now is None or not first or reward is None or spread is None:
        return None
    paid = fmean(known(rows, end - FIRST, end, "reward")) - reward > RISEN * spread
    return 1.0 if paid else now / first


def _proxy_gold_split(rows: Sequence[Row], end: int, about: str) -> float | None:
    points = watched(rows, end, about, POINTS)
    if not points:
        return None
    _, rewards, said = zip(*points, strict=True)
    return -climb(said) if rises(rewards, CHANCE) and falls(said, CHANCE) else 0.0


def _memorisation(rows: Sequence[Row], end: int, about: str) -> float | None:
    """Of the measurements since the second pass began, and the last one before."""
    points = watched(rows, end, about, POINTS)
    again = [place for place, (row, _, _) in enumerate(points) if row.get("epoch", 0.0) > 1]
    if not again:
        return None if not points else 0.0
    since = points[max(0, again[0] - 1) :]
    gaps, rewards = [reward - said for _, reward, said in since], [reward for _, reward, _ in since]
    widens = rises(gaps, CHANCE_OF_GAP) and rises(rewards, CHANCE_OF_REWARD)
    return climb(gaps) if widens else 0.0


def _eval(rows: Sequence[Row], end: int, about: str) -> float | None:
    value = gold(rows[end - 1], about)
    bits = f"eval/{about}/bits_per_character" in rows[end - 1]
    return None if value is None else -value if bits else value


SERIES: Mapping[str, Series] = {
    "zero_advantage": partial(_metric, "frac_reward_zero_std"),
    "entropy": partial(_metric, "entropy"),
    "entropy_kept": _entropy_kept,
    "kl": partial(_metric, "kl"),
    "proxy_gold_split": _proxy_gold_split,
    "memorisation": _memorisation,
    "effective_sample_size": partial(_metric, "importance_ratio/effective_sample_size"),
    "importance_ratio": partial(_metric, "importance_ratio/max"),
    "clip_fraction": partial(_first_known, ("clip_ratio/region_mean", "cispo_clip_ratio")),
    "grad_norm_spike": partial(_spike, "grad_norm"),
    "loss_spike": partial(_spike, "loss"),
    "chosen_logp_drop": _chosen_logp_drop,
    "length_drift": _length_drift,
    "completion_length": partial(_metric, "completions/mean_length"),
    "truncated": partial(_metric, "completions/clipped_ratio"),
    "empty": partial(_metric, "completions/empty_ratio"),
    "repetition": partial(_metric, "completions/repetition_ratio"),
    "gradient_cosine": partial(_metric, "gradients/cosine"),
    "eval": _eval,
}

READ = frozenset(
    (
        *("entropy", "kl", "reward", "reward_std", "epoch", "loss", "grad_norm", "frac_reward_zero_std"),
        *("importance_ratio/effective_sample_size", "importance_ratio/max", "clip_ratio/region_mean"),
        *("cispo_clip_ratio", "logps/chosen", "completions/mean_length", "completions/clipped_ratio"),
        *("completions/empty_ratio", "completions/repetition_ratio", "gradients/cosine"),
    )
)
"""The metrics that they are made of, besides those of watched evals."""


def read(metrics: Mapping[str, float]) -> dict[str, float]:
    """What is kept of a step."""
    return {name: value for name, value in metrics.items() if name in READ or name.startswith("eval/")}
