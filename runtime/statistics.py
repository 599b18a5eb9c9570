"""What per-prompt counts say: pass@k, informative groups, support kept, gained and lost.

An eval gives for each prompt the number of samples `n` and of correct ones `c`. All functions take arrays of shape
[prompts]. Estimators are unbiased over samples; how sure their means over prompts are is in `intervals.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


def pass_at_k(n: Counts, correct: Counts, k: int) -> Reals:
    """Chance that at least one of k samples is correct, per prompt; shape [prompts].

    1 - C(n-c, k) / C(n, k), computed as 1 - prod over i in n-c+1..n of (1 - k/i) (Chen et al., 2021, equation 1).
    Needs k <= n for every prompt.
    """
    return 1.0 - _chance_of_none(n, n - correct, k)


def informative_rate(n: Counts, correct: Counts, group: int) -> Reals:
    """Chance that a group of `group` samples holds both a right and a wrong one, per prompt; shape [prompts].

    1 - [C(n-c, G) + C(c, G)] / C(n, G): a group without spread has no advantage and no gradient (Yu et al., 2025).
    Needs group <= n for every prompt.
    """
    return 1.0 - _chance_of_none(n, n - correct, group) - _chance_of_none(n, correct, group)


def _chance_of_none(n: Counts, others: Counts, k: int) -> Reals:
    """C(others, k) / C(n, k): chance that k of n samples are all among the `others`; shape [prompts]."""
    assert k >= 1 and bool(np.all(n >= k)), "more samples are drawn than there are"
    draws = np.arange(k)[:, None]
    factors = (others[None, :] - draws) / (n[None, :] - draws)
    result: Reals = np.where(others >= k, np.prod(np.maximum(factors, 0.0), axis=0), 0.0)
    return result


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4, … up to n, and n itself."""
    powers = [1 << exponent for exponent in range(n.bit_length()) if 1 << exponent <= n]
    return powers if powers[-1] == n else [*powers, n]


@dataclass(frozen=True)
class Support:
    """Prompts solved before and after (kept), only after (gained), only before (lost), or expected to be.

    Names and ratios of the support dynamics of arXiv 2507.14843.
    """

    kept: float
    gained: float
    lost: float

    @property
    def retention(self) -> float:
        """SRR = P / (P + S): share of what was solved that still is. 1 if nothing was."""
        return _ratio(self.kept, self.kept + self.lost, 1.0)

    @property
    def discovery(self) -> float:
        """NDR = E / (P + E): share of what is solved now that was not before. 0 if nothing is."""
        return _ratio(self.gained, self.kept + self.gained, 0.0)

    @property
    def dynamic(self) -> float:
        """SDS: harmonic mean of retention and discovery."""
        return _ratio(2 * self.retention * self.discovery, self.retention + self.discovery, 0.0)

    @property
    def net_change(self) -> float:
        """NSCR = (E - S) / (P + E + S). 0 if nothing was solved, before or after."""
        return _ratio(self.gained - self.lost, self.kept + self.gained + self.lost, 0.0)


def support(before: Reals, after: Reals) -> Support:
    """Expected support over prompts, given each one's chance of being solved before and after; arrays [prompts].

    The two draws are independent given the prompt, so P + S = sum of before, and E - S = sum of after - before.
    """
    kept = float(np.sum(before * after))
    return Support(kept, float(np.sum(after)) - kept, float(np.sum(before)) - kept)


def _ratio(numerator: float, denominator: float, otherwise: float) -> float:
    return numerator / denominator if denominator > 0 else otherwise
