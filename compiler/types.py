"""Types in words: what `ptc check --types` prints, and hover shows."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core


def types(program: core.Program) -> dict[str, str]:
    """The type of every named source that holds responses or prompts, and the stages' sources with their regime."""
    return {source.name: f"{columns(source.type)}  {regime(source.type)}" for source in named_sources(program)}


def lines(program: core.Program) -> tuple[str, ...]:
    """The same as aligned lines."""
    rows = [(source.name, columns(source.type), regime(source.type)) for source in named_sources(program)]
    names = max((len(name) for name, _, _ in rows), default=0)
    widths = max((len(kind) for _, kind, _ in rows), default=0)
    return tuple(f"{name:<{names}}  {kind:<{widths}}  {words}".rstrip() for name, kind, words in rows)


def named_sources(program: core.Program) -> Iterator[core.Source]:
    """The sources of a program in the order of the text, those inside stages included."""
    found = {id(source): source for source in program.sources}
    for stage in program.stages:
        for term in stage.terms:
            if term.source.name:
                found.setdefault(id(term.source), term.source)
    yield from sorted(found.values(), key=lambda source: source.span.start)


def columns(kind: core.Trajectories) -> str:
    listed = [*kind.columns, "…"] if kind.open else list(kind.columns)
    return f"Trajectories{{{', '.join(listed)}}}"


def regime(kind: core.Trajectories) -> str:
    """Who generated the responses, in the survey's words."""
    words = provenance(kind.provenance)
    return f"{words}, kept where {' and '.join(kind.kept)}" if kind.kept else words


def provenance(who: core.Provenance | None) -> str:
    match who:
        case None:
            return "prompts only"
        case core.External():
            return "off-policy: external"
        case core.Fixed(model=model):
            return f"off-policy: by {model.name or 'a model'} (final weights)"
        case core.Live(role=role, lag=lag):
            return f"on-policy: by {role.stage}.{role.name}, live, lag {lag}"
        case core.Mixed(parts=parts):
            return "mixed: " + "; ".join(provenance(part) for part in parts)
