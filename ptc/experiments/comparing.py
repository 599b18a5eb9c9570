"""From runs to their comparison."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from ptc.experiments.comparison import ClaimResult, Comparison, Range, Result, Row, Spent
from ptc.experiments.measured import MEASURED, Measured, Metric, Reals, final_evals, last_model
from ptc.experiments.seeds import of_seeds, of_unlike_seeds
from ptc.experiments.unmatched import Side, unmatched
from ptc.lang.render import render
from ptc.lang.source import Source
from ptc.runtime.history import History
from ptc.runtime.intervals import LEVEL, METHOD, Interval


@dataclass(frozen=True)
class Contestant:
    """One run that is compared."""

    name: str
    """Of its row: without its seed."""
    shown: Mapping[str, str]
    seed: int
    history: History
    note: str = ""


@dataclass(frozen=True)
class Group:
    """The runs of one row. `evals` are those of the seeds that came to their end, by eval and seed."""

    runs: tuple[Contestant, ...]
    evals: Mapping[str, Mapping[int, Measured]]

    @property
    def name(self) -> str:
        return self.runs[0].name


def compare(
    contestants: Sequence[Contestant], title: str, command: str, reason: str = "", left_out: Sequence[str] = ()
) -> Comparison:
    """Compares runs with the first. `reason` is why unlike ones are compared all the same."""
    groups = _grouped(contestants)
    names = list(dict.fromkeys(name for group in groups for name in group.evals))
    sides = [_side(group) for group in groups]
    found = unmatched(sides, reason)
    anywhere = next((side.source for side in sides if side.source is not None), Source("", ""))
    return Comparison(
        title=title,
        command=command,
        program=Path(str(contestants[0].history.info.get("path", ""))).name,
        evals=tuple(names),
        rows=tuple(_row(group, groups, names) for group in groups),
        findings=tuple(each.to_json(anywhere) for each in found),
        rendered=tuple(render(each, anywhere) for each in found),
        notes=tuple(_notes(groups, names)),
        left_out=tuple(left_out),
    )


def _grouped(contestants: Sequence[Contestant]) -> list[Group]:
    by_name: dict[str, list[Contestant]] = {}
    for each in contestants:
        by_name.setdefault(each.name, []).append(each)
    groups = []
    for runs in by_name.values():
        evals: dict[str, dict[int, Measured]] = {}
        for run in runs:
            for name, measured in final_evals(run.history).items() if run.history.exit_code == 0 else ():
                evals.setdefault(name, {})[run.seed] = measured
        groups.append(Group(tuple(runs), evals))
    return groups


# Rows ----------------------------------------------------------------------------------------------------------------


def _row(group: Group, groups: Sequence[Group], names: Sequence[str]) -> Row:
    first = group.runs[0]
    done = [run for run in group.runs if run.history.exit_code == 0]
    return Row(
        name=group.name,
        shown=dict(first.shown),
        seeds=tuple(run.seed for run in group.runs),
        runs=tuple(run.history.id for run in group.runs),
        done=len(done),
        messages=tuple(run.history.message for run in group.runs if run.history.exit_code != 0),
        note=first.note,
        results=tuple(_result(group, groups, name) for name in names if name in group.evals),
        claims=tuple(_claims(group)),
        spent=_spent(group, groups),
    )


def _result(group: Group, groups: Sequence[Group], name: str) -> Result:
    own = group.evals[name]
    metric = MEASURED[next(iter(own.values())).kind]
    others = [each for each in groups[1:] if name in each.evals]
    change = simultaneous = None
    if group is not groups[0] and _comparable(groups[0], group, name):
        change = _range(_change(groups[0], group, name, metric, LEVEL))
        simultaneous = _range(_change(groups[0], group, name, metric, 1 - (1 - LEVEL) / max(len(others), 1)))
    prompts = _prompts(own.values())
    value = of_seeds(metric.value, *_values(own, sorted(own), prompts, metric))
    return Result(
        eval=name,
        metric=metric.name,
        prompts=len(prompts),
        value=_range(value),
        change=change,
        simultaneous=simultaneous,
        rank=_rank(group, groups, name, metric),
    )


def _range(interval: Interval) -> Range:
    return Range(value=interval.value, low=interval.low, high=interval.high, level=interval.level)


def _prompts(measured: Iterable[Measured]) -> list[str]:
    """Prompts that all of these measured, in the order of the first."""
    first, *rest = measured
    return [prompt for prompt in first.by_prompt if all(prompt in each.by_prompt for each in rest)]


def _values(own: Mapping[int, Measured], seeds: Sequence[int], prompts: Sequence[str], metric: Metric) -> list[Reals]:
    """What the statistic of one model takes: values, and for a ratio what they are of; [seeds, prompts] each."""
    pairs = np.array([[own[seed].by_prompt[prompt] for prompt in prompts] for seed in seeds], dtype=np.float64)
    return [pairs[..., 0], pairs[..., 1]] if metric is MEASURED["bits_per_character"] else [pairs[..., 0]]


def _comparable(first: Group, other: Group, name: str) -> bool:
    """Whether both measured an eval, by one metric on the same prompts."""
    if name not in first.evals or name not in other.evals:
        return False
    measured = [*first.evals[name].values(), *other.evals[name].values()]
    return len({each.kind for each in measured}) == 1 and all(
        each.by_prompt.keys() & measured[0].by_prompt.keys() for each in measured
    )


def _change(first: Group, other: Group, name: str, metric: Metric, level: float) -> Interval:
    """Other less first, prompt by prompt, and seed by seed where they have seeds in common."""
    ours, theirs = other.evals[name], first.evals[name]
    prompts = _prompts([*theirs.values(), *ours.values()])
    common = sorted(ours.keys() & theirs.keys())
    before = _values(theirs, common or sorted(theirs), prompts, metric)
    after = _values(ours, common or sorted(ours), prompts, metric)
    size = before[1:]
    if common:
        return of_seeds(metric.change, before[0], after[0], *size, level=level)
    return of_unlike_seeds(metric.change, before[0], after[0], *size, level=level)


def _rank(group: Group, groups: Sequence[Group], name: str, metric: Metric) -> tuple[int, int] | None:
    """The places that a row may have, from what is sure of all pairs of rows at once."""
    with_eval = [each for each in groups if name in each.evals]
    if len(with_eval) < 2:
        return None
    pairs = len(list(combinations(with_eval, 2)))
    level = 1 - (1 - LEVEL) / pairs
    better = worse = 0
    for other in with_eval:
        if other is group or not _comparable(other, group, name):
            continue
        change = _change(other, group, name, metric, level)
        up, down = change.low > 0, change.high < 0
        better += up if metric.more_is_better else down
        worse += down if metric.more_is_better else up
    return 1 + worse, len(with_eval) - better


def _claims(group: Group) -> Iterator[ClaimResult]:
    found: dict[tuple[str, str, str], list[tuple[int, str, str]]] = {}
    for run in group.runs:
        for meaning, node in run.history.graph.nodes.items():
            artifact = run.history.artifacts.get(meaning)
            if node.kind == "claim" and artifact is not None:
                document = json.loads((artifact.path / "verdict.json").read_text(encoding="utf-8"))
                key = (node.names["stage"], node.names["role"], node.names["eval"])
                found.setdefault(key, []).append((run.seed, str(document["verdict"]), str(document["words"])))
    for (stage, role, eval_), verdicts in found.items():
        yield ClaimResult(
            stage=stage,
            role=role,
            eval=eval_,
            seeds=tuple(seed for seed, _, _ in verdicts),
            verdicts=tuple(verdict for _, verdict, _ in verdicts),
            words=tuple(words for _, _, words in verdicts),
        )


# What it took --------------------------------------------------------------------------------------------------------


def _spent(group: Group, groups: Sequence[Group]) -> Spent:
    elsewhere = {
        key for other in groups if other is not group for run in other.runs for key in run.history.keys.values()
    }
    count = len(group.runs)
    seconds = [dict(_seconds(run.history)) for run in group.runs]
    return Spent(
        seconds=sum(sum(each.values()) for each in seconds) / count,
        seconds_own=sum(sum(took for key, took in each.items() if key not in elsewhere) for each in seconds) / count,
        optimizer_steps=round(sum(sum(steps_taken(run.history).values()) for run in group.runs) / count),
        trained_tokens=round(sum(sum(tokens_of(run.history).values()) for run in group.runs) / count),
    )


def _seconds(history: History) -> Iterator[tuple[str, float]]:
    for meaning, key in history.keys.items():
        yield key, float(history.provenance[meaning].get("seconds", 0))


def tokens_of(history: History) -> dict[str, int]:
    """Tokens that each stage learned from."""
    return {stage: int(last["num_tokens"]) for stage, last in _last_rows(history) if "num_tokens" in last}


def steps_taken(history: History) -> dict[str, int]:
    """Optimizer steps of each stage."""
    return {stage: int(last["step"]) for stage, last in _last_rows(history) if "step" in last}


def _last_rows(history: History) -> Iterator[tuple[str, Mapping[str, float]]]:
    """The last row of each stage that says how much it has learned from."""
    for meaning, node in history.graph.nodes.items():
        if node.kind == "train" and meaning in history.artifacts:
            rows = [row for row in history.rows(meaning) if "num_tokens" in row]
            if rows:
                yield node.label, rows[-1]


def _side(group: Group) -> Side:
    run = next((each for each in group.runs if each.history.exit_code == 0), group.runs[0])
    done = run.history.exit_code == 0
    source, template = _source(run.history), _template(run.history)
    steps, tokens = (steps_taken(run.history), tokens_of(run.history)) if done else ({}, {})
    return Side(group.name, run.history.graph, source, steps, tokens, template, run.note)


def _source(history: History) -> Source | None:
    path = str(history.info.get("path", ""))
    files: Mapping[str, str] = history.info.get("files", {})
    name = next((each for each in files if Path(each).name == Path(path).name), None)
    return None if name is None else Source(name, files[name])


def _template(history: History) -> str | None:
    """The chat template of the last model: a file of its own, or a part of the tokenizer's settings."""
    artifact = history.artifacts.get(last_model(history.graph) or "")
    if artifact is None:
        return None
    file = artifact.path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    settings = artifact.path / "tokenizer_config.json"
    return str(json.loads(settings.read_text(encoding="utf-8")).get("chat_template")) if settings.is_file() else None


