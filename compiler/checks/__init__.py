"""Checks of the whole program: what no single declaration shows.

Each check is one function over the core, under the name that `allow` and `ptc explain` know it by. None looks at a
method's name. `ADVICE` is said only about a program in which nothing is wrong: first what breaks it, then what could be
better.
"""

from __future__ import annotations

from collections.abc import Callable

from ptc.compiler import core
from ptc.compiler.allowances import judge
from ptc.compiler.catalogue import Placement
from ptc.compiler.checks.claims import (
    check_consolidates_nothing,
    check_imitates_itself,
    check_nothing_to_reshape,
    check_role_claim_unsupported,
    check_unreadable_claim,
)
from ptc.compiler.checks.composition import (
    check_ancestor_teacher_regression,
    check_claim_unprotected,
    check_cold_start_prompt_reuse,
    check_no_exit_criterion,
    check_over_expanded_init,
    check_reshape_before_support,
    check_safety_unwatched,
    check_sft_after_rl_unprotected,
    check_verifier_starves_successor,
)
from ptc.compiler.checks.evals import (
    check_eval_in_training,
    check_scaffold_at_eval,
    check_selection_on_report,
    check_split_by_seed,
    note_watched_eval_in_training,
)
from ptc.compiler.checks.loops import check_rm_distribution_shift, check_self_judge_cycle, check_self_train_closed_loop
from ptc.compiler.checks.masks import check_loss_mask_leak
from ptc.compiler.checks.merging import check_merge_strangers, check_specialists_unwatched
from ptc.compiler.checks.outside import check_capacity_gap, check_pasted_path
from ptc.compiler.checks.placement import (
    check_does_not_fit,
    check_head_precision,
    check_library_versions,
    check_option_not_honoured,
    check_sampler_trainer_mismatch,
)
from ptc.compiler.checks.plan import check_lr_out_of_band, check_warmup_too_long
from ptc.compiler.checks.protection import check_protects_nothing
from ptc.compiler.checks.provenance import (
    check_hint_leak,
    check_kl_estimator_bias,
    check_preference_off_support,
    check_replay_without_age,
    check_staleness_uncorrected,
)
from ptc.compiler.checks.references import (
    check_adapter_reference,
    check_dropout_in_ratio,
    check_reference_cache_stale,
    check_reference_lineage,
    check_template_drift,
    check_zero_signal_teacher,
)
from ptc.compiler.checks.verifiers import (
    check_known_contaminated_pair,
    check_learned_reward_no_kl,
    check_reward_is_metric,
    check_reward_sum_domination,
    check_verifier_version_drift,
    note_reward_is_metric,
)
from ptc.compiler.checks.view import View
from ptc.compiler.checks.whole import (
    check_context_too_short,
    check_lengths_contradict,
    check_nothing_to_run,
    check_same_meaning,
)
from ptc.compiler.findings import Findings

Check = Callable[[View, Findings], None]

CHECKS: tuple[Check, ...] = (
    # What a learner is held to, and learns from
    check_reference_lineage,
    check_zero_signal_teacher,
    check_adapter_reference,
    check_reference_cache_stale,
    check_dropout_in_ratio,
    check_template_drift,
    # What a loss assumes of its rows
    check_loss_mask_leak,
    check_staleness_uncorrected,
    check_kl_estimator_bias,
    check_hint_leak,
    check_replay_without_age,
    check_preference_off_support,
    # What a stage claims
    check_role_claim_unsupported,
    check_imitates_itself,
    check_nothing_to_reshape,
    check_consolidates_nothing,
    check_unreadable_claim,
    # What is measured
    check_eval_in_training,
    check_split_by_seed,
    check_scaffold_at_eval,
    check_selection_on_report,
    check_reward_is_metric,
    check_learned_reward_no_kl,
    check_verifier_version_drift,
    check_reward_sum_domination,
    check_known_contaminated_pair,
    # Stages in a row
    check_over_expanded_init,
    check_cold_start_prompt_reuse,
    check_sft_after_rl_unprotected,
    check_ancestor_teacher_regression,
    check_verifier_starves_successor,
    check_merge_strangers,
    check_specialists_unwatched,
    check_rm_distribution_shift,
    check_self_train_closed_loop,
    check_self_judge_cycle,
    check_pasted_path,
    # Where it would run
    check_sampler_trainer_mismatch,
    check_does_not_fit,
    check_option_not_honoured,
    check_head_precision,
    check_library_versions,
    # The whole
    check_context_too_short,
    check_lengths_contradict,
    check_warmup_too_long,
    check_protects_nothing,
    check_same_meaning,
    check_nothing_to_run,
)

ADVICE: tuple[Check, ...] = (
    check_reshape_before_support,
    check_claim_unprotected,
    check_no_exit_criterion,
    check_safety_unwatched,
    check_capacity_gap,
    check_lr_out_of_band,
    note_watched_eval_in_training,
    note_reward_is_metric,
)


def check(program: core.Program, findings: Findings, placement: Placement | None = None) -> None:
    """Everything that only shows in the whole."""
    view = View(program, placement)
    for run in CHECKS:
        run(view, findings)
    if not any(diagnostic.severity == "error" for diagnostic in judge(findings.found, program.allows).kept):
        for run in ADVICE:
            run(view, findings)
