"""What stages learned from: samples as the trainer took them up, with rewards, and which tokens bear loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ptc.report.section import Section
from ptc.runtime.history import History

LETTERS = 4000
"""Of a sample that a report holds at most."""


class Token(Section):
    text: str
    bears: bool
    """Whether the loss sees it."""


class Sample(Section):
    """One row as the trainer read it."""

    column: str
    """`response`, `chosen`, …"""
    prompt: str
    tokens: tuple[Token, ...]
    cut: bool
    numbers: dict[str, float | None]
    """`reward`, and other columns with one number per sample."""


class Source(Section):
    """A source of a stage at one step. Samples of one prompt follow each other."""

    stage: str
    source: str
    live: bool
    step: int
    samples: tuple[Sample, ...]


class Rollouts(Section):
    sources: tuple[Source, ...]


def rollouts(history: History) -> Rollouts:
    return Rollouts(sources=tuple(_sources(history)))


def _sources(history: History) -> Iterator[Source]:
    for meaning, node in history.graph.nodes.items():
        if node.kind != "train":
            continue
        flows, seen = node.settings["flows"], set[str]()
        for row in history.rows(meaning):
            if row.get("event") == "samples" and (flows.get(row["source"]) or row["source"] not in seen):
                name = row["source"]
                seen.add(name)  # of fixed rows one look is enough: they do not change
                yield Source(
                    stage=node.label,
                    source=node.names.get(name, name),
                    live=bool(flows.get(name)),
                    step=row["step"],
                    samples=tuple(_sample(each) for each in row["samples"]),
                )


def _sample(document: Mapping[str, Any]) -> Sample:
    tokens: list[Token] = []
    left = LETTERS
    for text, bears in zip(document["tokens"], document["mask"], strict=True):
        if left < len(text):
            break
        tokens.append(Token(text=text, bears=bears))
        left -= len(text)
    return Sample(
        column=document["column"],
        prompt=document["prompt"],
        tokens=tuple(tokens),
        cut=len(tokens) < len(document["tokens"]),
        numbers=document["numbers"],
    )
