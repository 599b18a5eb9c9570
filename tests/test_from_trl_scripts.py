"""The scripts of `docs/from-trl.md` beside their programs, trained on the same rows: the weights agree.

What the hub holds is replaced by small folders and files, in script and program alike, and so are the learning rate and
the counts that would take days. Where responses are drawn, TRL is given those that `ptc run` drew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import trl_runs as runs
from torch.nn.utils.rnn import pad_sequence

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "docs" / "from_trl"
CLOSE, MOVED = 1e-4, 1e-3
RATE = 1e-3


def program(name: str, *changes: tuple[str, str]) -> str:
    """The program of a page, with its models and rows from the folder beside it."""
    text = (SCRIPTS / f"{name}.pt").read_text(encoding="utf-8")
    return changed(text, *changes)


def changed(text: str, *changes: tuple[str, str]) -> str:
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    return text


def script(name: str, folder: Path, rows: Any, config: str, settings: Mapping[str, Any], **more: Any) -> Any:
    """Runs a script of the page, on these rows and with a config of these settings besides; its trainer."""
    import trl
    import trl.experimental.gkd

    module = trl.experimental.gkd if config == "GKDConfig" else trl
    kind, trainer = getattr(module, config), getattr(module, config.replace("Config", "Trainer"))
    text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    for model, path in MODELS.items():
        text = text.replace(f'"{model}"', f'"{folder / path}"')
    scope: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_dataset", lambda *_, **__: rows)
        patch.setattr(module, config, lambda **written: kind(**{**written, **settings}))
        patch.setattr(module, trainer.__name__, lambda **written: trainer(**{**written, **more}))
        exec(compile(text, f"{name}.py", "exec"), scope)  # noqa: S102 (a page of ours)
    scope["trainer"].save_model(str(folder / "theirs"))
    return scope["trainer"]


LOCAL_ROWS = ('hf.dataset("trl-lib/Capybara", split = "train")', 'jsonl("rows.jsonl")')
LOCAL_PAIRS = ('hf.dataset("trl-lib/ultrafeedback_binarized", split = "train")', 'jsonl("rows.jsonl")')
LOCAL_PROBLEMS = ('hf.dataset("trl-lib/DeepMath-103K", split = "train")', 'jsonl("problems.jsonl")')
LOCAL_MODEL = ('hf.model("Qwen/Qwen3-0.6B")', 'local.model("model")')
LOCAL_STUDENT = ('hf.model("Qwen/Qwen2-0.5B-Instruct")', 'local.model("model")')
LOCAL_TEACHER = ('hf.model("Qwen/Qwen2-1.5B-Instruct")', 'local.model("teacher")')
MODELS = {"Qwen/Qwen3-0.6B": "model", "Qwen/Qwen2-0.5B-Instruct": "model", "Qwen/Qwen2-1.5B-Instruct": "teacher"}


def overrides(folder: Path, **settings: Any) -> dict[str, Any]:
    """What lets TRL train on this machine and in this order; the schedule is the script's."""
    given = runs.arguments(folder, learning_rate=RATE, train_sampling_strategy="sequential", **settings)
    del given["lr_scheduler_type"]
    return given


def assert_alike(folder: Path, ours: str) -> None:
    mine, other, before = (runs.weights(folder / name) for name in (ours, "theirs", "model"))
    assert runs.apart(mine, other) < CLOSE
    assert runs.apart(mine, before) > MOVED


def conversations(count: int) -> list[runs.Row]:
    """Two turns of each side."""
    return [
        {
            "messages": [
                runs.said("user", f"{n} {runs.sentence(n)}?"),
                runs.said("assistant", runs.sentence(100 + n)),
                runs.said("user", runs.sentence(200 + n)),
                runs.said("assistant", runs.sentence(300 + n, 1, 9)),
            ]
        }
        for n in range(count)
    ]


def with_prompts_inside(rows: list[runs.Row]) -> list[runs.Row]:
    """Preferences as UltraFeedback has them: each side is the whole conversation."""
    return [{side: row["prompt"] + row[side] for side in ("chosen", "rejected")} for row in rows]


