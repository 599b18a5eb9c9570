# ruff: noqa: E501  prose and a table
"""The page of monitors, `docs/monitors.md`: the table that the checker reads, with formulas and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ptc.compiler.monitors import MEASURES, Measure

HEAD = """\
# Monitors

A stage measures itself at every step, and some of what it measures says early that it goes wrong. A *monitor* compares
one such measure with a limit. Every stage is watched by the usual limits of the table below as far as its loss and its
rows give the measure; they warn and stop nothing. `guard` in a stage sets a limit that stops it
([guards](../tests/spec/guards.md)):

```text
guard kl <= 0.2 over 10 steps
guard zero_advantage <= 90% over 20 steps
guard skill >= 40%                          # an eval that the stage watches
allow(entropy_collapse, "one answer is right, and it has been found")
```

**What is said, and where.** A monitor fires at the first step at which its limit is not kept, and again only after it
has been kept in between. That is a line in the display of the run, in `run.log` and at the end of the run, and a row of
`metrics.jsonl`: `{"event": "monitor", "monitor": "kl-budget", "measure": "kl", "step": 140, "value": 0.41, "op": "le",
"limit": 0.2, "over": 10, "level": "warning" or "stop", "words": …}`.

**What a stop does.** Nothing is published, the checkpoints are kept, and the run ends with exit code 4 and one line:
`kl 0.41 > 0.2 at step 140, median of 10 steps (guard of reasoner, program.pt:41): its checkpoint of step 100 is kept; …`.
The step that broke the limit is not sealed: the same program, run again, is stopped again at the same step. With the limit
moved, or the guard taken out, the stage goes on from the checkpoint, because no guard is part of what a stage means. A stage
whose result is in the store is not trained, and so not guarded, again.

**`over n steps`** compares the median of the last n steps, once the measure has been known for so many: one step alone never
fires. What a resumed stage knows of the steps before is in its checkpoint.

Limits are engineering defaults: numbers that steady stages keep and stages that go wrong do not, chosen on this
repository's examples and tests, not taken from a paper. Of 1,000 simulated steady stages (60 steps, an eval of 128
prompts every 5) 1 raised any alarm, and a test holds it below 5; the four stages of `examples/spelling.pt` raise none.

"""


class About(NamedTuple):
    """What the page says of a measure besides the checker's table."""

    formula: str
    why: str
    remedy: str


