"""What went wrong for others and can be seen in the text alone: one test for each case, named after its number.

The cases are those of a survey of issue trackers of post-training libraries. Each says what a program of this language
does about it: a finding, or a construction in which it cannot be written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ptc import api
from ptc.cli import main
from ptc.compiler.catalogue import Library, Placement

HEAD = """edition 2026
from std.objectives import sft, grpo, dpo, reverse_kl, ppo
from std.verifiers  import exact, format_tags
source tasks    = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source problems = tasks |> slice(0%, 80%)
source demos    = tasks |> slice(80%, 90%) |> respond(.answer)
source held_out = tasks |> slice(90%, 100%)
source pairs    = jsonl("pairs.jsonl")
model base      = local.model("base")
eval skill      = pass_rate(held_out, exact, n = 16)
"""
SFT = {"optimizer": "adamw(lr = 1e-5)", "batch": "64 samples", "budget": "2 epochs"}
RL = {"optimizer": "adamw(lr = 1e-6)", "batch": "32 prompts", "budget": "100 steps"}


def stage(body: str, settings: dict[str, str], name: str = "one", **changed: str) -> str:
    lines = [f"  {key} = {value}" for key, value in {**settings, **changed}.items()]
    return f"stage {name} {{\n  {body}\n" + "\n".join(lines) + "\n}\n"


def imitating(name: str = "one", start: str = "base", rows: str = "demos", **changed: str) -> str:
    return stage(f"train policy = {start} minimize sft({rows}, policy)", SFT, name, **changed)


def rewarded(sample: str = "", loss: str = "", **changed: str) -> str:
    source = f"source rollouts = problems |> sample(policy, n = 8{sample}) |> score(exact)"
    return stage(f"train policy = base {source} minimize grpo(rollouts, policy{loss})", RL, **changed)


def found(text: str, placement: Placement | None = None) -> dict[str, str]:
    """The codes of errors and warnings, with what they say."""
    result = api.check_text(HEAD + text, placement=placement)
    return {
        each.code: " ".join((each.title, *(label.text for label in each.labels), *each.notes, *each.helps))
        for each in result.diagnostics
        if each.severity != "note"
    }


def test_the_programs_of_this_page_are_right() -> None:
    assert found(imitating()) == found(rewarded()) == {}


# A, B: templates and lengths ------------------------------------------------------------------------------------------


def test_pain_07_a_stage_inherits_its_template_and_changes_it_by_name_only() -> None:
    assert "N105" in found(imitating(chat_template='"chatml"'))
    text = HEAD + 'model spoken = retemplate(base, template = "chatml")\n'
    text += imitating("one", "spoken") + imitating("two", "one")
    checked = api.check_text(text).checked
    assert checked is not None
    templates = {stage.name: stage.model.type.template for stage in checked.program.stages}
    assert templates["one"] is not None
    assert templates["one"] == templates["two"]


def test_pain_18_a_response_that_is_longer_than_the_context() -> None:
    small = 'model small = new.model("qwen3", hidden = 64, layers = 2, context = 512, tokenizer = characters(tasks))\n'
    said = found(small + rewarded(", max_tokens = 1Ki").replace("= base", "= small"))
    assert "1,024 new tokens do not fit a context of 512" in said["L507"]


def test_pain_19_lengths_that_contradict_one_another() -> None:
    long = "source long = problems |> sample(base, n = 1, temperature = 0.7, max_tokens = 4Ki)\n"
    said = found(long + imitating(rows="long", max_length="2Ki"))
    assert "responses of up to 4,096 tokens do not fit rows of 2,048" in said["L507"]


# C: configuration -----------------------------------------------------------------------------------------------------


def test_pain_20_a_wrong_key_is_said_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    program = tmp_path / "program.pt"
    program.write_text(HEAD + imitating(leanring_rate="1e-5"))
    command = [sys.executable, "-X", "importtime", "-m", "ptc", "check", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "error[N105]" in done.stdout and "^" in done.stdout
    assert not {"torch", "ray", "vllm"} & {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}


def test_pain_20_a_missing_key() -> None:
    assert "budget" in found(imitating().replace("  budget = 2 epochs\n", ""))["L501"]


def test_pain_21_a_batch_that_splits_groups_is_given_the_nearest_that_does_not() -> None:
    assert "batch = 8 prompts" in found(rewarded(batch="60 samples"))["L503"]
    assert found(rewarded(batch="64 samples")) == {}


@pytest.mark.parametrize("setting", ["batch", "budget", "rollout", "passes"])
def test_pain_22_nothing_can_be_divided_by_zero(setting: str) -> None:
    unit = {"batch": " prompts", "budget": " epochs", "rollout": " prompts", "passes": ""}[setting]
    assert set(found(rewarded(**{setting: f"0{unit}"}))) == {"U204"}


def test_pain_22_attempts_and_rows_at_once_are_at_least_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(found(rewarded().replace("n = 8", "n = 0"))) == {"U204"}
    (tmp_path / "program.pt").write_text(HEAD + imitating())
    (tmp_path / "place.toml").write_text("micro_batch = 0")
    assert main(["check", str(tmp_path / "program.pt"), "--profile", str(tmp_path / "place.toml")]) == 2
    assert "micro_batch = 0" in capsys.readouterr().err


def test_pain_23_an_unknown_key_is_no_key_that_is_dropped() -> None:
    assert "did you mean `budget`?" in found(imitating(budgt="2 epochs"))["N105"]
    assert "did you mean `temperature`?" in found(rewarded(", temprature = 1.0"))["N103"]


def test_pain_24_an_option_that_the_engine_does_not_honour() -> None:
    lessons = "source lessons = problems |> sample(base, n = 4, temperature = 0.7, min_p = 0.1)\n"
    text = lessons + imitating(rows="lessons")
    assert found(text) == {}
    here = Placement(honoured=frozenset({"n", "temperature", "top_p", "top_k", "max_tokens", "seed"}))
    assert "`min_p` would change nothing" in found(text, here)["L510"]
    assert found(rewarded(", mask_truncated = true"), here) == {}  # that is the trainer's to do


def test_pain_25_what_is_accepted_and_not_carried_out_is_refused_at_its_place() -> None:
    """That what is honoured has an effect is tested beside the engines."""
    held = stage(
        "train policy = base freeze reference = base minimize dpo(pairs, policy, reference)",
        {**SFT, "optimizer": "adamw(lr = 5e-7)"},
        precompute="true",
    )
    result = api.check_text(HEAD + held)
    assert result.sound
    refused = api.refused(result)
    if refused is not None:  # as long as this version's runtime cannot; then it must say so
        assert {each.code for each in refused.diagnostics} == {"N110"}
        assert any("precompute" in each.title for each in refused.diagnostics)


def test_pain_27_a_warm_up_as_long_as_the_stage() -> None:
    assert "L505" in found(imitating(budget="100 steps", optimizer="adamw(lr = 1e-5, warmup = 100 steps)"))
    assert "L505" in found(imitating(optimizer="adamw(lr = 1e-5, warmup = 40 steps)"))  # 2 epochs are 4 steps
    assert "L505" in found(imitating(optimizer="adamw(lr = 1e-5, warmup = 100%)"))
    assert found(imitating(optimizer="adamw(lr = 1e-5, warmup = 3 steps)")) == {}


def test_pain_28_a_library_that_does_not_fit_is_named() -> None:
    said = found(imitating(), Placement(outdated=(Library("torch", ">=2.8", "2.4.0"),)))
    assert "torch >=2.8 is needed, and 2.4.0 is installed" in said["L512"]


def test_pain_29_one_environment_serves_all_stages() -> None:
    """A missing library is one finding of the program, however many stages there are."""
    lacking = Placement(outdated=(Library("vllm", ">=0.20", None),))
    result = api.check_text(HEAD + imitating("one") + imitating("two", "one"), placement=lacking)
    assert [each.code for each in result.diagnostics].count("L512") == 1


def test_pain_30_every_model_has_a_place_in_the_plan_and_python_is_named_not_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fresh = 'model new = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))\n'
    loss = "reverse_kl(attempts, student, teacher)"
    taught = stage(
        "train student = new freeze teacher = new.model("
        '"qwen3", hidden = 64, layers = 1, tokenizer = tokenizer(new)) '
        f"source attempts = problems |> sample(student, n = 2) minimize {loss}",
        {**RL, "budget": "2 steps"},
    )
    (tmp_path / "program.pt").write_text(HEAD.replace('model base      = local.model("base")\n', fresh) + taught)
    (tmp_path / "place.toml").write_text('device = "cpu"')
    assert main(["plan", "program.pt", "--profile", "place.toml"]) == 0
    assert "student (trained), teacher (frozen) on 1 × cpu" in capsys.readouterr().out
    assert "S" in next(iter(found("extern verifier mine(response: Text) -> Real = lambda\n")))


# D, E, F: checkpoints, weights, references ----------------------------------------------------------------------------


def shaped(placement: Placement) -> dict[str, str]:
    wide = 'model wide = new.model("qwen3", hidden = 1_024, layers = 8, tokenizer = characters(tasks))\n'
    return found(wide + imitating(start="wide"), placement)


def test_pain_38_what_resuming_needs_is_part_of_the_sum() -> None:
    few = Placement(device="cpu", memory=1_600_000_000, micro_batch=1)
    assert "a checkpoint that is read to resume" in shaped(few)["L509"]


def test_pain_50_a_sampler_whose_settings_the_ratio_does_not_reproduce() -> None:
    assert "P203" in found(rewarded(", top_p = 0.9"))
    assert "P203" in found(rewarded(", top_k = 20"))
    assert found(rewarded(", temperature = 0.7")) == {}  # the loss takes its log-probabilities at 0.7 as well


def test_pain_52_two_precisions_under_one_ratio() -> None:
    apart = Placement(precision="float32", engine_precision="bfloat16", copies=True)
    assert "L511" in found(rewarded(), apart)
    assert found(imitating(), apart) == found(rewarded(), Placement()) == {}


def test_pain_53_a_reference_is_what_the_policy_starts_from() -> None:
    def held(start: str, reference: str) -> dict[str, str]:
        body = f"train policy = {start} freeze reference = {reference} minimize dpo(pairs, policy, reference)"
        other = 'model other = local.model("other")\n'
        return found(other + imitating() + stage(body, {**SFT, "optimizer": "adamw(lr = 5e-7)"}, "two"))

    assert held("one", "one") == {}
    assert "is an ancestor of" in held("one", "base")["R304"]
    assert "nothing in the program says" in held("one", "other")["R304"]


def test_pain_57_the_plan_prints_steps_and_learning_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fresh = 'model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))\n'
    program = HEAD.replace('model base      = local.model("base")\n', fresh)
    falling = 'adamw(lr = 1e-3, schedule = "linear")'
    (tmp_path / "program.pt").write_text(program + imitating(optimizer=falling, budget="101 steps"))
    assert main(["plan", "program.pt", "--json"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)["stages"]
    assert planned["steps"] == 101
    expected = [1e-3 * (1 - step / 101) for step in (0, 25, 50, 75, 100)]
    assert planned["learning_rates"] == pytest.approx(expected)


def test_pain_59_one_attempt_is_no_group() -> None:
    assert "T102" in found(rewarded().replace("n = 8", "n = 1"))
    assert found(rewarded().replace("n = 8", "n = 2")) == {}


# G, H, I: rewards, resources, glue ------------------------------------------------------------------------------------


def test_pain_67_a_weight_stands_beside_what_it_weighs() -> None:
    summed = rewarded().replace("score(exact)", "score(exact + 0.5 * format_tags)")
    checked = api.check_text(HEAD + summed).checked
    assert checked is not None
    (term,) = checked.program.stages[0].terms
    assert [(each.name, each.weight) for each in term.source.type.scorers] == [("exact", 1.0), ("format_tags", 0.5)]
    mixed = "source both = mix([demos, demos], weights = [0.5, 0.3, 0.2])\n"
    assert "3 weights for 2 sources" in found(mixed)["U205"]


def test_pain_69_more_devices_than_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.pt").write_text(HEAD + imitating())
    (tmp_path / "place.toml").write_text('device = "cuda"\ndevices = 64')
    assert main(["run", "program.pt", "--profile", "place.toml"]) == 6
    assert "asks for 64 CUDA devices" in capsys.readouterr().err


def test_pain_70_what_does_not_fit_is_said_with_the_sum() -> None:
    said = shaped(Placement(device="cuda", memory=10**9))["L509"]
    for part in ("weights", "gradients", "optimizer", "activations and logits"):
        assert part in said
    assert shaped(Placement(device="cuda", memory=80 * 10**9)) == {}


def test_pain_71_the_plan_prints_the_memory_of_each_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fresh = 'model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))\n'
    (tmp_path / "program.pt").write_text(HEAD.replace('model base      = local.model("base")\n', fresh) + imitating())
    assert main(["plan", "program.pt", "--json"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)["stages"]
    assert planned["memory"] == sum(planned["memory_parts"].values()) > 0


def test_pain_72_rows_that_an_objective_cannot_learn_from() -> None:
    made = "source made = problems |> sample(base, n = 4) |> score(exact) |> best_and_worst()\n"
    preferring = "train policy = base freeze reference = base minimize dpo(made, policy, reference)"
    assert found(made + stage(preferring, {**SFT, "optimizer": "adamw(lr = 5e-7)"})) == {}
    assert set(found(made + imitating(rows="made"))) == {"T110"}
    assert set(found(stage(preferring.replace("made", "demos"), SFT))) == {"T110"}


def test_pain_74_packing_is_no_setting() -> None:
    """Rows share no forward pass but as a padded batch: there is nothing that could leak from one to the next."""
    assert "N105" in found(imitating(packing="true"))


def test_pain_75_vocabularies_that_differ_are_named_with_their_sizes(tmp_path: Path) -> None:
    for name, size in (("student", 151_936), ("teacher", 128_256)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"vocab_size": size}))
        (tmp_path / name / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": size}}}))
    models = "".join(f'model {name}_ = local.model("{tmp_path / name}")\n' for name in ("student", "teacher"))
    body = "train student = student_ freeze teacher = teacher_"
    loss = "source attempts = problems |> sample(student, n = 2) minimize reverse_kl(attempts, student, teacher)"
    said = found(models + stage(f"{body} {loss}", RL))["D401"]
    assert "128,256 tokens" in said
    assert "151,936 tokens" in said


def test_pain_77_a_pasted_path_into_another_stage() -> None:
    pasted = 'export one to "out/one"\n' + imitating("two", 'local.model("out/one")')
    assert "train policy = one" in found(imitating() + pasted)["C616"]


def test_pain_79_what_is_measured_must_not_be_trained_on() -> None:
    assert "P204" in found("source all = tasks |> respond(.answer)\n" + imitating(rows="all") + "report skill\n")
    cleaned = "source all = tasks |> without(skill) |> respond(.answer)\n"
    assert found(cleaned + imitating(rows="all") + "report skill\n") == {}
    seen = 'model known = hf.model("Qwen/Qwen2.5-7B")\neval maths = pass_rate('
    seen += 'hf.dataset("HuggingFaceH4/MATH-500") |> prompts(.problem, answer = .answer), exact)\n'
    assert "V707" in found(seen + imitating(start="known") + "report maths\n")
