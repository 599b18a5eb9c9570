"""Types in words: what `ptc check --types` prints, and hover shows.

A source is described by itself: its columns, who generated its responses, what has been done to them. Whether it is on-
or off-policy is a relation between a source and the learner of a stage, and is said stage by stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptc.compiler import core
from ptc.compiler.lineage import sources

# Sources --------------------------------------------------------------------------------------------------------------


def types(program: core.Program) -> dict[str, str]:
    """The type of every named source that holds responses or prompts, those inside stages included."""
    return {source.name: f"{columns(source.type)}  {regime(source.type)}" for source in named_sources(program)}


def lines(program: core.Program) -> tuple[str, ...]:
    """The same as aligned lines."""
    return _aligned([(source.name, columns(source.type), regime(source.type)) for source in named_sources(program)])


def named_sources(program: core.Program) -> Iterator[core.Source]:
    """The sources of a program in the order of the text, those inside stages included."""
    found = {id(source): source for source in program.sources}
    for stage in program.stages:
        for source in (source for term in stage.terms for source in sources(term)):
            if source.name:
                found.setdefault(id(source), source)
    yield from sorted(found.values(), key=lambda source: (source.span.root.start, source.span.start))


def columns(kind: core.Trajectories) -> str:
    listed = [*kind.columns, "…"] if kind.open else list(kind.columns)
    return f"Trajectories{{{', '.join(listed)}}}"


def regime(kind: core.Trajectories) -> str:
    """Who generated the responses, in the survey's words, and what has been done to them since."""
    kept = f"kept where {' and '.join(kind.kept)}" if kind.kept else ""
    return ", ".join([provenance(kind.provenance), *guidance(kind), *filter(None, [kept])])


def guidance(kind: core.Trajectories) -> Iterator[str]:
    """``guided by a hint (dropped)``, ``replayed``."""
    for guided in kind.guidance:
        yield f"guided by a {guided.kind} ({'kept' if guided.kept else 'dropped'} in training)"
    if kind.replayed:
        yield "replayed"


def provenance(who: core.Provenance | None) -> str:
    match who:
        case None:
            return "prompts only"
        case core.External(by=by):
            return f"off-policy: external, by {by}" if by else "off-policy: external"
        case core.Fixed(model=model):
            return f"off-policy: by {model.name or 'a model'} (final weights)"
        case core.Live(role=role, lag=lag):
            return f"on-policy: by {role.stage}.{role.name}, live, lag {lag}"
        case core.Mixed(parts=parts):
            return "mixed: " + "; ".join(provenance(part) for part in parts)


# Stages ---------------------------------------------------------------------------------------------------------------


def regimes(program: core.Program) -> tuple[str, ...]:
    """One aligned line per stage, source and learner: what the one is to the other."""
    rows = [
        (stage.name, f"{called(source)} -> {learner_of(term, stage).name}", relation(source, learner))
        for stage in program.stages
        for term in stage.terms
        for learner in (learner_of(term, stage),)
        for source in sources(term)
    ]
    return _aligned(list(dict.fromkeys(rows)))


def called(source: core.Source) -> str:
    """The name of a source, or of what it is made of: ``right + others``, ``preferences |> …``."""
    if source.name:
        return source.name
    if source.kind in ("concat", "mix"):
        return " + ".join(called(part) for part in source.parts)
    named = called(source.parts[0]) if source.parts else "rows"
    return named if named == "rows" or named.endswith("…") else f"{named} |> …"


def learner_of(term: core.Term, stage: core.Stage) -> core.Role:
    """The role that a term trains."""
    return next((role for role in term.roles.values() if role.verb == "train"), stage.learner)


def relation(source: core.Source, learner: core.Role) -> str:
    """What a source is to a learner: on-policy, its own past, another model's, external, or mixed."""
    who = source.type.provenance
    if isinstance(who, core.Mixed):
        words = "mixed: " + "; ".join(_relation(part, learner)[1] for part in who.parts)
    else:
        policy, detail = _relation(who, learner)
        words = f"{policy}: {detail}" if policy else detail
    partner = _partner(source)
    joined = [f"in the batch of {called(partner)}"] if partner is not None else []
    return ", ".join([words, *joined, *guidance(source.type)])


def _relation(who: core.Provenance | None, learner: core.Role) -> tuple[str, str]:
    """``off-policy`` or nothing, and the rest of the relation."""
    match who:
        case None:
            return "", "prompts only"
        case core.External(by=by):
            return "off-policy", f"external, by {by}" if by else "external"
        case core.Live(role=role, lag=lag) if role is learner:
            return "", f"on-policy (lag {lag})"
        case core.Live(role=role) if role.tracking is not None and role.tracking.follows is learner:
            return "off-policy", f"own past ({role.name}, which follows {learner.name})"
        case core.Live(role=role):
            return "off-policy", f"other model ({role.name}, live)"
        case core.Fixed(model=model) if model is learner.init or model in learner.init.type.ancestry:
            return "off-policy", f"own past ({model.name or 'a model'})"
        case core.Fixed(model=model):
            return "off-policy", f"other model ({model.name or 'a model'})"
        case core.Mixed(parts=parts):
            return "", "; ".join(_relation(part, learner)[1] for part in parts)


def _partner(source: core.Source) -> core.Source | None:
    """The rollouts that a source was joined with."""
    for step in source.upstream():
        if step.kind == "join":
            partner = step.inputs["partner"]
            assert isinstance(partner, core.Source)
            return partner
    return None


def _aligned(rows: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    first = max((len(row[0]) for row in rows), default=0)
    second = max((len(row[1]) for row in rows), default=0)
    return tuple(f"{one:<{first}}  {two:<{second}}  {rest}".rstrip() for one, two, rest in rows)