ABOUT: Mapping[str, About] = {
    "zero_advantage": About(
        "`frac_reward_zero_std`; `…/all_right` and `…/all_wrong` beside it say of which kind",
        "such groups have no advantage and teach nothing (DAPO, 2503.14476)",
        "all wrong: easier prompts, or demonstrations first; all right: harder prompts, or stop; `refill`",
    ),
    "entropy": About(
        "`entropy`", "no exploration is left once it is gone (2505.22617)", "lower `lr`; raise `clip_high`"
    ),
    "entropy_kept": About(
        "`entropy` / its median over the first 10 steps; the usual limit only where rewards are learned from",
        "the gain bought with entropy ends with it (2505.22617)",
        "lower `lr`; raise `clip_high`; nothing, where the task has one answer and it is found",
    ),
    "kl": About(
        "`kl`, where the loss estimates one",
        "forgetting goes with the distance from the start; how much is too much is the program's to say",
        "lower `lr`; a greater `kl`",
    ),
    "proxy_gold_split": About(
        "over the last 8 measurements of the eval: how far its fitted line (Theil and Sen) has fallen, if it falls and the "
        "reward between them rises, both by Kendall's S at 1 %; else 0",
        "the reward is learned against, and what it stands for is not (Gao et al., 2210.10760)",
        "mend the verifier or the reward model; stop earlier; `stage @ best(…)`",
    ),
    "memorisation": About(
        "of the last 8 measurements, from the one before the second pass on: how far the fitted line of reward less eval "
        "has risen, if it rises by Kendall's S at 0.2 % and the reward does at 5 %; else 0",
        "the prompts are learned by heart, the task is not",
        "fewer passes; more prompts",
    ),
    "effective_sample_size": About(
        "`importance_ratio/effective_sample_size`: (sum w)² / (n sum w²) of the loss's ratios before any clip",
        "few samples carry the step: it predicts collapse (2602.17616)",
        "lower `max_lag`, `passes`, `rollout` or `lr`",
    ),
    "importance_ratio": About("`importance_ratio/max`", "one token carries the step", "the same"),
    "clip_fraction": About(
        "`clip_ratio/region_mean`, or `cispo_clip_ratio`", "most of the batch teaches nothing any more", "the same"
    ),
    "grad_norm_spike": About(
        "`grad_norm` / the greater of its medians over the 50 to 100 steps before and over the first 10",
        "spikes go before collapse (2602.17616)",
        "lower `lr` or `clip_norm`; look at the rows",
    ),
    "loss_spike": About(
        "`loss` / the greater of its medians over the 50 to 100 steps before and over the first 10, where none is below 0",
        "rows that are broken, or a learning rate too high",
        "look at the rows of these steps; lower `lr`",
    ),
    "chosen_logp_drop": About(
        "(median of `logps/chosen` over the first 10 steps - `logps/chosen`) / the size of the former, 1 nat at least",
        "likelihood displacement: preferred responses become less likely too, above all in pairs that are nearly alike "
        "(2410.08847)",
        "leave such pairs out; add `sft` on the chosen responses",
    ),
    "length_drift": About(
        "`completions/mean_length` / its median over the first 10 steps; 1 where the reward of the last 10 steps is over that "
        "of the first 10 by more than a quarter of `reward_std`",
        "length is rewarded by the loss and not by the task (Dr. GRPO, 2503.20783); `completions/mean_length_behind` says "
        "whether wrong answers lengthen",
        "divide by a constant length; score length",
    ),
    "completion_length": About("`completions/mean_length`", "a budget of tokens", "score length; lower `max_tokens`"),
    "truncated": About(
        "`completions/clipped_ratio`; the usual limit only where rewards are learned from",
        "what is cut off is judged wrong",
        "raise `max_tokens`; leave out what was cut off",
    ),
    "empty": About("`completions/empty_ratio`", "the policy has collapsed", "an earlier checkpoint, a lower `lr`"),
    "repetition": About("`completions/repetition_ratio`", "the policy has collapsed", "the same"),
    "gradient_cosine": About(
        "`gradients/cosine`: of the terms that share no source, the least of two; every 5 steps, in one process, only where "
        "it is guarded, because it keeps a copy of the gradient for each",
        "terms that undo one another; `gradients/norm_ratio` says whether one drowns the other",
        "other weights; one stage after the other",
    ),
}

TAIL = """
## What is not here

Formats that are learned without the task (`format-only-learning` of the design) show in `rewards/<verifier>/mean` of a sum
of verifiers, and no monitor looks there: nothing tells it which verifier is the form. A loss or a gradient that is not
finite needs no monitor: it always stops the stage, before the weights are touched.
"""


def monitors() -> str:
    """The whole page."""
    rows = "".join(_row(measure) for measure in MEASURES)
    head = "| measure (monitor) | what | formula | warns | why | what to do |\n|---|---|---|---|---|---|\n"
    return HEAD + head + rows + TAIL


def _row(measure: Measure) -> str:
    about = ABOUT[measure.name]
    name = f"{measure.name}(eval)" if measure.of_eval else measure.name
    cells = (f"`{name}` ({measure.monitor})", measure.meaning, about.formula, _usual(measure), about.why, about.remedy)
    return f"| {' | '.join(cells)} |\n"


def _usual(measure: Measure) -> str:
    usual = measure.usual
    if usual is None:
        return "never; `guard` only"
    limit = f"{usual.limit:.0%}" if measure.kind == "share" or measure.name == "entropy_kept" else f"{usual.limit:g}"
    over = f", median of {usual.over} steps" if usual.over > 1 else ""
    return f"{'below' if usual.op == 'ge' else 'above'} {limit}{over} (engineering default)"