def test_sft(tmp_path: Path) -> None:
    rows = conversations(40)
    runs.write(tmp_path / "rows.jsonl", rows)
    runs.tiny(tmp_path / "model", 1)
    drawn = runs.ours(tmp_path, program("sft", LOCAL_ROWS, LOCAL_MODEL, ("lr = 2e-5", f"lr = {RATE}")))
    script("sft", tmp_path, runs.in_order(rows, drawn), "SFTConfig", overrides(tmp_path))
    assert_alike(tmp_path, "sft")


def test_dpo(tmp_path: Path) -> None:
    rows = with_prompts_inside(runs.preferences(40))
    runs.write(tmp_path / "rows.jsonl", rows)
    runs.tiny(tmp_path / "model", 1)
    drawn = runs.ours(tmp_path, program("dpo", LOCAL_PAIRS, LOCAL_MODEL, ("lr = 1e-6", f"lr = {RATE}")))
    script("dpo", tmp_path, runs.in_order(rows, drawn), "DPOConfig", overrides(tmp_path))
    assert_alike(tmp_path, "dpo")


def speaking(folder: Path, rows: list[runs.Row]) -> None:
    """The folder's model has learned from these rows, so that it ends its answers, and some of them are right."""
    runs.write(folder / "lesson.jsonl", rows)
    runs.tiny(folder / "untaught", 1)
    runs.ours(folder, LESSON)


LESSON = """edition 2026
from std.objectives import sft
source rows = jsonl("lesson.jsonl")
stage taught {
  train policy = local.model("untaught")
  minimize sft(rows, policy)
  optimizer = adamw(lr = 1e-2)
  batch = 16 samples
  budget = 80 steps
}
export taught to "model"
"""


