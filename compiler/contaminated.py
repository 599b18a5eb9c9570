"""Benchmarks that a family of models is known to have seen: what is published, with its source.

A pair is here only if somebody has shown it by measurement. That a pair is missing says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """A family of models and a benchmark that has been found in what they were trained on."""

    family: str
    """A pattern for the name of a model on the hub."""
    benchmark: str
    """A pattern for the name of a dataset on the hub."""
    called: tuple[str, str]
    """What people call the two."""
    evidence: str
    source: str


MEMORIZATION = "arXiv 2507.10532"
PAIRS: tuple[Pair, ...] = (
    Pair(
        r"qwen2\.5",
        r"math[-_]?500",
        ("Qwen2.5", "MATH-500"),
        "from the first 60% of a question Qwen2.5-Math-7B completes 54.6% of them word for word",
        MEMORIZATION,
    ),
    Pair(
        r"qwen2\.5",
        r"aime[-_]?(20)?24",
        ("Qwen2.5", "AIME 2024"),
        "questions and answers are completed from their beginnings; on a benchmark of after the release they are not",
        MEMORIZATION,
    ),
    Pair(
        r"qwen2\.5",
        r"amc[-_]?(20)?2[0-4]|/amc\b",
        ("Qwen2.5", "AMC"),
        "questions and answers are completed from their beginnings; on a benchmark of after the release they are not",
        MEMORIZATION,
    ),
    Pair(
        r"/phi-[123]|/phi-1",
        r"gsm8k",
        ("Phi", "GSM8K"),
        "on new questions of the same kind (GSM1k) almost every model of the family does worse",
        "arXiv 2405.00332",
    ),
    Pair(
        r"/mi[sx]tral",
        r"gsm8k",
        ("Mistral", "GSM8K"),
        "on new questions of the same kind (GSM1k) almost every model of the family does worse",
        "arXiv 2405.00332",
    ),
)


def known(model: str, dataset: str) -> Pair | None:
    """The pair that a model and a dataset belong to, by their names on the hub."""
    return next(
        (
            pair
            for pair in PAIRS
            if re.search(pair.family, model.lower()) and re.search(pair.benchmark, dataset.lower())
        ),
        None,
    )
