"""Where objectives lead, computed from their definitions with NumPy: no line of what is tested is used here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.optimize import brentq, minimize

from enumerable.policies import Floats, Policy, Response, State, of_responses

Reward = Callable[[str, Response], float]


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function crosses 0."""
    return float(brentq(function, low, high, xtol=1e-12))


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def normalised(values: Floats) -> Floats:
    scaled: Floats = np.exp(values - values.max())
    return scaled / scaled.sum()


def tilted(reference: Policy, reward: Reward, kl: float) -> Policy:
    """The policy of highest reward less `kl` · KL(policy || reference): it is ∝ reference · exp(reward / kl)."""
    whole = {}
    for prompt in reference.prompts:
        logs = [reference.logp(prompt, one) + reward(prompt, one) / kl for one in reference.responses]
        whole[prompt] = normalised(np.array(logs))
    return of_responses(whole, reference)


def covering(reference: Policy, reward: Reward, kl: float) -> Policy:
    """Where a reward against KL(reference || policy) in every state that is visited leads: what `k3` in a loss does.

    In a state, with Q of each token and V its mean: policy · (Q - V) = kl · (policy - reference), so the policy is
    reference · kl / (kl + V - Q), where V makes it sum to 1; from the last token back.
    """
    log: dict[State, Floats] = {}

    def value(prompt: str, said: Response) -> float:
        size = len(reference.log[prompt, said])
        following = np.empty(size)
        for token in range(size):
            response = (*said, token)
            ends = token == reference.end or len(response) == reference.length
            following[token] = reward(prompt, response) if ends else value(prompt, response)
        own = reference.conditional(prompt, said)

        def excess(level: float) -> float:
            return float(np.sum(own * kl / (kl + level - following)) - 1)

        level = root(excess, following.max() - kl * (1 - 1e-9), following.max() + kl)
        log[prompt, said] = np.log(own * kl / (kl + level - following))
        return level

    for prompt in reference.prompts:
        value(prompt, ())
    return Policy(log, reference.end, reference.length)


def spread(policy: Policy, prompt: str, reward: Reward) -> float:
    """The standard deviation of its rewards."""
    mean = policy.expected(prompt, lambda one: reward(prompt, one))
    return float(np.sqrt(policy.expected(prompt, lambda one: (reward(prompt, one) - mean) ** 2)))


def covering_scaled(reference: Policy, reward: Reward, kl: float) -> Policy:
    """As `covering`, with rewards divided by their standard deviation under the policy itself, prompt by prompt."""
    scales = {prompt: spread(reference, prompt, reward) for prompt in reference.prompts}

    def scaled(prompt: str, response: Response) -> float:
        return reward(prompt, response) / scales[prompt]

    for _ in range(100):
        found = covering(reference, scaled, kl)
        scales |= {prompt: 0.5 * (scales[prompt] + spread(found, prompt, reward)) for prompt in scales}
    return found


def state_by_state(like: Policy, chosen: Callable[[str, Response], Floats]) -> Policy:
    """The policy whose next token has the probabilities ∝ exp of what is chosen for each state."""
    log = {(prompt, said): np.log(normalised(chosen(prompt, said))) for prompt, said in like.log}
    return Policy(log, like.end, like.length)


def least(loss: Callable[[Floats], float], size: int) -> Floats:
    """The distribution over so many outcomes with the least loss."""
    best = min(
        (minimize(lambda logits: loss(normalised(logits)), start, tol=1e-12) for start in np.eye(size)),
        key=lambda found: float(found.fun),
    )
    return normalised(best.x)


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def following(counts: Mapping[Response, int], said: Response, size: int) -> Floats:
    """How often each token follows a beginning."""
    found = np.zeros(size)
    for response, count in counts.items():
        if response[: len(said)] == said:
            found[response[len(said)]] += count
    return found / found.sum()
