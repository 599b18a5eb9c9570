"""How many rows and steps there are, as far as the text says: generators know their size, files are not opened."""

from __future__ import annotations

from math import ceil

from ptc.compiler import core


def rows(source: core.Source) -> int | None:
    """How many rows a source has at most; None where a file must be read to know."""
    if source.kind == "gym":
        return int(source.settings["size"])
    parts = [rows(part) for part in source.parts]
    if not parts or None in parts:
        return None
    total = sum(part for part in parts if part is not None)
    match source.kind:
        case "slice":
            return ceil(total * float(source.settings["to"] - source.settings["from"]))
        case "take":
            return min(total, int(source.settings["count"]))
        case "sample":
            return total * int(source.settings["n"])
        case _:
            return total


def steps(stage: core.Stage) -> int | None:
    """How many optimizer steps a stage has at most; None where the data must be read to know."""
    if stage.budget.unit == "steps":
        return stage.budget.count
    first = stage.terms[0].source
    drawn, batch = rows(first), stage.batch[first]
    if drawn is None:
        return None
    sampling = first.type.sampling
    if batch.unit == "prompts" and sampling is not None:
        drawn = ceil(drawn / sampling.n)
    sources = [source for term in stage.terms for source in (term.source, *term.sources.values())]
    rolled = first.live is not None or all(source.live is None for source in sources)
    passes = stage.passes if rolled else 1  # fixed rows beside sampled ones are not gone over again
    return ceil(stage.budget.count * passes * ceil(drawn / batch.count))
