"""Pains 66 and 76 and their kin: vocabularies, templates, ends, dropout; and pain 18, the room for completions."""

from __future__ import annotations

import json

import pytest
from small_tokenizers import CHATML, THINKING, chatml, llama
from transformers import PreTrainedTokenizerFast
from workshop import SFT, Workshop, codes, one, stage

TASKS = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(12)]
DISTIL = (
    'source tasks = jsonl("tasks.jsonl") |> prompts(.question, answer = .answer)\n'
    'model base = local.model("model")\nmodel large = local.model("large")\n'
    + stage(
        "train student = base",
        "freeze teacher = large",
        "source attempts = tasks |> sample(student, n = 1, max_tokens = 64)",
        "minimize reverse_kl(attempts, student, teacher)",
        batch="4 prompts",
    )
)


def distilled(workshop: Workshop, teacher: PreTrainedTokenizerFast, student: PreTrainedTokenizerFast | None = None):  # type: ignore[no-untyped-def]
    workshop.rows("tasks.jsonl", TASKS)
    workshop.model(tokenizer=student)
    workshop.model("large", teacher)
    return workshop.check(DISTIL)


def test_pain_76_distillation_across_tokenizers(workshop: Workshop) -> None:
    assert codes(distilled(workshop, chatml())) == []
    found = one(distilled(workshop, chatml(size=390)), "D401")
    assert found.severity == "error"
    assert "D401" in codes(distilled(workshop, llama()))


def test_what_it_offers_instead_of_a_divergence_is_right(workshop: Workshop) -> None:
    found = one(distilled(workshop, llama()), "D401")
    [offered] = [help_.split("  ")[1] for help_ in found.helps if "uld" in help_]
    text = DISTIL.replace("minimize reverse_kl(attempts, student, teacher)", offered).replace("reverse_kl", "uld")
    assert offered in text and codes(workshop.check(text)) == []


def test_templates_that_drifted_apart(workshop: Workshop) -> None:
    other = CHATML.replace("message['role'] + '\n'", "message['role'] + ': '")
    found = one(distilled(workshop, chatml(other)), "D404")
    assert found.severity == "warning" and "the templates differ" in found.title
    thinks = one(distilled(workshop, chatml(THINKING)), "D404")
    assert "one of them writes thoughts" in thinks.title


def test_templates_with_other_ends_are_an_error_for_whole_distributions(workshop: Workshop) -> None:
    other = chatml()
    other.eos_token = "<|endoftext|>"
    found = one(distilled(workshop, other), "D404")
    assert found.severity == "error" and "`eos_token` is '<|im_end|>' here and '<|endoftext|>' there" in found.title


def test_a_model_without_a_template(workshop: Workshop) -> None:
    tokenizer = chatml()
    tokenizer.chat_template = None
    rows = [{"prompt": "a", "response": "b"}] * 9
    found = one(workshop.learned(rows, tokenizer), "D404")
    assert found.severity == "error" and found.title == "`base` has no chat template: no turn can be rendered"
    template = '"{% for m in messages %}<|im_start|>{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}' \
        '{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}"'  # fmt: skip
    dressed = SFT.replace("= base", f"= retemplate(base, template = {template})")
    assert codes(workshop.learned(rows, tokenizer, dressed)) == []


def test_models_of_two_templates_are_merged(workshop: Workshop) -> None:
    workshop.rows("rows.jsonl", [{"prompt": "a", "response": "b"}])
    workshop.model("first")
    workshop.model("second", chatml(THINKING))
    program = (
        'source rows = jsonl("rows.jsonl")\nmodel first = local.model("first")\nmodel second = local.model("second")\n'
        f"model base = merge([first, second])\n{SFT}"
    )
    found = one(workshop.check(program), "D404")
    assert found.title.startswith("`base` merges models of two chat templates: the templates differ")
    workshop.model("second")
    assert "D404" not in codes(workshop.result_of().diagnostics)


def test_long_traces_alone_for_a_small_student(workshop: Workshop) -> None:
    body = SFT.replace("minimize", "max_length = 30Ki\n  minimize")
    rows = [{"prompt": f"a{n}", "response": "word " * 4000} for n in range(3)]
    found = one(workshop.learned(rows, body=body, context=32768), "C615")
    assert found.severity == "note" and "learns from long traces alone" in found.title
    mixed = [*rows, *({"prompt": f"b{n}", "response": "short"} for n in range(9))]
    assert "C615" not in codes(workshop.learned(mixed, body=body, context=32768), notes=True)


def test_a_tokenizer_that_names_no_end(workshop: Workshop) -> None:
    tokenizer = chatml()
    tokenizer.eos_token = None
    found = one(workshop.learned([{"prompt": "a", "response": "b"}] * 9, tokenizer), "D405")
    assert found.title == "`base` never learns to stop: its tokenizer names no end"


