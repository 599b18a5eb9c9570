"""What this version's runtime cannot carry out yet, of a program that is right.

`ptc check` never asks: a program may be whole and sound long before everything in it can be run. `ptc plan` and
`ptc run` do, before anything starts. Whoever teaches the runtime something takes its refusal out of here.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.source import Span

ORIGINS = ("gym", "file", "hub_dataset", "extern_source")
ROWWISE = (
    *("prompts", "slice", "take", "respond", "keep", "shuffle", "concat", "unique", "without", "chat", "split_steps"),
    *("from_verl", "from_open_instruct", "from_sharegpt", "replay"),
    *("only", "best", "best_and_worst", "mix", "join", "against", "hint", "prefix"),
)
"""Steps on rows that stand still."""
SOURCES = frozenset((*ORIGINS, *ROWWISE, "sample", "score", "refill"))
LIVE_STEPS = frozenset(
    (
        *("sample", "score", "keep", "only", "best", "best_and_worst", "shuffle", "split_steps"),
        *("replay", "refill", "concat", "mix", "join"),
    )
)
"""Steps that can be taken while a stage runs."""
MODELS = frozenset(
    (
        *("new_model", "local_model", "hub_model", "train"),
        *("lora", "merge_adapter", "value_head", "reward_head", "retemplate", "merge", "checkpoint"),
    )
)
TOKENIZERS = frozenset(("characters", "bpe", "tokenizer_of", "files"))
EVALS = frozenset(("pass_rate", "reward", "win_rate", "bits_per_character"))
MEASURES = frozenset(("informative_rate", "value", "kl"))
OPERATIONS = frozenset(
    (
        *("constant", "anneal", "column", "length", "logp", "logp_all", "value", "score"),
        *("add", "sub", "mul", "div", "neg", "min", "max", "clamp", "stop", "where"),
        *("eq", "ne", "lt", "le", "gt", "ge"),
        *("exp", "log", "log1p", "sqrt", "abs", "sigmoid", "log_sigmoid"),
        *("mean", "sum", "std", "count", "min_over", "max_over"),
        *("suffix_sum", "suffix_min", "at_end", "gae", "transport"),
        *("extern", "rows"),
    )
)
"""Operations of a loss; a test holds them equal to those of the runtime."""


def unsupported(program: core.Program) -> tuple[Diagnostic, ...]:
    """One refusal for each place that cannot be run yet, with what to do instead."""
    refusals = Findings()
    for span, what, remedy in _refused(program):
        helps = (remedy,) if remedy else ()
        refusals.add("N110", f"{what} cannot be run in this version", [at(span, "checked, not run")], helps=helps)
    return tuple(refusals.found)


Refusal = tuple[Span, str, str]
"""The place, what stands there in the user's words, and what to do instead (or nothing)."""


def _refused(program: core.Program) -> Iterator[Refusal]:
    seen: set[int] = set()
    for source in program.sources:
        yield from _made(source, seen)
    for model in program.models:
        yield from _made(model, seen)
    for measured in program.evals:
        yield from _eval(measured, seen)
    for stage in program.stages:
        yield from _stage(stage, seen)
    for export in program.exports:
        yield from _made(export.model, seen)
    for protect in program.protects:
        yield from _eval(protect.eval, seen)


# Rows and models ------------------------------------------------------------------------------------------------------


def _made(thing: core.Input, seen: set[int]) -> Iterator[Refusal]:
    """What a source or a model is made from, and itself; each thing once."""
    waiting = [thing]
    while waiting:  # without recursion: a line may be as long as the program
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        match one:
            case core.Role():
                waiting.append(one.init)
                continue
            case core.Source():
                yield from _source(one)
            case core.Model() if one.kind not in MODELS:
                yield one.span, f"`{one.kind}`", ""
            case core.Tokenizer() if one.kind not in TOKENIZERS:
                yield one.span, f"`{one.kind}`", ""
        waiting.extend(reversed([*one.inputs.values()]))


def _source(source: core.Source) -> Iterator[Refusal]:
    if source.kind not in SOURCES:
        yield source.span, f"`{source.kind}`", ""
    elif source.live is not None and source.kind not in LIVE_STEPS:
        yield source.span, f"`{source.kind}` on rows that are sampled while the stage runs", ""


def _eval(measured: core.Eval, seen: set[int]) -> Iterator[Refusal]:
    if id(measured) in seen:
        return
    seen.add(id(measured))
    yield from _made(measured.source, seen)
    if measured.kind not in EVALS:
        yield measured.span, f"the eval `{measured.kind}`", "pass_rate(held_out, exact)"
    if measured.scaffold == "search":
        yield measured.places.get("scaffold", measured.span), "a search", 'scaffold = "best_of_n"'
    for model in (*(scorer.model for scorer in measured.scorers), measured.against):
        if model is not None:
            yield from _made(model, seen)


# Stages ---------------------------------------------------------------------------------------------------------------


def _stage(stage: core.Stage, seen: set[int]) -> Iterator[Refusal]:
    for role in stage.roles:
        yield from _made(role.init, seen)
    for term in stage.terms:
        yield from _term(stage, term, seen)
    for measured in (*(claim.eval for claim in stage.claims), *(watch.eval for watch in stage.watches)):
        yield from _eval(measured, seen)
    for gate in stage.gates:
        if gate.measure not in MEASURES:
            yield gate.span, f"a gate on `{gate.measure}`", ""


def _term(stage: core.Stage, term: core.Term, seen: set[int]) -> Iterator[Refusal]:
    for source in term.sources.values() or (term.source,):
        yield from _made(source, seen)
    yield from ((term.span, what, "") for what in _unknown_to_the_runtime(term.loss))


def _unknown_to_the_runtime(loss: core.Expression) -> Iterator[str]:
    """What the runtime cannot evaluate of a loss, in words."""
    for op in sorted({part.op for part in loss.walk()} - OPERATIONS):
        yield f"an objective with `{op}`"
