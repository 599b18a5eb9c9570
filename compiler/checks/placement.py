"""Checks of a program against where it would run. They are asked only where a profile has been named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ptc.compiler import core
from ptc.compiler.catalogue import Placement
from ptc.compiler.checks.view import View, step_of
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import sources
from ptc.compiler.losses import correction, forms_ratio, reads_sampler
from ptc.compiler.memory import Estimate, amount, estimate, spelled

TRAINER = "transformers"
"""What the trainer computes with: its log-probabilities differ from those of every other engine."""
NOTHING_CHANGED = {"n": 1, "min_p": 0.0, "repetition_penalty": 1.0, "stop": ()}
"""Arguments of `sample` at which they say nothing."""
WITHOUT_ENGINE = ("model", "max_lag", "seed", "mask_truncated")
"""Those that no engine is asked for."""


def check_sampler_trainer_mismatch(view: View, findings: Findings) -> None:
    """P207: another engine samples than trains, and the ratio takes their difference for learning."""
    place = view.placement
    if place is None or place.engine in (TRAINER, "fake"):
        return
    for term, source in _ratios(view):
        if correction(term):
            continue
        sample = step_of(source, "sample") or source
        recorded = "logprobs" in source.type.columns
        findings.add(
            "P207",
            f"`{place.engine}` samples, the trainer computes with {TRAINER}, and the ratio takes both for one",
            [
                at(sample.span, f"sampled by {place.engine}, says {place.place}"),
                at(term.span, "forms a ratio, uncorrected"),
            ],
            ["two engines give the same weights slightly other probabilities: over thousands of tokens that adds up"],
            [*(["tis = 2"] if "tis" in term.numbers else []), f'engine = "{TRAINER}"  in {place.place}'],
            severity=None if recorded and reads_sampler(term) else "error",
        )


def check_head_precision(view: View, findings: Findings) -> None:
    """L511: the last layer in another precision where samples are drawn than where they are learned from."""
    place = view.placement
    if place is None or place.engine == "fake" or place.engine_precision == place.precision:
        return
    for term, source in _ratios(view):
        if correction(term):
            continue
        sample = step_of(source, "sample") or source
        findings.add(
            "L511",
            f"samples are drawn in {place.engine_precision} and learned from in {place.precision}",
            [at(sample.span, f"in {place.engine_precision}"), at(term.span, f"forms a ratio in {place.precision}")],
            ["the same weights give another probability in each: at the last layer the difference is largest"],
            [
                f'engine_precision = "{place.precision}"  in {place.place}',
                *(["tis = 2"] if "tis" in term.numbers else []),
            ],
        )


def _ratios(view: View) -> Iterator[tuple[core.Term, core.Source]]:
    """Live sources under a ratio."""
    for stage in view.program.stages:
        for term in stage.terms:
            for source in sources(term):
                if source.live is not None and forms_ratio(term):
                    yield term, source


def check_option_not_honoured(view: View, findings: Findings) -> None:
    """L510: an argument of `sample` that the engine would ignore."""
    place = view.placement
    if place is None or place.honoured is None:
        return
    seen: set[int] = set()
    for sample in (step for stage in view.program.stages for step in _samples(stage)):
        if id(sample) in seen:
            continue
        seen.add(id(sample))
        for name, span in sample.places.items():
            value = sample.settings.get(name)
            idle = name in NOTHING_CHANGED and value == NOTHING_CHANGED[name]
            if name in WITHOUT_ENGINE or name in place.honoured or value is None or idle:
                continue
            findings.add(
                "L510",
                f"`{name}` would change nothing: the engine `{place.engine}` does not know it",
                [at(span, f"ignored, with {place.place}"), at(sample.span, "sampled here")],
                [f"it honours {', '.join(f'`{known}`' for known in sorted(place.honoured))}"],
                ["leave it out"],
            )


def _samples(stage: core.Stage) -> Iterator[core.Source]:
    for term in stage.terms:
        for source in sources(term):
            yield from (step for step in source.upstream() if step.kind == "sample")


def check_does_not_fit(view: View, findings: Findings) -> None:
    """L509: a stage that needs more memory than each device has."""
    place = view.placement
    if place is None or place.memory is None:
        return
    for stage in view.program.stages:
        needed = estimate(stage, place)
        if needed is None or needed.peak <= place.memory:
            continue
        shape = stage.learner.type.shape
        size = f"{amount(shape.parameters)} parameters" if shape is not None else "its size"
        findings.add(
            "L509",
            f"`{stage.name}` needs {spelled(needed.peak)} on each device, and there are {spelled(place.memory)}",
            [
                at(stage.span, f"{spelled(needed.peak)} at most"),
                at(stage.learner.span, f"{size}, trained"),
            ],
            [_sum(needed), f"{place.place} gives {spelled(place.memory)}"],
            _remedies(stage, place),
        )


def _sum(needed: Estimate) -> str:
    """``weights 6.0 GB + gradients 6.0 GB + … = 25.3 GB``."""
    parts = " + ".join(f"{part.name} {spelled(part.bytes)}" for part in needed.counted)
    return f"{parts} = {spelled(needed.peak)}"


def _remedies(stage: core.Stage, place: Placement) -> list[str]:
    """Models in parts, where there are several devices; the most rows at once that would fit; else fewer parameters
    that receive gradient."""
    assert place.memory is not None
    parts = estimate(stage, replace(place, sharded=True))
    if place.devices > 1 and not place.sharded and parts is not None and parts.peak <= place.memory:
        return [f'sharding = "full"  in {place.place}']
    for rows in (1 << power for power in range(10, -1, -1)):
        fewer = estimate(stage, replace(place, micro_batch=rows))
        if fewer is not None and fewer.peak <= place.memory and rows != place.micro_batch:
            return [f"micro_batch = {rows}  in {place.place}"]
    if stage.learner.type.adapter is None:
        return [f"train {stage.learner.name} = lora({stage.learner.init.name or '…'}, rank = 16)"]
    return []


def check_library_versions(view: View, findings: Findings) -> None:
    """L512: libraries that running needs, of another version."""
    place = view.placement
    if place is None or not view.program.stages:
        return
    first = view.program.stages[0]
    for library in place.outdated:
        findings.add(
            "L512",
            f"{library.name} {library.wanted} is needed, and {library.found} is installed",
            [at(first.span, f"runs with the engine `{place.engine}`")],
            ["one environment serves all stages of a program"],
            [f'pip install "{library.name}{library.wanted}"'],
        )
