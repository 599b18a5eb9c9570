"""The arguments of the library's objectives in the table of names. A test holds every default equal to the one in
`stdlib/objectives`, and every number in a head there to a row here."""

from __future__ import annotations

from ptc.compiler.name import MUST, PTC, PUBLISHED, TRL, Name

LIBRARY = frozenset(
    (
        *("sft", "pretrain", "dft", "proximal_sft", "anchored_sft", "chord"),
        *("dpo", "dpo_norm", "cdpo", "robust", "ipo", "hinge", "rpo", "kto", "orpo", "simpo", "cpo"),
        *("bradley_terry", "prm"),
        *("reinforce", "reinforce_pp", "rloo", "grpo", "dr_grpo", "dapo", "gspo", "cispo", "lite_ppo", "ppo"),
        *("process_sum", "process_min", "entropy_bonus", "luffy"),
        *("forward_kl", "reverse_kl", "gkd", "on_policy_distillation", "mopd", "g_opd", "minillm"),
        *("context_distillation", "self_distillation"),
    )
)
"""What `std.objectives` holds."""

EPSILON, HIGH = ("epsilon",), ("epsilon_high",)
CLIP = "TRL's default is its `epsilon`."
CAP = ("vllm_importance_sampling_clip_max", "vllm_importance_sampling_cap")
WEIGHED = "More than 0 weighs tokens by how much likelier the trainer found them than the engine, up to this."
REWARD_KL = "Weight of the KL to the reference in the reward. Where it is not 0, a reference is asked for."

