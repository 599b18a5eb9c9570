"""The table of names against the TRL that is installed."""

from __future__ import annotations

import ast as ast_of_python
import dataclasses
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ptc.compiler import names
from ptc.compiler.objective_names import LIBRARY
from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.lang.source import Source

CONFIGS = {
    "stage": "SFTConfig",
    "adamw": "SFTConfig",
    "sample": "GRPOConfig",
    "lora": "ModelConfig",
    **dict.fromkeys(("dpo", "dpo_norm", "cdpo", "robust", "ipo", "hinge", "rpo", "wpo", "ld_dpo"), "DPOConfig"),
    **dict.fromkeys(("exo", "nca", "bco", "sppo", "apo_zero", "apo_down", "discopop"), "DPOConfig"),
    **dict.fromkeys(("dpo_forward_kl", "dpo_js", "dpo_alpha"), "DPOConfig"),
    **dict.fromkeys(("kto", "kto_mismatched", "apo_zero_unpaired"), "KTOConfig"),
    "orpo": "experimental.orpo.ORPOConfig",
    **dict.fromkeys(("simpo", "alphapo", "cpo", "slic", "free_ipo"), "experimental.cpo.CPOConfig"),
    "bradley_terry": "RewardConfig",
    **dict.fromkeys(("grpo", "dr_grpo", "dapo", "gspo", "cispo", "lite_ppo", "reinforce_pp"), "GRPOConfig"),
    **dict.fromkeys(("sapo", "luspo", "vespo", "two_sided_grpo", "deepseek_grpo", "off_policy_grpo"), "GRPOConfig"),
    **dict.fromkeys(("process_sum", "process_min", "luffy"), "GRPOConfig"),
    "rloo": "RLOOConfig",
    "reverse_kl": "DistillationConfig",
    "gkd": "experimental.gkd.GKDConfig",
}
OBJECTIVES = Path(__file__).parent.parent / "stdlib" / "objectives"
NOT_IN_CONFIGS = {
    "train_batch_size",
    "max_seq_length",
    "max_new_tokens",
    "warmup_ratio",
    "ref_model",
    "teacher_model",
    "num_iterations",
    "generation_batch_size",
    "rpo_alpha",
    "disable_dropout",
    "precompute_ref_log_probs",
}
"""Arguments of trainers rather than of configs, names of GRPO or DPO alone, and older spellings in use."""


def test_a_name_stands_once_in_its_place() -> None:
    keys = [(row.where, row.ours) for row in names.NAMES]
    assert len(keys) == len(set(keys))


def test_hints() -> None:
    assert names.hint("epsilon_high", "grpo") == "TRL's `epsilon_high` is `clip_high` here"
    assert names.hint("beta", "grpo") == "TRL's `beta` is `kl` here"
    assert names.hint("num_generations", "sample") == "TRL's `num_generations` is `n` here"
    assert names.hint("max_grad_norm", "stage") == "TRL's `max_grad_norm` is `clip_norm` here, in `adamw(…)`"
    assert names.hint("completion", "column") == "TRL's `completion` is `response` here"
    assert names.hint("lr", "adamw") is None
    assert names.hint("max_response_length", "sample") == "verl's `max_response_length` is `max_tokens` here"
    assert names.hint("num_return_sequences", "sample") == "transformers' `num_return_sequences` is `n` here"


def test_names_of_other_libraries_are_those_of_a_row() -> None:
    for each in names.ELSEWHERE:
        assert names.lookup(each.where, each.ours) is not None
        assert names.lookup(each.where, each.word) is None


def test_a_required_name_has_no_default() -> None:
    assert "lr" not in names.defaults("adamw")
    assert names.defaults("adamw")["betas"] == (0.9, 0.999)
    assert names.spelled((0.9, 0.999)) == "[0.9, 0.999]"


def test_the_library_is_what_its_folder_holds() -> None:
    assert {path.stem for path in OBJECTIVES.glob("*.pt")} == LIBRARY