# What has to be read with the numbers --------------------------------------------------------------------------------


def _notes(groups: Sequence[Group], names: Sequence[str]) -> Iterator[str]:
    seeds = min(len(group.runs) for group in groups)
    if seeds == 1:
        yield f"{METHOD}; a row of one seed says nothing of how another training run would have gone"
    else:
        yield (
            f"intervals over seeds first, then over prompts ({seeds} seeds): Student's for each of both, "
            f"added in squares, {LEVEL:.0%}"
        )
    changes = len(groups) - 1
    if changes > 1:
        yield (
            f"{changes} rows are compared with `{groups[0].name}`: Δ holds for all of them together at {LEVEL:.0%} "
            f"(Bonferroni, {1 - (1 - LEVEL) / changes:.2%} each), and places for all pairs"
        )
        yield from _of_the_best(groups, names)


def _of_the_best(groups: Sequence[Group], names: Sequence[str]) -> Iterator[str]:
    """Choosing the highest of several measurements chooses luck too (Blom's mean of the highest of n normals)."""
    count = len(groups)
    luck = float(ndtri((count - 0.375) / (count + 0.25)))
    for name in names:
        measured = [group for group in groups if name in group.evals]
        if len(measured) < 3 or not all(_comparable(measured[0], each, name) for each in measured):
            continue
        metric = MEASURED[next(iter(measured[0].evals[name].values())).kind]
        changes = [_change(measured[0], each, name, metric, LEVEL) for each in measured[1:]]
        error = float(np.median([change.half_width for change in changes])) / float(ndtri((1 + LEVEL) / 2)) / 2**0.5
        size = f"{100 * luck * error:.1f} points" if metric.share else f"{luck * error:.3f}"
        yield (
            f"`{name}`: whichever of {count} measures best looks better than it is, by about {size} if all are alike: "
            "measure it again with other seeds before you rely on it"
        )


def renamed(contestants: Sequence[Contestant]) -> list[Contestant]:
    """Contestants of one name and one seed, told apart by number: two runs of the same are two rows."""
    seen: dict[tuple[str, int], int] = {}
    found = []
    for each in contestants:
        key = (each.name, each.seed)
        seen[key] = seen.get(key, 0) + 1
        found.append(each if seen[key] == 1 else replace(each, name=f"{each.name} ({seen[key]})"))
    return found
