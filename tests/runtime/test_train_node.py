"""The node kind `train` on artifact folders: real tokenizer, rows and engine, and a checkpoint that stands alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from small_chat import save, small_model
from training_cases import ADAMW, Stage, settings
from transformers import AutoModelForCausalLM, AutoTokenizer

from ptc import cli
from ptc.compiler.graph import Json, Node, Watch
from ptc.runtime.artifacts import Artifact, InputWrong, Interrupted, InvariantBroken
from ptc.runtime.choosing import counting
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.nodes.train import train
from ptc.runtime.profile import Profile
from ptc.runtime.row_steps import prompt_id
from ptc.runtime.tables import ROWS_FILE, read_table, with_columns, write_rows

PROFILE = Profile(device="cpu", devices=1, threads=1)


def artifact(path: Path) -> Artifact:
    return Artifact(path.name, path, {})


@dataclass
class World:
    """A small model, and sums of digits as prompts with answers."""

    folder: Path

    def __post_init__(self) -> None:
        save(small_model(), self.folder / "model")
        pairs = [(f"{left}+{right}", str(left + right)) for left in range(10) for right in range(4)]
        prompts = [prompt for prompt, _ in pairs]
        table = pa.table(
            {
                "prompt": prompts,
                "prompt_id": [prompt_id(prompt) for prompt in prompts],
                "answer": [answer for _, answer in pairs],
                "response": [answer for _, answer in pairs],
                "chosen": [answer for _, answer in pairs],
                "rejected": ["no" for _ in pairs],
            }
        )
        (self.folder / "rows").mkdir()
        write_rows(table, self.folder / "rows")

    def train(
        self,
        document: dict[str, Json],
        name: str,
        stage: Stage | None = None,
        profile: Profile = PROFILE,
        watches: tuple[Watch, ...] = (),
    ) -> Stage:
        stage = stage or Stage.at(self.folder / f"{name}-partial")
        stage.profile = profile
        inputs = {model: artifact(self.folder / "model") for model in document["models"]}
        inputs |= {source: artifact(self.folder / "rows") for source in document["flows"]}
        out = self.folder / name
        out.mkdir()
        node = Node("train", 1, document, {}, watches=watches)
        watched = {watch.prompts: artifact(self.folder / "rows") for watch in watches}
        train(node, inputs, out, replace(stage.context(node), watched=watched))
        return stage

    def cut(self, document: dict[str, Json]) -> Stage:
        """Interrupted behind its second step, and resumed."""
        stage = Stage.at(self.folder / "cut-partial", interrupt_after=2)
        with pytest.raises(Interrupted):
            self.train(document, "cut", stage)
        stage.interrupt_after = None
        (self.folder / "cut").rmdir()
        return self.train(document, "cut", stage)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def live(loss: dict[str, Any], *steps: dict[str, Any], budget: int = 3) -> dict[str, Any]:
    document = settings(loss, count=4, budget=budget)
    sample = {
        "op": "sample",
        "model": "m0",
        "n": 4,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "max_tokens": 6,
        "max_lag": 0,
    }
    document["flows"] = {"s0": [sample, *steps]}
    document["batch"] = {"s0": {"count": 4, "unit": "prompts"}}
    return document


REWARD = expressions.apply(
    "mul", expressions.column("reward", expressions.SAMPLES), expressions.reduce("sum", expressions.logp("m0"), "token")
)
IMITATE = expressions.apply("neg", expressions.per_sample(expressions.logp("m0")))
EXACT = {"op": "score", "verifier": {"name": "exact", "options": {}}}


def test_sft_learns_and_leaves_a_checkpoint_that_plain_transformers_loads(world: World) -> None:
    document = settings(expressions.sft(), count=16, budget=20, unit="epochs", models=["m0"])
    document["optimizer"] = {"m0": {**ADAMW, "lr": 3e-3, "weight_decay": 0.0}}
    stage = world.train(document, "out")
    assert stage.metric("loss")[-1] < 0.5 * stage.metric("loss")[0]
    entry, out = world.folder / "model", world.folder / "out"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (entry / name).read_bytes()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.generation_config.eos_token_id == 3
    chat = [{"role": "user", "content": "3+2"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    completion = model.generate(**ids, do_sample=False, max_new_tokens=4)[0, ids["input_ids"].shape[1] :]
    assert completion[-1] == 3
    assert str(world.folder) not in (out / "config.json").read_text()


@pytest.mark.parametrize("objective", ["grpo", "reverse_kl"])
def test_a_live_stage_resumes_bit_for_bit(world: World, objective: str) -> None:
    document = live(getattr(expressions, objective)(), *([EXACT] if objective == "grpo" else []))
    whole = world.train(document, "whole")
    assert set(whole.rows[-1]) >= {"completions/mean_length", "completions/clipped_ratio", "num_tokens"}
    stage = world.cut(document)
    assert weights(world, "cut").keys() == weights(world, "whole").keys()
    assert all(torch.equal(tensor, weights(world, "whole")[name]) for name, tensor in weights(world, "cut").items())
    assert stage.metric("loss") == whole.metric("loss")


MADE_UP = {"op": "score", "verifier": {"name": "made_up", "options": {}}}
ENDS = [{"op": op, "over": ["group"], "args": [{"op": "column", "name": "reward"}]} for op in ("max", "min")]
PAIRS = {"op": "best_and_worst"}
REPLAYED = [MADE_UP, {"op": "replay", "window": 2, "share": 0.5}]
REFILLED = [MADE_UP, {"op": "keep", "where": {"op": "gt", "args": ENDS}}, {"op": "refill", "max": 3}]


@pytest.mark.parametrize(("loss", "steps"), [("grpo", REPLAYED), ("grpo", REFILLED), ("dpo", [MADE_UP, PAIRS])])
def test_what_is_drawn_again_or_paired_resumes_bit_for_bit(
    world: World, loss: str, steps: list[dict[str, Any]]
) -> None:
    document = live(getattr(expressions, loss)(), *steps, budget=4)
    whole = world.train(document, "whole")
    stage = world.cut(document)
    assert all(torch.equal(tensor, weights(world, "whole")[name]) for name, tensor in weights(world, "cut").items())
    assert stage.metric("loss") == whole.metric("loss") and any(stage.metric("grad_norm"))


def test_a_model_of_the_stage_judges_as_it_is_then(world: World) -> None:
    options = {"rubric": "", "min": 0, "max": 1}
    judged = {"kind": "judge", "weight": 1.0, "verifier": {"name": "judge", "options": options}}
    step = {"op": "score", "scorers": [judged, {"kind": "verifier", "weight": 1.0, "verifier": MADE_UP["verifier"]}]}
    stage = world.train(live(expressions.grpo(), {**step, "judge0": "m0"}, budget=1), "out")
    assert stage.metric("rewards/unjudged") == [16.0]  # it is asked, and says nothing that is a grade


def weights(world: World, name: str) -> dict[str, torch.Tensor]:
    return load_file(world.folder / name / "model.safetensors")


def test_an_engine_of_its_own_gives_what_a_shared_one_gives(world: World) -> None:
    document = live(expressions.grpo(), EXACT)
    world.train(document, "shared")
    world.train(document, "copy", profile=PROFILE.model_copy(update={"engine_copy": True}))
    assert all(torch.equal(tensor, weights(world, "copy")[name]) for name, tensor in weights(world, "shared").items())


def test_the_engine_s_log_probabilities_make_the_first_ratio_one(world: World) -> None:
    stage = world.train(live(expressions.grpo(), EXACT, budget=1), "out")
    assert stage.metric("loss")[0] == pytest.approx(0.0, abs=1e-5)


def test_a_filter_that_keeps_no_attempt_trains_on_nothing(world: World) -> None:
    never = {"op": "gt", "args": [{"op": "column", "name": "reward"}, {"op": "constant", "value": 2}]}
    world.train(live(expressions.grpo(), EXACT, {"op": "keep", "where": never}, budget=1), "out")
    before = load_file(world.folder / "model" / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(world, "out").items())


ALWAYS, NEVER = ({"op": name, "args": [{"op": "constant", "value": 1}] * 2} for name in ("eq", "ne"))


def test_rows_that_only_leaves_out_teach_nothing_and_count(world: World) -> None:
    rows = read_table(world.folder / "rows" / ROWS_FILE)
    document = settings(IMITATE, count=40, budget=1, models=["m0"])
    half = {"marked": rows.num_rows // 2, "all": rows.num_rows}
    losses = {}
    for name, count in half.items():
        marked = counting(rows, [row < count for row in range(rows.num_rows)])
        write_rows(marked, world.folder / "rows")
        losses[name] = world.train(document, name).metric("loss")[0]
    write_rows(rows.slice(0, half["marked"]), world.folder / "rows")
    losses["taught"] = world.train({**document, "batch": {"s0": {"count": 20, "unit": "samples"}}}, "t").metric("loss")[
        0
    ]
    assert losses["marked"] == pytest.approx(losses["taught"] / 2, rel=1e-4)
    assert losses["all"] > losses["marked"]


def test_attempts_that_only_leaves_out_teach_nothing(world: World) -> None:
    world.train(live(expressions.grpo(), EXACT, {"op": "only", "where": NEVER}, budget=1), "out")
    before = load_file(world.folder / "model" / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(world, "out").items())
    whole, marked = live(expressions.grpo(), EXACT), live(expressions.grpo(), EXACT, {"op": "only", "where": ALWAYS})
    world.train(whole, "whole")
    world.train(marked, "marked")
    assert all(torch.equal(tensor, weights(world, "whole")[name]) for name, tensor in weights(world, "marked").items())


def test_truncated_attempts_are_left_out_of_the_loss(world: World) -> None:
    document = live(IMITATE, budget=1)
    document["flows"]["s0"][0] |= {"max_tokens": 1, "mask_truncated": True}
    stage = world.train(document, "out")
    finished = 1 - stage.metric("completions/clipped_ratio")[0]
    assert finished < 0.5
    document["flows"]["s0"][0]["mask_truncated"] = False
    assert stage.metric("loss")[0] <= finished * world.train(document, "all").metric("loss")[0] * 1.5


def test_the_best_attempts_alone_are_learned_from(world: World) -> None:
    """Of groups of equal rewards the best one is the first: as if one attempt had been made."""
    one, best = live(IMITATE, budget=1), live(IMITATE, EXACT, {"op": "best", "k": 1}, budget=1)
    one["flows"]["s0"][0]["n"] = 1
    stages = [world.train(document, name) for document, name in ((one, "one"), (best, "best"))]
    assert stages[1].metric("reward")[0] == 0.0
    assert stages[0].metric("loss") == stages[1].metric("loss")


def test_a_sum_of_verifiers_is_one_reward_and_measured_apart(world: World) -> None:
    tags = {"name": "format_tags", "options": {"tags": ["think"]}}
    length = {"name": "overlong", "options": {"limit": 4, "buffer": 4}}
    summands = [(1.0, EXACT["verifier"]), (0.5, tags), (1.0, length)]
    scorers = [{"kind": "verifier", "weight": weight, "verifier": verifier} for weight, verifier in summands]
    stage = world.train(live(expressions.grpo(), {"op": "score", "scorers": scorers}, budget=2), "out")
    means = [stage.metric(f"rewards/{verifier['name']}/mean") for _, verifier in summands]
    assert all(value <= 0 for value in means[2]) and any(value < 0 for value in means[2])
    for reward, exact, tagged, long in zip(stage.metric("reward"), *means, strict=True):
        assert reward == pytest.approx(exact + 0.5 * tagged + long)


def test_dpo_starts_at_ln_2(world: World) -> None:
    stage = world.train(settings(expressions.dpo(), budget=1), "out")
    assert stage.metric("loss")[0] == pytest.approx(0.693147, abs=1e-5)


def test_a_row_longer_than_max_length_is_named(world: World) -> None:
    document = settings(expressions.sft(), models=["m0"]) | {"max_length": 6}
    with pytest.raises(InputWrong, match=r"row 1 has 7 tokens, more than max_length = 6.*'0\+0'"):
        world.train(document, "out")


def test_rows_without_the_column_that_the_loss_reads_are_refused(world: World) -> None:
    with pytest.raises(InputWrong, match=r"no column `\.reward`"):
        world.train(settings(expressions.reduce("mean", REWARD, *expressions.SAMPLES)), "out")


@pytest.mark.parametrize("engine_copy", [False, True])
def test_a_watch_measures_and_changes_nothing(world: World, engine_copy: bool) -> None:
    profile = PROFILE.model_copy(update={"engine_copy": engine_copy})
    measured = {"n": 1, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 6, "seed": 5}
    watch = Watch(
        "skill", 2, "prompts", {"kind": "pass_rate", **measured, "verifier": {"name": "exact", "options": {}}}
    )
    document = settings(expressions.sft(), count=16, budget=40, models=["m0"])
    document["optimizer"] = {"m0": {**ADAMW, "lr": 3e-3, "weight_decay": 0.0}}
    stage = world.train(document, "watched", profile=profile, watches=(watch,))
    rates = stage.metric("eval/skill/pass@1")
    assert len(rates) == 20
    assert rates[-1] > rates[0]
    world.train(document, "alone", profile=profile)
    assert all(torch.equal(tensor, weights(world, "alone")[name]) for name, tensor in weights(world, "watched").items())


@pytest.mark.parametrize("rate", [3e-4, 1e-6])
def test_a_forgotten_hand_over_stops_the_stage(world: World, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_the_number(engine: TransformersEngine, values: object, version: int) -> None:
        engine._version = version

    document = live(expressions.grpo(), EXACT)
    document["optimizer"] = {"m0": {**ADAMW, "lr": rate, "warmup": 0.0}}
    monkeypatch.setattr(TransformersEngine, "load_weights", only_the_number)
    with pytest.raises(InvariantBroken, match="at policy version 1 the engine does not hold the trainer's"):
        world.train(document, "out", profile=PROFILE.model_copy(update={"engine_copy": True}))


PROGRAM = """edition 2026
from std.objectives import grpo
from std.verifiers import exact
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
model base = new.model("qwen3", hidden = 32, layers = 1, context = 64, tokenizer = characters(tasks))
stage reasoner {
  train policy = base
  source rollouts = tasks |> sample(policy, n = 8, max_tokens = 2) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = RATE)
  batch = 32 prompts
  budget = 10 steps
}
"""


@pytest.mark.parametrize("rate", ["3e-4", "1e-6"])
def test_a_run_with_a_forgotten_hand_over_exits_with_4(
    rate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def only_the_number(engine: TransformersEngine, values: object, version: int) -> None:
        engine._version = version

    monkeypatch.chdir(tmp_path)
    # Any letter is right for some prompt, so that some groups inform the first step.
    rows = [{"prompt": f"{letter}{digit}", "answer": letter} for letter in "abcd" for digit in range(8)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "program.pt").write_text(PROGRAM.replace("RATE", rate))
    (tmp_path / "copy.toml").write_text("engine_copy = true\nthreads = 1\n")
    monkeypatch.setattr(TransformersEngine, "load_weights", only_the_number)
    code = cli.main(["run", "program.pt", "--profile", "copy.toml"])
    assert code == 4
    assert "the engine does not hold the trainer's" in capsys.readouterr().err


def test_a_tracked_model_samples_and_is_left_in_a_folder_of_its_own(world: World) -> None:
    document = live(expressions.grpo(), EXACT)
    document["models"] = {"m0": {"as": "train"}, "m1": {"as": "track", "by": "ema", "follows": "m0", "decay": 0.5}}
    document["flows"]["s0"][0]["model"] = "m1"
    whole = world.train(document, "whole")
    tracked = load_file(world.folder / "whole" / "m1" / "model.safetensors")
    entry = load_file(world.folder / "model" / "model.safetensors")
    for name, tensor in weights(world, "whole").items():
        assert torch.equal(tensor, entry[name]) or not torch.equal(tracked[name], tensor)
    AutoModelForCausalLM.from_pretrained(world.folder / "whole" / "m1")
    AutoTokenizer.from_pretrained(world.folder / "whole" / "m1")
    stage = world.cut(document)
    again = load_file(world.folder / "cut" / "m1" / "model.safetensors")
    assert all(torch.equal(tensor, again[name]) for name, tensor in tracked.items())
    assert stage.metric("loss") == whole.metric("loss")


def test_groups_without_spread_are_dropped_where_the_stage_says_so(world: World) -> None:
    """The model knows no sum, so that no group has spread and nothing is left to imitate."""
    document = live(IMITATE, EXACT, budget=1)
    kept = world.train(document, "kept")
    dropped = world.train({**document, "on_zero_std": "drop"}, "dropped")
    assert kept.metric("frac_reward_zero_std") == dropped.metric("frac_reward_zero_std") == [1.0]
    assert kept.metric("loss")[0] > 0 and dropped.metric("loss")[0] == 0.0
    rows = read_table(world.folder / "rows" / ROWS_FILE).slice(0, 6)
    attempts = {"group": [0, 0, 1, 1, 2, 2], "reward": [1.0, 0.0, 1.0, 1.0, 0.0, 0.5]}
    write_rows(with_columns(rows, attempts), world.folder / "rows")
    fixed = settings(IMITATE, count=3, budget=1, models=["m0"])
    fixed["batch"]["s0"]["unit"] = "prompts"
    some = world.train({**fixed, "on_zero_std": "drop"}, "some").metric("num_tokens")[0]
    write_rows(with_columns(rows, attempts).take([0, 1, 4, 5]), world.folder / "rows")
    assert world.train(fixed, "those").metric("num_tokens")[0] == some