@pytest.mark.parametrize("path", sorted(OBJECTIVES.glob("*.pt")), ids=lambda path: path.stem)
def test_the_numbers_of_an_objective_are_in_the_table(path: Path) -> None:
    tree, found = parse(Source(path.name, path.read_text(encoding="utf-8")))
    assert not found
    [objective] = [node for node in tree.statements if isinstance(node, ast.Objective)]
    assert objective.name.id == path.stem
    written = {
        parameter.name.id: _default(parameter.default)
        for parameter in objective.parameters
        if parameter.type.name in ("Real", "Int", "Bool")
    }
    rows = {row.ours: row for row in names.rows(path.stem) if row.ours in written}
    assert {name: row.default for name, row in rows.items()} == written
    assert all(row.required == (written[name] is None) for name, row in rows.items())


def _default(expr: ast.Expr | None) -> float | bool | None:
    match expr:
        case ast.Number(value=value):
            return value
        case ast.Name(id="true" | "false"):
            return expr.id == "true"
        case _:
            return None


@cache
def trl_defaults(config: str) -> dict[str, Any]:
    trl = pytest.importorskip("trl")
    module, _, name = config.rpartition(".")
    fields = dataclasses.fields(getattr(importlib.import_module(f"trl.{module}" if module else trl.__name__), name))
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in names.NAMES if r.where in CONFIGS], ids=lambda r: f"{r.where}.{r.ours}")
def test_against_trl(row: names.Name) -> None:
    defaults = trl_defaults(CONFIGS[row.where])
    for spelling in row.trl:
        assert spelling in defaults or spelling in NOT_IN_CONFIGS, spelling
    if row.trl and row.trl[0] in defaults and row.theirs is not None:
        assert defaults[row.trl[0]] == row.theirs
    if row.origin == names.TRL and row.theirs is not None and not isinstance(row.default, tuple):
        assert row.default == row.theirs


LOGGED = (
    *(f"trainer/{name}_trainer.py" for name in ("sft", "dpo", "grpo", "rloo", "kto", "reward", "distillation")),
    *(f"experimental/{name}/{name}_trainer.py" for name in ("cpo", "orpo", "gkd", "online_dpo")),
)
"""Trainers whose metrics are named, in TRL's folder; and the trainer of transformers, which all of them are."""
KEPT = {"_metrics", "metrics", "stats", "logs"}
"""Where they keep what they log."""
SPELLED = {"{reward_func_name}": "<verifier>", "{prefix}": ""}
NO_METRICS = {"", "train", "objective"}
"""Modes, and the goal of a search for hyper-parameters."""
OF_EVALS = ("eval_", "{metric_key_prefix}")


def logged(path: Path) -> set[str]:
    """The names under which a trainer keeps metrics, read off its source."""
    found = set()
    for node in ast_of_python.walk(ast_of_python.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast_of_python.Subscript) and kept_in(node.value) in KEPT:
            name = spelled(node.slice)
            for theirs, ours in SPELLED.items():
                name = name.replace(theirs, ours)
            if not name.startswith(OF_EVALS):
                found.add(name)
    return found - NO_METRICS


def kept_in(node: ast_of_python.expr) -> str:
    while isinstance(node, ast_of_python.Subscript):
        node = node.value
    if isinstance(node, ast_of_python.Attribute):
        return node.attr
    return node.id if isinstance(node, ast_of_python.Name) else ""


def spelled(node: ast_of_python.expr) -> str:
    match node:
        case ast_of_python.Constant(value=str(text)):
            return text
        case ast_of_python.JoinedStr(values=parts):
            return "".join(map(spelled, parts))
        case ast_of_python.FormattedValue(value=value):
            return f"{{{ast_of_python.unparse(value)}}}"
        case _:
            return ""


@pytest.mark.slow
def test_what_trl_logs_has_a_name_here_or_a_reason() -> None:
    trl = pytest.importorskip("trl")
    import transformers

    folder = Path(trl.__file__).parent
    theirs = logged(Path(transformers.__file__).parent / "trainer.py").union(
        *(logged(folder / path) for path in LOGGED)
    )
    named = {metric.name for metric in names.METRICS if metric.trl}
    left_out = {name for each in names.LEFT_OUT for name in each.names}
    assert {"completions/mean_length", "rewards/<verifier>/mean", "loss", "log_odds_ratio"} <= theirs
    assert not named & left_out
    assert theirs == named | left_out