def test_pain_66_padding_that_is_the_end(workshop: Workshop) -> None:
    rows = [{"prompt": f"a{n}", "chosen": "yes", "rejected": "no"} for n in range(9)]
    judge = "from std.objectives import bradley_terry\n" + stage(
        "train judge = reward_head(base)", "minimize bradley_terry(rows, judge)"
    )
    assert "D413" not in codes(workshop.learned(rows, body=judge))
    tokenizer = chatml()
    tokenizer.pad_token = tokenizer.eos_token
    found = one(workshop.learned(rows, tokenizer, judge), "D413")
    assert (
        found.severity == "warning" and found.title == "`judge` is padded with `<|im_end|>`, the token that ends a text"
    )
    assert "D413" not in codes(workshop.learned([{"prompt": "a", "response": "b"}] * 9, tokenizer))


GRPO = (
    'source tasks = jsonl("tasks.jsonl") |> prompts(.question, answer = .answer)\nmodel base = local.model("model")\n'
    + stage(
        "train policy = base",
        "source rollouts = tasks |> sample(policy, n = 4, max_tokens = 100) |> score(exact)",
        "minimize grpo(rollouts, policy)",
        batch="4 prompts",
    )
)


def test_pain_18_every_prompt_leaves_room_for_its_completion(workshop: Workshop) -> None:
    rows = [*TASKS, {"question": "word " * 120, "answer": "1"}]
    workshop.rows("tasks.jsonl", rows)
    workshop.model(context=256)
    found = one(workshop.check(GRPO), "D415")
    assert found.severity == "error"
    assert found.title == "1 of 13 prompts of `rollouts` and their completions do not fit into 256 tokens"
    assert any(note.startswith("tasks.jsonl:13: a prompt of ") for note in found.notes)
    workshop.model(context=2048)
    assert codes(workshop.result_of().diagnostics) == []


def test_the_prompts_of_an_eval_too(workshop: Workshop) -> None:
    workshop.rows("tasks.jsonl", TASKS)
    workshop.rows("held.jsonl", [{"question": "word " * 120, "answer": "1"}])
    workshop.rows("rows.jsonl", [{"prompt": "a", "response": "b"}])
    workshop.model(context=256)
    program = (
        'source rows = jsonl("rows.jsonl")\nsource held = jsonl("held.jsonl") |> prompts(.question, answer = .answer)\n'
        f'model base = local.model("model")\neval skill = pass_rate(held, exact, n = 2, max_tokens = 100)\n{SFT}'
        "report skill\n"
    )
    assert "prompts of `skill`" in one(workshop.check(program), "D415").title


def test_answers_that_were_shown_are_longer_than_what_may_be_sampled(workshop: Workshop) -> None:
    shown = [{"question": row["question"], "solution": "and so on " * 60} for row in TASKS]
    workshop.rows("tasks.jsonl", [{**row, **other} for row, other in zip(TASKS, shown, strict=True)])
    workshop.model()
    program = (
        'source demos = jsonl("tasks.jsonl") |> prompts(.question, response = .solution) |> slice(0%, 50%)\n'
        + GRPO.replace("stage", stage("train policy = base", "minimize sft(demos, policy)", name="first") + "stage", 1)
        .replace(
            "|> prompts(.question, answer = .answer)", "|> prompts(.question, answer = .answer) |> slice(50%, 100%)"
        )
        .replace("train policy = base\n  source", "train policy = first\n  source")
    )
    found = one(workshop.check(program), "D406")
    assert found.severity == "warning" and "`rollouts` may sample 100 tokens" in found.title


def test_code_of_a_model_is_never_run(workshop: Workshop) -> None:
    workshop.rows("rows.jsonl", [{"prompt": "a", "response": "b"}])
    folder = workshop.folder / workshop.model()
    (folder / "evil.py").write_text("raise SystemExit('was run')\n")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["evil.Evil", None]}
    settings["tokenizer_class"] = "Evil"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    found = workshop.check(f'source rows = jsonl("rows.jsonl")\nmodel base = local.model("model")\n{SFT}')
    assert "D403" in codes(found), [each.title for each in found]


@pytest.mark.parametrize(("kind", "cut"), [("characters(rows)", ["D411"]), ("bpe(rows, vocabulary = 400)", [])])
def test_a_tokenizer_is_made_of_the_rows(workshop: Workshop, kind: str, cut: list[str]) -> None:
    workshop.rows("rows.jsonl", [{"prompt": f"a{n}", "response": "b" * 99} for n in range(9)])
    body = SFT.replace("minimize", "max_length = 50\n  minimize")
    program = (
        'source rows = jsonl("rows.jsonl")\n'
        f'model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = {kind})\n{body}'
    )
    assert codes(workshop.check(program)) == (
        ["D411"] if kind.startswith("c") else codes(workshop.result_of().diagnostics)
    )
