"""Evidence: what checkpoints around a claim are like, beyond how often they are right."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.report import artifacts
from ptc.report.section import Estimate, Section
from ptc.runtime.history import History

TITLES = {
    "entropy": "entropy, nats per token",
    "answer_entropy": "entropy of answers, nats",
    "kl_from_start": "KL from the stage's start, nats per token",
    "kl_from_root": "KL from the line's root, nats per token",
    "reference_logp": "log-probability of the gold answer, per token",
    "bottleneck_logp": "log-probability of its least likely token",
    "exposure_gap": "exposure gap, share of tokens",
    "informative_rate": "informative groups of 8, share of prompts",
}
"""The figures of `docs/evidence.md`, in its order, with their units."""


class Figure(Section):
    """One figure of every model. Where a model has none, `why` says so in its place."""

    name: str
    title: str
    values: tuple[Estimate | None, ...]
    why: tuple[str, ...]


class EvalEvidence(Section):
    """On a few prompts of one eval."""

    eval: str
    prompts: int
    models: tuple[str, ...]
    figures: tuple[Figure, ...]


class Evidence(Section):
    evals: tuple[EvalEvidence, ...]


def evidence(history: History) -> Evidence:
    return Evidence(evals=tuple(_evals(history)))


def _evals(history: History) -> Iterator[EvalEvidence]:
    measured = {
        meaning: node
        for meaning, node in history.graph.nodes.items()
        if node.kind == "evidence" and meaning in history.artifacts
    }
    for name in dict.fromkeys(node.names["eval"] for node in measured.values()):
        found = {
            node.names["model"]: artifacts.summary(history.artifacts[meaning])
            for meaning, node in measured.items()
            if node.names["eval"] == name
        }
        each = [summary["evidence"] for summary in found.values()]
        yield EvalEvidence(
            eval=name,
            prompts=max(summary["prompts"] for summary in found.values()),
            models=tuple(found),
            figures=tuple(_figure(figure, title, each) for figure, title in TITLES.items()),
        )


def _figure(name: str, title: str, each: list[dict[str, dict[str, float | None]]]) -> Figure:
    known = [one.get(name, {"value": None, "why": "not measured of this kind of eval"}) for one in each]
    return Figure(
        name=name,
        title=title,
        values=tuple(None if one["value"] is None else Estimate.of(one) for one in known),
        why=tuple(str(one.get("why", "")) for one in known),
    )
