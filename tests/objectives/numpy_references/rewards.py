"""What is learned from attempts that are judged."""

from __future__ import annotations

import numpy as np

from numpy_references.world import Array, World, clipped, mean, suffix


def standardised(w: World) -> Array:
    rewards, advantages = w.number("reward"), np.zeros(w.count)
    for members in w.members():
        spread = rewards[members].std(ddof=1) if len(members) > 1 else 0.0
        advantages[members] = (rewards[members] - rewards[members].mean()) / (spread + 1e-4)
    return advantages


def centred(w: World) -> Array:
    rewards, advantages = w.number("reward"), np.zeros(w.count)
    for members in w.members():
        advantages[members] = rewards[members] - rewards[members].mean()
    return advantages


def ratio(w: World, i: int) -> Array:
    return np.exp(w.logp("now", i) - w.sampler(i))


def k3(w: World, i: int) -> Array:
    q = np.exp(w.logp("reference", i) - w.logp("now", i))
    return q - np.log(q) - 1


def entropy_bonus(w: World) -> float:
    return w.per_token(lambda i: (np.exp(w.dist("now", i)) * w.dist("now", i)).sum(-1))


def reinforce(w: World) -> float:
    held = np.array([(w.logp("then", i) - w.logp("reference", i)).sum() for i in range(w.count)])
    reward = w.number("reward") - 0.1 * held
    return -w.per_sample(lambda i: (reward[i] - reward.mean()) * w.logp("now", i).sum())


def reinforce_pp(w: World) -> float:
    returns = [w.number("reward")[i] - 0.1 * suffix(w.logp("then", i) - w.logp("reference", i)) for i in range(w.count)]
    flat = np.concatenate(returns)
    return -w.per_token(lambda i: clipped(ratio(w, i), (returns[i] - flat.mean()) / (flat.std(ddof=1) + 1e-4)))


def rloo(w: World) -> float:
    held = np.array([(w.sampler(i) - w.logp("reference", i)).sum() for i in range(w.count)])
    reward, losses = w.number("reward") - 0.1 * held, []
    for members in w.members():
        for i in members:
            others = [reward[j] for j in members if j != i]
            advantage = reward[i] - sum(others) / len(others) if others else 0.0
            whole = np.exp(w.logp("now", i).sum() - w.sampler(i).sum())
            losses.append(-clipped(whole, advantage))
    return float(np.mean(losses))


def grpo(w: World) -> float:
    """With truncated importance weights: one step per batch, so the ratio is 1 where the gradient is taken."""
    advantage = standardised(w)

    def sample(i: int) -> float:
        step = np.exp(w.logp("now", i) - w.logp("then", i))
        weight = np.minimum(np.exp(w.logp("then", i) - w.sampler(i)), 2)
        return mean(0.05 * step * k3(w, i) - weight * clipped(step, advantage[i], high=0.28))

    return w.per_sample(sample)


def dr_grpo(w: World) -> float:
    advantage = centred(w)
    return w.per_sample(lambda i: float((0.05 * k3(w, i) - clipped(ratio(w, i), advantage[i])).sum()) / 4)


def dapo(w: World) -> float:
    advantage = standardised(w)
    return w.per_token(lambda i: 0.05 * k3(w, i) - clipped(ratio(w, i), advantage[i], high=0.28))


def gspo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        whole = np.exp(mean(w.logp("now", i) - w.sampler(i)))
        return 0.05 * mean(k3(w, i)) - float(clipped(whole, advantage[i], 3e-4, 4e-4))

    return w.per_sample(sample)


def cispo(w: World) -> float:
    advantage = standardised(w)

    def token(i: int) -> Array:
        weight = np.minimum(np.exp(w.logp("then", i) - w.sampler(i)), 5)
        return weight * advantage[i] * w.logp("now", i)

    return -w.per_token(token)


def lite_ppo(w: World) -> float:
    advantage = centred(w) / (w.number("reward").std(ddof=1) + 1e-4)
    return -w.per_token(lambda i: clipped(ratio(w, i), advantage[i]))


def sapo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        sharp = 1.0 if advantage[i] > 0 else 1.05
        return mean(4 / sharp / (1 + np.exp(-sharp * (ratio(w, i) - 1))) * advantage[i])

    return -w.per_sample(sample)


def luspo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        whole = np.exp(mean(w.logp("now", i) - w.sampler(i)))
        return len(w.sampler(i)) * float(clipped(whole, advantage[i], 3e-4, 4e-4))

    return -w.per_sample(sample)


def vespo(w: World) -> float:
    advantage = standardised(w)

    def token(i: int) -> Array:
        whole = float(np.exp((w.logp("then", i) - w.sampler(i)).sum()))
        power, decay = (2, 3) if advantage[i] >= 0 else (3, 2)
        return whole**power * np.exp(decay * (1 - whole)) * advantage[i] * w.logp("now", i)

    return -w.per_token(token)


def two_sided_grpo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        free = np.minimum(ratio(w, i), 1.5) * advantage[i]
        return mean(np.minimum(free, np.clip(ratio(w, i), 0.8, 1.2) * advantage[i]))

    return -w.per_sample(sample)


def deepseek_grpo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        kept = advantage[i] >= 0 or mean(w.sampler(i) - w.logp("then", i)) <= 0.5
        return mean(0.05 * ratio(w, i) * k3(w, i) - kept * clipped(ratio(w, i), advantage[i]))

    return w.per_sample(sample)


def off_policy_grpo(w: World) -> float:
    advantage = standardised(w)

    def sample(i: int) -> float:
        drift = float(np.exp((w.logp("then", i) - w.sampler(i)).sum()))
        step = np.exp(w.logp("now", i) - w.logp("then", i))
        return drift * (drift <= 3) * mean(clipped(step, advantage[i]))

    return -w.per_sample(sample)