def test_grpo(tmp_path: Path) -> None:
    """TRL is given the responses that `ptc run` drew; it asks its own `accuracy_reward` what they are worth."""
    sums = [(a, b) for a in range(1, 5) for b in range(1, 5)]
    prompts = [[runs.said("user", f"{a} + {b}?")] for a, b in sums]
    answers = [[runs.said("assistant", f"\\boxed{{{value}}}")] for a, b in sums for value in (a + b, 2)]
    speaking(tmp_path, [{"prompt": prompts[n // 2], "completion": answer} for n, answer in enumerate(answers)])
    rows = [{"prompt": prompt, "solution": f"${a + b}$"} for prompt, (a, b) in zip(prompts, sums, strict=True)]
    runs.write(tmp_path / "problems.jsonl", rows)
    steps = 6
    drawn = runs.ours(
        tmp_path,
        program(
            "grpo",
            *(LOCAL_PROBLEMS, LOCAL_STUDENT, ("lr = 1e-6", f"lr = {RATE}")),
            *((" 500 steps", f" {steps} steps"), ("max_tokens = 512", "max_tokens = 16")),
        ),
    )
    draws = iter([[sample for group in draw["s0"].groups for sample in group] for draw in drawn.draws])
    rewards = [sample.numbers["reward"] for draw in drawn.draws for group in draw["s0"].groups for sample in group]
    assert 0.1 < sum(rewards) / len(rewards) < 0.9
    words = runs.tokenizer()

    def rollout(asked: list[Any], _: Any) -> dict[str, Any]:
        samples = next(draws)
        ids = [list(sample.sequences["response"][0]) for sample in samples]
        assert ids == [words.apply_chat_template(p, add_generation_prompt=True, return_dict=False) for p in asked]
        return {
            "prompt_ids": ids,
            "completion_ids": [list(sample.sequences["response"][1]) for sample in samples],
            "logprobs": [list(sample.token_numbers["logprobs"]) for sample in samples],
        }

    settings = overrides(tmp_path, max_steps=steps, shuffle_dataset=False)
    trainer = script("grpo", tmp_path, runs.in_order(rows, drawn), "GRPOConfig", settings, rollout_func=rollout)
    theirs = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    per_step = len(rewards) // steps
    assert theirs == pytest.approx(
        [sum(rewards[n : n + per_step]) / per_step for n in range(0, len(rewards), per_step)]
    )
    assert_alike(tmp_path, "grpo")


HALVES = "0.5 * gkd(rows, student, teacher) + 0.5 * gkd(attempts, student, teacher)"


def test_gkd_on_given_responses(tmp_path: Path) -> None:
    """TRL throws a coin for each batch, whether it learns from the rows or from its own responses: here always rows."""
    rows = conversations(40)
    runs.write(tmp_path / "rows.jsonl", rows)
    runs.tiny(tmp_path / "model", 1)
    runs.tiny(tmp_path / "teacher", 2)
    local = (LOCAL_ROWS, LOCAL_STUDENT, LOCAL_TEACHER, ("lr = 2e-5", f"lr = {RATE}"))
    drawn = runs.ours(tmp_path, program("gkd", *local, (HALVES, "gkd(rows, student, teacher)")))
    script("gkd", tmp_path, runs.in_order(rows, drawn), "GKDConfig", overrides(tmp_path, lmbda=0.0))
    assert_alike(tmp_path, "gkd")


def test_gkd_on_its_own_responses(tmp_path: Path) -> None:
    """The other side of the coin: TRL is given the responses that `ptc run` drew."""
    from trl.experimental.gkd import GKDTrainer

    speaking(tmp_path, runs.demonstrations(64))
    runs.tiny(tmp_path / "teacher", 2)
    rows = [{"messages": row["prompt"] + row["completion"]} for row in runs.demonstrations(40)]
    runs.write(tmp_path / "rows.jsonl", rows)
    local = (LOCAL_ROWS, LOCAL_STUDENT, LOCAL_TEACHER, ("lr = 2e-5", f"lr = {RATE}"))
    drawn = runs.ours(
        tmp_path,
        program("gkd", *local, (HALVES, "gkd(attempts, student, teacher)"), ("max_tokens = 128", "max_tokens = 16")),
    )
    draws = iter([[sample for group in draw["s0"].groups for sample in group] for draw in drawn.draws])

    def generated(_: Any, inputs: Mapping[str, Any], __: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pairs = [tuple(list(ids) for ids in sample.sequences["response"]) for sample in next(draws)]
        for (prompt, _response), theirs, mask in zip(
            pairs, inputs["prompts"], inputs["prompt_attention_mask"], strict=True
        ):
            assert theirs[mask.bool()].tolist() == prompt
        ids = [torch.tensor(prompt + response) for prompt, response in pairs]
        labels = [torch.tensor([-100] * len(prompt) + response) for prompt, response in pairs]
        padded = pad_sequence(ids, batch_first=True)
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        return padded, mask, pad_sequence(labels, batch_first=True, padding_value=-100)

    loss = GKDTrainer.compute_loss

    def of_what_was_drawn(trainer: Any, model: Any, inputs: Any, *_: Any, **__: Any) -> torch.Tensor:
        """TRL would divide by the tokens of the rows that it does not learn from (`trl.toml`, wrong)."""
        mean: torch.Tensor = loss(trainer, model, inputs)
        return mean

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GKDTrainer, "generate_on_policy_outputs", staticmethod(generated))
        patch.setattr(GKDTrainer, "compute_loss", of_what_was_drawn)
        script("gkd", tmp_path, runs.in_order(rows, drawn), "GKDConfig", overrides(tmp_path, lmbda=1.0))
    assert_alike(tmp_path, "gkd")


def test_reward(tmp_path: Path) -> None:
    """The head is new: TRL begins with the one that the program made."""
    rows = with_prompts_inside(runs.preferences(40))
    runs.write(tmp_path / "rows.jsonl", rows)
    runs.tiny(tmp_path / "base", 1)
    with_head = (
        'stage judged {\n  train judge = reward_head(hf.model("Qwen/Qwen3-0.6B"))',
        'model start = reward_head(local.model("base"))\nexport start to "model"\n'
        "stage judged {\n  train judge = start",
    )
    drawn = runs.ours(tmp_path, program("reward", LOCAL_PAIRS, with_head, ("lr = 1e-4", f"lr = {RATE}")))
    script("reward", tmp_path, runs.in_order(rows, drawn), "RewardConfig", overrides(tmp_path))
    assert_alike(tmp_path, "reward")
