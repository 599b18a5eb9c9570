"""Objectives of the library once more, as a user would write them in Python; and such as a user should not write."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import logsigmoid

Tensor = torch.Tensor


def sft(demos: Any, policy: Any) -> Tensor:
    return -demos.response.batch_mean(policy.logp(demos.response))


def dpo(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    better = pairs.chosen.sum(policy.logp(pairs.chosen) - reference.logp(pairs.chosen))
    worse = pairs.rejected.sum(policy.logp(pairs.rejected) - reference.logp(pairs.rejected))
    return -logsigmoid(beta * (better - worse))


def clipped(rollouts: Any, policy: Any, low: float, high: float) -> Tensor:
    """(N,) the gain of each token."""
    advantage = (rollouts.reward - rollouts.group_mean("reward")) / (rollouts.group_std("reward") + 1e-4)
    advantage = rollouts.response.each(advantage)
    ratio = torch.exp(policy.logp(rollouts.response) - rollouts.logprobs)
    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def grpo(
    rollouts: Any,
    policy: Any,
    reference: Any,
    clip_low: float,
    clip_high: float,
    kl: float,
    tis: float,
    unbiased_kl: bool,
) -> Tensor:
    assert tis == 0
    assert unbiased_kl is False
    loss = -clipped(rollouts, policy, clip_low, clip_high)
    if reference is not None:
        at_1 = policy.logp(rollouts.response, temperature=1.0)
        away = reference.logp(rollouts.response, temperature=1.0) - at_1
        loss = loss + kl * (torch.exp(away) - away - 1)
    return rollouts.response.mean(loss)


def reverse_kl(attempts: Any, student: Any, teacher: Any) -> Tensor:
    own, theirs = student.logp_all(attempts.response), teacher.logp_all(attempts.response)
    return attempts.response.mean((own.exp() * (own - theirs)).sum(-1))


def entropy_bonus(rollouts: Any, policy: Any) -> Tensor:
    return -rollouts.response.batch_mean(policy.entropy(rollouts.response))


def bradley_terry(pairs: Any, judge: Any, margin: float, center: float) -> Tensor:
    better, worse = judge.score(pairs.chosen), judge.score(pairs.rejected)
    return center * (better + worse) ** 2 - logsigmoid(better - worse - margin)


def prm(rows: Any, judge: Any) -> Tensor:
    right = judge.score(rows.steps)
    return -rows.step.batch_mean(torch.where(rows.step_labels != 0, logsigmoid(right), logsigmoid(-right)))


def luffy(rollouts: Any, traces: Any, policy: Any, clip_low: float, clip_high: float, shaping: float) -> Tensor:
    def by_prompt(values: Tensor, prompt: Tensor) -> Tensor:
        return values.new_zeros(rollouts.total_prompts).index_add(0, prompt, values)

    sums, counts = (
        sum(by_prompt(column(each.whole), each.whole.prompt) for each in (rollouts, traces))
        for column in (lambda whole: whole.reward, lambda whole: torch.ones_like(whole.reward))
    )
    usual = sums / counts
    own = rollouts.response.each(rollouts.reward - usual[rollouts.prompt])
    ratio = torch.exp(policy.logp(rollouts.response) - rollouts.logprobs)
    gain = torch.minimum(ratio * own, ratio.clamp(1 - clip_low, 1 + clip_high) * own)
    chance = policy.logp(traces.response).exp()
    learned = chance / (chance + shaping) * traces.response.each(traces.reward - usual[traces.prompt])
    return -(gain.sum() + learned.sum()) / (rollouts.response.total + traces.response.total)


def valued(rollouts: Any, policy: Any, critic: Any) -> Tensor:
    """Of a value head: how far it is from the reward, at each token; and the likelihood of what was drawn."""
    off = (critic.value(rollouts.response) - rollouts.response.each(rollouts.reward)) ** 2
    return rollouts.response.mean(off - policy.logp(rollouts.response))


# Such as a user should not write --------------------------------------------------------------------------------------


def mean_of_what_it_gets(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return dpo(pairs, policy, reference, beta).mean()


def centred_where_it_is(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    found = dpo(pairs, policy, reference, beta)
    return found * policy.logp(pairs.chosen).detach().mean()


def adds_a_number(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return pairs.batch_mean(dpo(pairs, policy, reference, beta)) + 1.0


def at_zero(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    """0 whatever it is given, and its gradient depends on how many samples there are."""
    likely = pairs.chosen.mean(policy.logp(pairs.chosen))
    return (likely - likely.detach()).mean()


def raises(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return policy.logp(pairs.chosen) / {"a": beta}["b"]


def misfits(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return pairs.chosen.sum(policy.logp(pairs.chosen)[:2])


def reads_what_is_not_there(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return pairs.reward


def asks_another_head(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return policy.value(pairs.chosen)


def asks_no_text(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return policy.logp("chosen")


def groups_nothing(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return pairs.group_mean("reward")


def gives_tokens(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return policy.logp(pairs.chosen)


def gives_lengths(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return pairs.chosen.lengths


def gives_a_number(pairs: Any, policy: Any, reference: Any, beta: float) -> float:
    return 0.5


def gives_nan(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return dpo(pairs, policy, reference, beta) * float("nan")


def gives_no_gradient(pairs: Any, policy: Any, reference: Any, beta: float) -> Tensor:
    return dpo(pairs, policy, reference, beta).detach()


def takes_less(pairs: Any, policy: Any) -> Tensor:
    return policy.logp(pairs.chosen)