# fmt: off
OBJECTIVES: tuple[Name, ...] = (
    # token targets ---------------------------------------------------------------------------------------------------
    Name("anchored_sft", "kl", None, MUST, (), None, "Weight of KL(policy, reference) over the vocabulary."),
    Name("proximal_sft", "clip_low", 0.2, PTC),
    Name("proximal_sft", "clip_high", 0.2, PTC),
    # preferences -----------------------------------------------------------------------------------------------------
    Name("dpo", "beta", 0.1, TRL, ("beta",), 0.1),
    Name("dpo", "reference", None, MUST, ("ref_model",), None, "`freeze reference = tuned`; never by hub id."),
    Name("dpo_norm", "beta", 5.0, PUBLISHED, ("beta",), 0.1, 'Tülu 3. TRL: `loss_type="sigmoid_norm"`.'),
    Name("cdpo", "label_smoothing", None, MUST, ("label_smoothing",), 0.0, "TRL's 0 is plain DPO."),
    Name("cdpo", "beta", 0.1, TRL, ("beta",), 0.1),
    Name("robust", "label_smoothing", None, MUST, ("label_smoothing",), 0.0, 'TRL: `loss_type="robust"`.'),
    Name("robust", "beta", 0.1, TRL, ("beta",), 0.1),
    Name("ipo", "beta", 0.1, TRL, ("beta",), 0.1, 'The paper\'s τ. TRL: `loss_type="ipo"`.'),
    Name("hinge", "beta", 0.1, TRL, ("beta",), 0.1, 'TRL: `loss_type="hinge"`.'),
    Name("rpo", "beta", 0.1, TRL, ("beta",), 0.1),
    Name("rpo", "nll", 1.0, PUBLISHED, ("loss_weights", "rpo_alpha"), None,
         'Pang et al., 2024. TRL: `loss_type=["sigmoid", "sft"]` with weights.'),
    Name("kto", "beta", 0.1, TRL, ("beta",), 0.1),
    Name("kto", "desirable_weight", 1.0, TRL, ("desirable_weight",), 1.0),
    Name("kto", "undesirable_weight", 1.0, TRL, ("undesirable_weight",), 1.0),
    Name("orpo", "beta", 0.1, TRL, ("beta",), 0.1, "The paper's λ."),
    Name("simpo", "beta", 0.1, TRL, ("beta",), 0.1, "The paper uses 2 and more."),
    Name("simpo", "gamma", 0.5, TRL, ("simpo_gamma",), 0.5),
    Name("cpo", "beta", 0.1, TRL, ("beta",), 0.1),
    Name("cpo", "nll", 1.0, TRL, ("cpo_alpha",), 1.0),
    # reward models ---------------------------------------------------------------------------------------------------
    Name("bradley_terry", "margin", 0.0, PTC, (), None, "By which the chosen score must lead."),
    Name("bradley_terry", "center", 0.0, TRL, ("center_rewards_coefficient",), None, "TRL spells 0 as `None`."),
    # rewards ---------------------------------------------------------------------------------------------------------
    Name("reinforce", "kl", 0.0, PTC, ("beta",), None, REWARD_KL),
    Name("reinforce_pp", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("reinforce_pp", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    Name("reinforce_pp", "kl", 0.0, TRL, ("beta",), 0.0, REWARD_KL),
    Name("rloo", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("rloo", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    Name("rloo", "kl", 0.0, PTC, ("beta",), 0.05, REWARD_KL),
    Name("grpo", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("grpo", "clip_high", 0.2, TRL, HIGH, None, "TRL's default is its `epsilon`; DAPO uses 0.28."),
    Name("grpo", "kl", 0.0, TRL, ("beta",), 0.0, "Weight of the k3 estimate of KL(policy, reference)."),
    Name("grpo", "reference", None, PTC, ("ref_model",), None,
         "A frozen model of the stage. TRL loads the hub id in the model's config."),
    Name("grpo", "tis", 0.0, PTC, CAP, 3.0, WEIGHED),
    Name("grpo", "unbiased_kl", False, PTC, ("use_bias_correction_kl",), True,
         "Weighs the estimate of the KL by the ratio, as on samples of older weights it must be."),
    Name("dr_grpo", "clip_low", 0.2, TRL, EPSILON, 0.2, 'TRL: `loss_type="dr_grpo"`, `scale_rewards="none"`.'),
    Name("dr_grpo", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    Name("dr_grpo", "kl", 0.0, TRL, ("beta",), 0.0),
    Name("dr_grpo", "tis", 0.0, PTC, CAP, 3.0, WEIGHED),
    Name("dr_grpo", "max_length", 512.0, TRL, ("max_completion_length",), 512,
         "The constant that every response is divided by; write what `sample` has as `max_tokens`."),
    Name("dapo", "clip_low", 0.2, TRL, EPSILON, 0.2, 'TRL: `loss_type="dapo"`.'),
    Name("dapo", "clip_high", 0.28, PUBLISHED, HIGH, None, "Yu et al., 2025."),
    Name("dapo", "kl", 0.0, TRL, ("beta",), 0.0),
    Name("dapo", "tis", 0.0, PTC, CAP, 3.0, WEIGHED),
    Name("gspo", "clip_low", 3e-4, PUBLISHED, EPSILON, 0.2,
         'Zheng et al., 2025. TRL: `importance_sampling_level="sequence"`.'),
    Name("gspo", "clip_high", 4e-4, PUBLISHED, HIGH, None, "Zheng et al., 2025."),
    Name("gspo", "kl", 0.0, TRL, ("beta",), 0.0),
    Name("cispo", "clip_high", 5.0, PUBLISHED, HIGH, None,
         'The cap of the weight itself. TRL: `loss_type="cispo"`; ScaleRL\'s value.'),
    Name("lite_ppo", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("lite_ppo", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    Name("lite_ppo", "tis", 0.0, PTC, CAP, 3.0, WEIGHED),
    Name("ppo", "clip_low", 0.2, PUBLISHED, ("cliprange",), None, "Schulman et al., 2017. TRL 1.16 has no PPO."),
    Name("ppo", "clip_high", 0.2, PUBLISHED, ("cliprange",), None, "Schulman et al., 2017."),
    Name("ppo", "kl", 0.05, PUBLISHED, ("kl_coef",), None, "Tülu 3, 8B. In the reward, token by token."),
    Name("ppo", "value_weight", 0.1, PTC, ("vf_coef",), None, "As in the PPO that TRL used to have."),
    Name("ppo", "discount", 1.0, PTC, ("gamma",), None),
    Name("ppo", "trace", 0.95, PTC, ("lam",), None, "The λ of generalised advantage estimation."),
    Name("process_sum", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("process_sum", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    Name("process_sum", "discount", 1.0, PTC, (), None, "From step to step."),
    Name("process_min", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("process_min", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    # rewards and demonstrations --------------------------------------------------------------------------------------
    Name("luffy", "clip_low", 0.2, TRL, EPSILON, 0.2),
    Name("luffy", "clip_high", 0.2, TRL, HIGH, None, CLIP),
    Name("luffy", "shaping", 0.1, PUBLISHED, (), None, "The paper's γ."),
    # teachers --------------------------------------------------------------------------------------------------------
    Name("forward_kl", "temperature", 1.0, PTC, (), None, "Of both distributions."),
    Name("reverse_kl", "teacher", None, MUST, ("teacher_model", "teacher_model_name_or_path"), None,
         "`freeze teacher = …`. The objective is TRL's distillation with `beta = 1` (reverse KL)."),
    Name("gkd", "beta", 0.5, TRL, ("beta",), 0.5, "0 is the forward, 1 the reverse divergence."),
    Name("gkd", "temperature", 0.9, TRL, ("temperature",), 0.9),
    Name("on_policy_distillation", "kl_coef", 1.0, PUBLISHED, (), None, "Lu and Thinking Machines Lab, 2025."),
    Name("mopd", "kl_coef", 1.0, PTC),
    Name("g_opd", "scale", 1.25, PUBLISHED, (), None, "The paper's λ."),
)
# fmt: on
