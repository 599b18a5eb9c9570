"""Which ablations of a program there are, each as the text of a program that checks, or with the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptc import api
from ptc.compiler.graph import Graph
from ptc.experiments import edits, matching
from ptc.experiments.edits import Impossible
from ptc.lang import ast
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.format import lay_out
from ptc.lang.parse import parse
from ptc.lang.same import walk
from ptc.lang.source import Source

CLAIMS = frozenset({"R306", "R309", "R316"})
"""What the checker says of a claim that an edit has made impossible: the claim goes, the stage stays."""


@dataclass(frozen=True)
class Wish:
    """What is asked for: stages to leave out, pairs to exchange, sources to take from elsewhere, rewards to shuffle."""

    drop: Sequence[str] = ()
    permute: Sequence[tuple[str, str]] = ()
    swap: Sequence[tuple[str, str]] = ()
    random_reward: Sequence[str] = ()
    all: bool = False
    matched: bool = True


@dataclass(frozen=True)
class Ablation:
    """One edit of a program. `checked` is None, and `refused` says why, for one that cannot run."""

    name: str
    """``without-reasoner``: also the name of its file."""
    title: str
    text: str = ""
    checked: api.CheckResult | None = None
    refused: str = ""
    budget: str = ""
    """How its budget compares, in a sentence."""
    matched: bool = True
    unclaimed: tuple[str, ...] = ()
    """Stages whose claims went, because nothing there could produce them any more."""

    @property
    def source(self) -> Source:
        assert self.checked is not None
        return self.checked.source


Edit = Callable[[ast.Program], ast.Program]


@dataclass(frozen=True)
class _Idea:
    """An edit before it is tried."""

    name: str
    title: str
    edit: Edit
    dropped: str = ""


def ablations(result: api.CheckResult, wish: Wish, check: Callable[[Source], api.CheckResult]) -> list[Ablation]:
    """What is asked for, in the order asked; of all that there are, those that check come with those that do not."""
    assert result.checked is not None
    tree = result.checked.tree
    graph = api.compiled(result)
    ideas = {idea.name: idea for idea in (*_asked(wish), *(_all(tree) if wish.all else ()))}
    return [_Trying(result.source, tree, graph, idea, wish.matched, check).ablation() for idea in ideas.values()]


# What there is to try ------------------------------------------------------------------------------------------------


def _asked(wish: Wish) -> Iterator[_Idea]:
    yield from map(_drop, wish.drop)
    yield from (_permute(*pair) for pair in wish.permute)
    yield from (_swap(*pair) for pair in wish.swap)
    yield from map(_random, wish.random_reward)


def _drop(name: str) -> _Idea:
    return _Idea(f"without-{name}", f"without `{name}`", lambda tree: edits.without_stage(tree, name), name)


def _permute(first: str, second: str) -> _Idea:
    title = f"`{second}` before `{first}`"
    return _Idea(f"{second}-before-{first}", title, lambda tree: edits.permuted(tree, first, second))


def _swap(source: str, other: str) -> _Idea:
    word = other if other in edits.PROVENANCES else f"`{other}`"
    title = f"`{source}` from {word}" if word != other else f"`{source}` {word}"
    return _Idea(f"{source}-{other}", title, lambda tree: edits.swapped(tree, source, other))


def _random(name: str) -> _Idea:
    title = f"`{name}` with shuffled rewards"
    return _Idea(f"random-reward-{name}", title, lambda tree: edits.random_rewards(tree, name))


def _all(tree: ast.Program) -> Iterator[_Idea]:
    """Every ablation that has a meaning for the program; what its edit says to be impossible is none of them."""
    names = [each.name.id for each in edits.stages(tree)]
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    sources = [each.name.id for each in walk(tree) if isinstance(each, ast.Define) and each.keyword == "source"]
    ideas = [
        *map(_drop, names),
        *(_permute(*pair) for pair in pairs),
        *(_swap(source, kind) for source in reversed(sources) for kind in edits.PROVENANCES),
        *map(_random, names),
    ]
    for idea in ideas:
        try:
            idea.edit(tree)
        except Impossible:
            continue
        yield idea


# Trying --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Trying:
    source: Source
    tree: ast.Program
    graph: Graph
    idea: _Idea
    match: bool
    check: Callable[[Source], api.CheckResult]

    def ablation(self) -> Ablation:
        idea = self.idea
        try:
            edited = idea.edit(self.tree)
        except Impossible as impossible:
            return Ablation(idea.name, idea.title, refused=str(impossible))
        budget, matched = "the same steps of every stage", True
        if idea.dropped:
            edited, budget, matched = self._with_budget(edited, idea.dropped)
        result = self._checked(edited)
        unclaimed: list[str] = []
        while not result.sound and _claim_alone(result):
            stage = _claiming(result)
            if stage is None:
                break
            unclaimed.append(stage.name.id)
            edited = _without_claims(edited, stage.name.id)
            result = self._checked(edited)
        found = Ablation(idea.name, idea.title, result.source.text, result, "", budget, matched, tuple(unclaimed))
        if not result.sound:
            errors = "; ".join(_said(each) for each in result.diagnostics if each.severity == "error")
            return replace(found, refused=f"the program does not check: {errors}")
        return found

    def _checked(self, edited: ast.Program) -> api.CheckResult:
        path = Path(self.source.path)
        text = f"# {path.name}: {self.idea.title.replace('`', '')}.\n{lay_out(edited)}"
        return self.check(Source(str(path.with_name(f"{path.stem}-{self.idea.name}.pt")), text))

    def _with_budget(self, edited: ast.Program, dropped: str) -> tuple[ast.Program, str, bool]:
        """The budget of the stage that is left out goes to the one that goes on in its place."""
        lost = matching.learning(self.graph, dropped)
        if not self.match:
            return edited, f"the budget of `{dropped}` is nobody's", False
        to = matching.heir(self.tree, dropped)
        if to is None:
            return edited, f"nobody goes on where `{dropped}` stood: its budget is nobody's", False
        own = matching.learning(self.graph, to)
        if lost is None or own is None:
            return edited, f"how long `{dropped}` learns is known once the data is read: its budget is nobody's", False
        steps = own.steps + max(1, round(lost.samples / own.per_step))
        words = (
            f"`{to}` learns for {steps:,} steps instead of {own.steps:,}: "
            f"the {lost.samples:,} samples of `{dropped}` are its own"
        )
        return matching.with_budget(edited, to, steps), words, True


def _said(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.title} [{diagnostic.code}]"


def _claim_alone(result: api.CheckResult) -> bool:
    return {each.code for each in result.diagnostics if each.severity == "error"} <= CLAIMS


def _claiming(result: api.CheckResult) -> ast.Stage | None:
    """The first stage with a claim that something is found about."""
    tree, _ = parse(result.source)
    for diagnostic in result.diagnostics:
        if diagnostic.severity == "error":
            for stage in edits.stages(tree):
                inside = any(stage.span.start <= label.span.start < stage.span.end for label in diagnostic.labels)
                if inside and stage.claims:
                    return stage
    return None


def _without_claims(program: ast.Program, name: str) -> ast.Program:
    stage = edits.stage(program, name)
    return replace(
        program,
        statements=tuple(replace(each, claims=()) if each is stage else each for each in program.statements),
    )
