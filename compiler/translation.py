"""What somebody wrote in another library's words, as a program says it: a remedy with the value that stands there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ptc.compiler.name import Name
from ptc.compiler.names import known_elsewhere, lookup
from ptc.lang import ast

Written = Mapping[str, ast.Expr]
"""Settings or arguments, by the name under which they were written."""

TRUNCATED = {"keep_start": "right", "keep_end": "left"}
SCHEDULES = ("constant", "linear", "cosine")
COUNTED = {"max_steps": "step", "num_train_epochs": "epoch", "total_epochs": "epoch"}


def assigned(row: Name, word: str, value: ast.Expr) -> str:
    """``warmup = 10%``: our name, and the value of TRL's `word`; `…` for what cannot be said of it."""
    return f"{row.ours} = {_value(row, word, value)}"


def as_setting(row: Name, word: str, around: Written) -> list[str]:
    """What stands for a setting that TRL calls `word`, with those `around` it of the same call."""
    value = around[word]
    match row.where:
        case "stage":
            return _of_a_stage(row, word, around)
        case "adamw":
            return [f"optimizer = adamw({_call('adamw', {'lr': '1e-6'}, around)})"]
        case "sample":
            return [f"|> sample(policy, {_call('sample', {}, around)})"]
        case "lora":
            return [f"train policy = lora(base, {_call('lora', {}, around)})"]
        case "watch":
            return [f"watch skill every {_count(value, 'step') or '20 steps'}"]
        case "profile":
            return _of_a_profile(row, word, around)
        case "model" | "column":
            return []
        case _:
            return [f"{row.where}(…, {assigned(row, word, value)})"]


def _of_a_stage(row: Name, word: str, around: Written) -> list[str]:
    value = around[word]
    match row.ours:
        case "batch":
            each, times = _number(value), _number(around.get("gradient_accumulation_steps"))
            size = f"{round(each * (times or 1))}" if each else "64"
            return [f"batch = {size} samples", "batch = 32 prompts"]
        case "budget":
            counted = _count(value, COUNTED.get(word, "epoch"))
            return [f"budget = {counted}"] if counted else ["budget = 2 epochs", "budget = 100 steps"]
        case "optimizer":
            return [f"optimizer = adamw({_call('adamw', {'lr': '1e-6'}, around)})"]
        case "rollout":
            return ["rollout = 512 prompts"]
        case _:
            return [assigned(row, word, value)]


def _of_a_profile(row: Name, word: str, around: Written) -> list[str]:
    value = around[word]
    match row.ours:
        case "micro_batch":
            each = _literal(around.get("per_device_train_batch_size")) or "8"
            return [f"micro_batch = {each}  in profile.toml"]
        case "precision":
            return ['precision = "bfloat16"  in profile.toml']
        case "engine":
            return ['engine = "vllm"  in profile.toml']
        case "report_to":
            return [f"report_to = [{_literal(value) or '…'}]  in profile.toml"]
        case "store":
            return ['store = ".ptc"  in profile.toml', 'export … to "folder"']
        case _:
            return [f"{assigned(row, word, value)}  in profile.toml"]


def _call(where: str, given: dict[str, str], around: Written) -> str:
    """The arguments of one call, gathered from everything that was written around."""
    arguments = dict(given)
    for word, value in around.items():
        row = lookup(where, word) or known_elsewhere(word, where)
        if row is not None and row.where == where and row.ours not in ("betas",):
            arguments[row.ours] = _value(row, word, value)
    return ", ".join(f"{name} = {value}" for name, value in arguments.items())


def _value(row: Name, word: str, value: ast.Expr) -> str:
    number, text = _number(value), text_of(value)
    match row.ours:
        case "warmup" if number is not None:
            return f"{number * 100:g}%" if number < 1 else f"{_count(value, 'step')}"
        case "schedule":
            return f'"{text}"' if text in SCHEDULES else '"constant"' if text == "constant_with_warmup" else "…"
        case "truncate":
            return f'"{TRUNCATED[text]}"' if text in TRUNCATED else '"right"'
        case "mask":
            return '"all"' if _literal(value) == "false" else '"assistant"'
        case "dropout" if word == "disable_dropout":
            return "none" if _literal(value) == "false" else "0"
        case "betas":
            return "[…, …]"
        case _:
            return _literal(value) or "…"


def _count(value: ast.Expr, unit: str) -> str | None:
    """``1 epoch``, ``100 steps``; nothing for what is no whole number above 0."""
    number = _number(value)
    if number is None or number <= 0 or number != int(number):
        return None
    return f"{int(number):_} {unit}{'s' if number != 1 else ''}"


def _number(value: ast.Expr | None) -> float | None:
    return value.value if isinstance(value, ast.Number) and value.unit is None else None


def text_of(value: ast.Expr) -> str:
    """What a text says; nothing of what is none."""
    return value.value if isinstance(value, ast.String) else ""


def _literal(value: ast.Expr | None) -> str | None:
    match value:
        case ast.Number(text=text) | ast.String(text=text):
            return text
        case ast.Name(id=name):
            return {"True": "true", "False": "false", "None": "none"}.get(name, name)
        case _:
            return None


def settings_of(statements: Iterable[ast.Statement]) -> dict[str, ast.Expr]:
    """The settings that a stage has, of which many may be unknown."""
    return {each.name.id: each.value for each in statements if isinstance(each, ast.Setting)}
