"""Steps around sampling: `hint` and `prefix` before it, `sample` itself, `replay` and `refill` behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ptc.compiler import core
from ptc.compiler.anneal import document, read_number
from ptc.compiler.arguments import Parameter
from ptc.compiler.findings import at
from ptc.compiler.flows.choosing import sampled_at
from ptc.compiler.flows.step import OF_AN_ATTEMPT, Step, with_types
from ptc.compiler.graph import Json
from ptc.compiler.rows import ordered
from ptc.compiler.values import Unknown


def shape_of(settings: dict[str, Json]) -> core.Sampling:
    """The sampling distribution that the settings of a call name."""
    return core.Sampling(
        settings["n"],
        settings["temperature"],
        settings["top_p"],
        settings["top_k"],
        settings["max_tokens"],
        settings["min_p"],
        settings["repetition_penalty"],
        tuple(settings["stop"]),
    )


def without_defaults(settings: dict[str, Json]) -> dict[str, Json]:
    """The settings that say something: what has only been added to the language is left out where it is not used."""
    added = {"min_p": 0.0, "repetition_penalty": 1.0, "stop": [], "mask_truncated": False}
    return {name: value for name, value in settings.items() if name not in added or value != added[name]}


def sample(step: Step) -> core.Source | None:
    """Attempts of a model: live if a stage trains or tracks it, else by weights that stand still."""
    model = step.flows.model_or_role(step.bound.given["model"], step.scope)
    if model is None or not step.has_prompts():
        return None
    settings = dict(step.settings)
    shape = shape_of(settings)
    lag = settings.pop("max_lag")
    if isinstance(model, core.Role) and model.verb != "freeze":
        provenance: core.Provenance = core.Live(model, lag)
        settings["max_lag"] = lag
    else:
        model = model.init if isinstance(model, core.Role) else model
        provenance = core.Fixed(model)
    columns = {*(set(step.type.columns) - OF_AN_ATTEMPT), "group", "response", "logprobs"}
    written = {**dict.fromkeys(OF_AN_ATTEMPT), "group": "Real", "response": "Text", "logprobs": "List"}
    kind = core.Trajectories(
        ordered(columns),
        provenance,
        shape,
        open=step.type.open,
        column_types=with_types(step.type, written),
        guidance=step.type.guidance,
    )
    return step.made(kind, without_defaults(settings), {"prompts": step.rows, "model": model})


# Guidance -------------------------------------------------------------------------------------------------------------


def hint(step: Step) -> core.Source | None:
    """A text that the model is shown with the prompt; the column `prompt` does not change."""
    text = step.row("text")
    if isinstance(text, Unknown) or not _before_sampling(step):
        return None
    return _guided(step, {"text": text.document, "train": step.settings["train"]})


def prefix(step: Step) -> core.Source | None:
    """The beginning of a response that the model goes on from; `share` says how much of the text it is."""
    text = step.row("text")
    share: object = 1.0
    if "share" in step.bound.given:
        share = read_number(Parameter("share", "share"), step.bound.given["share"], step.scope)
    if isinstance(text, Unknown) or not isinstance(share, float | core.Anneal) or not _before_sampling(step):
        return None
    return _guided(step, {"text": text.document, "share": document(share), "train": step.settings["train"]})


def _guided(step: Step, settings: dict[str, Json]) -> core.Source:
    guidance = core.Guidance(step.name, settings["train"] == "keep", step.call.span)
    return step.made(replace(step.type, guidance=(*step.type.guidance, guidance)), settings)


def _before_sampling(step: Step) -> bool:
    """Whether guidance comes before what it guides."""
    if not step.has_prompts():
        return False
    if step.type.sampling is None:
        return True
    step.out_of_order(
        f"`{step.name}` is shown to a model before it samples",
        "too late: the responses are there",
        "sampled here",
        sampled_at(step.rows),
        [f"… |> {step.name}(…) |> sample(…)"],
    )
    return False


# Rows again -----------------------------------------------------------------------------------------------------------


def replay(step: Step) -> core.Source | None:
    """Fixed rows that may have been learned from before; or live ones of the last steps, drawn again."""
    window = step.settings["window"]
    live = step.rows.live
    if live is None:
        if window is not None or step.settings["share"] is not None:
            step.out_of_order(
                "a window is of rows that are sampled while the stage runs",
                "these rows stand still",
                "the rows come from here",
                step.rows.span,
                ["|> replay()"],
            )
            return None
        return step.made(replace(step.type, replayed=True), {}) if step.has_responses("`replay` is of rows") else None
    if window is None:
        step.findings.add(
            "N104",
            "`replay` of live rows needs `window`",
            [at(step.call.span, "for how many steps?"), at(live.span, f"`{live.name}` changes while the stage runs")],
            helps=["replay(window = 4 steps, share = 50%)"],
        )
        return None
    provenance = aged(step.type.provenance, lambda lag: lag + window)
    kind = replace(step.type, provenance=provenance, replayed=True)
    share = 0.5 if step.settings["share"] is None else step.settings["share"]
    return step.made(kind, {"window": window, "share": share})


def aged(who: core.Provenance | None, age: Callable[[int], int]) -> core.Provenance | None:
    """A provenance whose live parts are older."""
    match who:
        case core.Live(role=role, lag=lag):
            return core.Live(role, age(lag))
        case core.Mixed(parts=parts):
            return core.Mixed(tuple(part for each in parts if (part := aged(each, age)) is not None))
        case _:
            return who


def refill(step: Step) -> core.Source | None:
    """Draws again until the batch is full, `max` times at most."""
    live = step.rows.live
    if live is None:
        step.out_of_order(
            "`refill` draws again while a stage runs",
            "these rows stand still",
            "the rows come from here",
            step.rows.span,
            ["leave it out: a filter on rows that stand still is taken before the stage"],
        )
        return None
    if not any(each.kind == "keep" and each.live is not None for each in step.rows.upstream()):
        step.out_of_order(
            "`refill` fills up what a filter has removed",
            "nothing is missing",
            "every attempt is kept",
            sampled_at(step.rows),
            ["… |> keep(.reward > 0) |> refill(max = 4)"],
        )
        return None
    return step.made(step.type, dict(step.settings))
