"""Names of metrics: those of `metrics.jsonl`, and those of TRL that are not among them, with the reason.

A test holds both against the sources of the TRL that is installed: what its trainers log stands in one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A name in `metrics.jsonl`. `trl` is false for the few that TRL does not have."""

    name: str
    meaning: str
    trl: bool = True


METRICS: tuple[Metric, ...] = (
    Metric("loss", "of the optimizer step, over its whole batch"),
    Metric("learning_rate", "at this step"),
    Metric("grad_norm", "global, before clipping"),
    Metric("learning_rate/<model>", "of a trained model beside the first", trl=False),
    Metric("grad_norm/<model>", "of a trained model beside the first", trl=False),
    Metric("epoch", "passes over the first term's source so far"),
    Metric("num_tokens", "tokens trained on so far, prompts included, in each pass"),
    Metric("step_time", "seconds per optimizer step"),
    Metric("mean_token_accuracy", "share of target tokens, rejected ones apart, that were the most probable one"),
    Metric("entropy", "of the distributions from which the tokens that bear loss were drawn, mean over them, in nats"),
    Metric("reward", "mean over attempts"),
    Metric("reward_std", "over all attempts of the batch"),
    Metric("reward_std_in_groups", "within groups, mean over groups", trl=False),
    Metric("frac_reward_zero_std", "share of groups whose attempts all have the same reward"),
    Metric("frac_reward_zero_std/all_right", "of these, groups whose common reward is above 0", trl=False),
    Metric("frac_reward_zero_std/all_wrong", "of these, the others", trl=False),
    Metric("rewards/<verifier>/mean", "of one verifier"),
    Metric("rewards/<verifier>/std", "of one verifier"),
    Metric("rewards/unjudged", "attempts that have no reward", trl=False),
    Metric(
        "kl", "to a reference, where the loss holds an estimate of it; mean over tokens, or what KTO holds rewards to"
    ),
    Metric("clip_ratio/low_mean", "share of tokens (or samples) at which the lower clip held a loss back"),
    Metric("clip_ratio/low_min", "the same in the response in which it was least"),
    Metric("clip_ratio/high_mean", "share at which the upper clip held a gain back"),
    Metric("clip_ratio/high_max", "the same in the response in which it was most"),
    Metric("clip_ratio/region_mean", "share at which either did"),
    Metric("cispo_clip_ratio", "share of tokens at which the cap of a weight without gradient held a gain back"),
    Metric("sampling/sampling_logp_difference/mean", "trainer and engine about the tokens it sampled, without sign"),
    Metric("sampling/sampling_logp_difference/max", "the same, the greatest"),
    Metric("sampling/importance_sampling_ratio/min", "the weight that the loss makes of it, the least"),
    Metric("sampling/importance_sampling_ratio/mean", "the same, mean over tokens (or responses)"),
    Metric("sampling/importance_sampling_ratio/max", "the same, the greatest"),
    Metric(
        "importance_ratio/effective_sample_size",
        "of the weights by which the loss takes what was sampled before for what it would sample now: "
        "(sum w)² / (n sum w²), over tokens (or responses)",
        trl=False,
    ),
    Metric("importance_ratio/min", "the least of these weights, before any clip", trl=False),
    Metric("importance_ratio/max", "the greatest", trl=False),
    Metric(
        "gradients/cosine",
        "of the gradients of a joint objective's parts, the least of two; every 5 steps, where it is guarded",
        trl=False,
    ),
    Metric("gradients/norm_ratio", "the longest of them over the shortest", trl=False),
    Metric(
        "rewards/chosen",
        "what the loss compares of `.chosen`, with its factor (`beta`); mean over pairs, or over rows with the label",
    ),
    Metric("rewards/rejected", "the same of `.rejected`, or of rows without the label"),
    Metric("rewards/margins", "their difference"),
    Metric("rewards/accuracies", "share of pairs in which the chosen one is ahead"),
    Metric("logps/chosen", "log-probability of the learner, summed over tokens; mean over pairs or rows"),
    Metric("logps/rejected", "the same"),
    Metric("mean_reward", "what a reward head says, mean over texts"),
    Metric("min_reward", "the least of it"),
    Metric("max_reward", "the greatest"),
    Metric("margin", "what it says of the chosen one more than of the other"),
    Metric("accuracy", "share of pairs in which it prefers the chosen one"),
    Metric("completions/mean_length", "tokens per response"),
    Metric("completions/min_length", "tokens"),
    Metric("completions/max_length", "tokens"),
    Metric("completions/mean_terminated_length", "tokens of those that ended themselves, where any did"),
    Metric("completions/min_terminated_length", "tokens"),
    Metric("completions/max_terminated_length", "tokens"),
    Metric("completions/clipped_ratio", "share of responses that `max_tokens` ended"),
    Metric("completions/empty_ratio", "share of responses without a token before their end", trl=False),
    Metric(
        "completions/repetition_ratio",
        "share of responses of 8 tokens or more in which one token takes up nine in ten places",
        trl=False,
    ),
    Metric("completions/mean_length_ahead", "tokens of attempts with a reward above their group's mean", trl=False),
    Metric("completions/mean_length_behind", "tokens of those below it", trl=False),
    Metric("replay/share", "share of prompts whose attempts were sampled before", trl=False),
    Metric("replay/age", "optimizer steps since, mean", trl=False),
    Metric("refill/draws", "draws beyond the first, for groups that were dropped", trl=False),
    Metric("refill/missing", "prompts for which none was found", trl=False),
    Metric("eval/<eval>/<measure>", "of a watched eval: `pass@1`, `reward`, …", trl=False),
)


@dataclass(frozen=True)
class LeftOut:
    """Names of TRL's that are none here."""

    names: tuple[str, ...]
    why: str


LEFT_OUT: tuple[LeftOut, ...] = (
    LeftOut(("logits/chosen", "logits/rejected"), "a number added to all logits changes it, and no probability"),
    LeftOut(("aux_loss",), "no loss here balances experts"),
    LeftOut(
        ("policy_loss", "nll_loss", "log_odds_ratio", "log_odds_chosen"),
        "terms of a loss are not logged apart; `loss` is their sum, and `rewards/…` what ORPO compares",
    ),
    LeftOut(("entropy_coef", "beta"), "numbers of the program, which `ptc plan` prints"),
    LeftOut(("vespo/phi_seq_mean",), "named after one method; no form of a loss tells its weight from any other"),
    LeftOut(("tools/call_frequency", "tools/failure_frequency"), "nothing that is sampled calls tools"),
    LeftOut(("objective/scores",), "`reward`"),
    LeftOut(("objective/entropy",), "`entropy`"),
    LeftOut(("val/contain_eos_token",), "1 - `completions/clipped_ratio`"),
    LeftOut(
        ("objective/scores_margin", "objective/kl", "objective/non_score_reward", "objective/rlhf_reward"),
        "of what was sampled, and no part of the loss of pairs; `rewards/margins` is what it learns of",
    ),
    LeftOut(("num_input_tokens_seen",), "`num_tokens`"),
    LeftOut(
        ("train_loss", "total_flos"),
        "of a whole training: `ptc runs` and the table behind a run have its time and tokens",
    ),
)
