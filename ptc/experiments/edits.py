"""Ablations as edits of a tree: a stage left out, two exchanged, another provenance, rewards that say nothing.

Each edit keeps every name, so that what two programs have in common stays one node. An edit that has no meaning for a
program raises `Impossible` with the reason; whether what comes out makes sense is for the checker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ptc.experiments import rewriting
from ptc.experiments.rewriting import callee, declared_in, flow_of, inner, mentions, named, rewritten, steps
from ptc.lang import ast
from ptc.lang.same import walk
from ptc.lang.suggest import closest


class Impossible(ValueError):
    """Why an ablation has no meaning for a program, in a sentence."""


SUFFIX = "_shuffled"


def stages(program: ast.Program) -> list[ast.Stage]:
    """The stages that stand in the program itself: those of a recipe are made by its calls."""
    return [each for each in program.statements if isinstance(each, ast.Stage)]


def stage(program: ast.Program, name: str) -> ast.Stage:
    """The stage of a name."""
    known = {each.name.id: each for each in stages(program)}
    if name in known:
        return known[name]
    guess = closest(name, list(known))
    what = f"did you mean `{guess}`?" if guess else f"it has {', '.join(f'`{each}`' for each in known) or 'none'}"
    raise Impossible(f"the program has no stage `{name}`: {what}")


def trained(stage: ast.Stage) -> list[ast.Role]:
    """The roles that a stage trains."""
    return [each for each in roles(stage) if each.verb.id == "train"]


def roles(stage: ast.Stage) -> list[ast.Role]:
    return [each for each in stage.body.statements if isinstance(each, ast.Role)]


# Leave a stage out ---------------------------------------------------------------------------------------------------


def without_stage(program: ast.Program, name: str) -> ast.Program:
    """Who took the stage takes what it started from: the stage's name is given to that."""
    dropped = stage(program, name)
    learners = trained(dropped)
    if not learners:
        raise Impossible(f"`{name}` trains nothing")
    starts = {role.name.id: role.value for role in roles(dropped)}
    first = learners[0]

    def taken(node: ast.Node) -> ast.Node | None:
        match node:
            case ast.Member(base=ast.Name(id=base), name=member) if base == name and member.id in starts:
                return ast.Name(node.span, name) if member.id == first.name.id else starts[member.id]
            case ast.At(base=ast.Name(id=base)) if base == name:
                return node.base
            case ast.At(base=ast.Member(base=ast.Name(id=base), name=member)) if base == name:
                return ast.Name(node.span, name) if member.id == first.name.id else starts[member.id]
        return None

    def change(statement: ast.Statement) -> Iterator[ast.Statement]:
        if statement is dropped:
            yield ast.Define(
                dropped.span, "model", dropped.name, first.value, comments=dropped.comments, trailing=dropped.trailing
            )
        else:
            yield rewritten(statement, taken)

    return _tidy(program, rewriting.with_statements(program, change))


# Exchange two stages -------------------------------------------------------------------------------------------------


def permuted(program: ast.Program, first: str, second: str) -> ast.Program:
    """Two stages of which one starts from the other, in the other order."""
    one, other = stage(program, first), stage(program, second)
    order = stages(program)
    if order.index(one) > order.index(other):
        one, other = other, one
    first, second = one.name.id, other.name.id
    if not _starts_from(other, first):
        raise Impossible(f"`{second}` does not start from `{first}`")
    start = trained(one)[0].value
    between = program.statements[program.statements.index(one) + 1 : program.statements.index(other)]
    for statement in between:
        if mentions(statement, first):
            what = statement.name.id if isinstance(statement, ast.Define | ast.Stage) else "a statement between them"
            raise Impossible(f"`{what}` is made from `{first}` before `{second}` begins")
    now_first = inner(other, _models({first: start}))
    now_second = _with_start(one, result(other))
    if isinstance(start, ast.Name):
        now_second = inner(now_second, named({start.id: result(other)}))
    exchanged = _models({first: result(other), second: result(one)})
    behind = program.statements.index(other)

    def statements() -> Iterator[ast.Statement]:
        for place, statement in enumerate(program.statements):
            if statement is other:  # both stand where all that the second needs is there
                yield replace(now_first, comments=one.comments)
                yield replace(now_second, comments=other.comments)
            elif statement is not one:
                yield statement if place < behind else rewritten(statement, exchanged)

    return replace(program, statements=tuple(statements()))


def result(stage: ast.Stage) -> ast.Expr:
    """What stands for the model that a stage trains first."""
    name = ast.Name(stage.span, stage.name.id)
    learners = trained(stage)
    return name if len(learners) == 1 else ast.Member(stage.span, name, learners[0].name)


def _models(models: Mapping[str, ast.Expr]) -> rewriting.Change:
    """Exchanges stages as models, whichever of their models is meant."""
    plain = named(models)

    def change(node: ast.Node) -> ast.Node | None:
        match node:
            case ast.Member(base=ast.Name(id=base)) | ast.At(base=ast.Name(id=base)) if base in models:
                return models[base]
            case ast.At(base=ast.Member(base=ast.Name(id=base))) if base in models:
                return models[base]
        return plain(node)

    return change


def _starts_from(stage: ast.Stage, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name for role in trained(stage)[:1] for node in walk(role.value)
    )


def _with_start(stage: ast.Stage, value: ast.Expr) -> ast.Stage:
    first = trained(stage)[0]
    statements = tuple(replace(each, value=value) if each is first else each for each in stage.body.statements)
    return replace(stage, body=replace(stage.body, statements=statements))


# Rewards that say nothing --------------------------------------------------------------------------------------------


def random_rewards(program: ast.Program, name: str) -> ast.Program:
    """The rewards of a stage handed to the wrong attempts: as many of each as before, over the same attempts."""
    target = stage(program, name)
    sources = {each.name.id: each for each in program.statements if isinstance(each, ast.Define)}
    judged: list[str] = []

    def shuffled_flow(flow: ast.Expr) -> ast.Expr | None:
        parts = steps(flow)
        scores = [place for place, step in enumerate(parts) if callee(step.step) == "score"]
        if not scores:
            return None
        last = parts[scores[-1]]
        shuffle = ast.Pipe(last.span, last, rewriting.call(last, "shuffle", ast.Column(last.span, "reward")))
        return flow_of(rewriting.head(flow), [*parts[: scores[-1] + 1], shuffle, *parts[scores[-1] + 1 :]])

    def inside(node: ast.Node) -> ast.Node | None:
        if isinstance(node, ast.Define) and node.keyword == "source":
            flow = shuffled_flow(node.value)
            if flow is not None:
                judged.append(node.name.id)
                return replace(node, value=flow)
        if isinstance(node, ast.Name) and _is_judged(node.id, sources):
            judged.append(node.id)
            return replace(node, id=node.id + SUFFIX)
        return None

    changed = _retargeted(inner(target, inside), {name: name + SUFFIX for name in judged if name in sources})
    if not judged:
        raise Impossible(f"`{name}` learns from no scored attempts")
    copies = {each for each in judged if each in sources}
    copies |= {each for each in sources if _is_judged(each, sources) and any(_needs(c, each, sources) for c in copies)}

    def change(statement: ast.Statement) -> Iterator[ast.Statement]:
        if statement is target:
            yield changed
            return
        yield statement
        if isinstance(statement, ast.Define) and statement.name.id in copies:
            own = replace(statement.name, id=statement.name.id + SUFFIX)
            renamed = {each: ast.Name(statement.span, each + SUFFIX) for each in copies}
            flow = rewritten(statement.value, named(renamed))
            yield replace(statement, name=own, value=shuffled_flow(flow) or flow, comments=(), trailing=None)

    return rewriting.with_statements(program, change)


def _retargeted(stage: ast.Stage, names: Mapping[str, str]) -> ast.Stage:
    """A stage whose ``batch(rows) = …`` are for sources of other names."""
    statements = tuple(
        replace(each, target=replace(each.target, id=names[each.target.id]))
        if isinstance(each, ast.Setting) and each.target is not None and each.target.id in names
        else each
        for each in stage.body.statements
    )
    return replace(stage, body=replace(stage.body, statements=statements))


def _is_judged(name: str, sources: dict[str, ast.Define]) -> bool:
    """Whether a source of the program holds scored attempts, its own or those of a source that it is made from."""
    if name not in sources or sources[name].keyword != "source":
        return False
    flow = sources[name].value
    if any(callee(node) == "score" for node in walk(flow) if isinstance(node, ast.Call)):
        return True
    names = [node.id for node in walk(flow) if isinstance(node, ast.Name) and node.id != name]
    return any(_is_judged(each, sources) for each in names)


def _needs(name: str, other: str, sources: dict[str, ast.Define]) -> bool:
    """Whether a source is made from another."""
    names = [node.id for node in walk(sources[name].value) if isinstance(node, ast.Name)]
    return other in names or any(each in sources and each != name and _needs(each, other, sources) for each in names)


# Another provenance --------------------------------------------------------------------------------------------------


PROVENANCES = ("live", "fixed", "demonstrations")


def swapped(program: ast.Program, source: str, other: str) -> ast.Program:
    """The rows of a source from elsewhere: `live`, `fixed`, `demonstrations`, or another source by its name.

    `live`: what the stage's learner writes as it learns. `fixed`: what the learner wrote before it learned.
    `demonstrations`: the reference answer to each prompt.
    """
    if other == "fixed":
        return _before_learning(program, source)
    if other == "demonstrations":
        return _by_demonstration(program, source)
    if other == "live":
        return _live(program, source)
    names = [each.name.id for each in program.statements if isinstance(each, ast.Define) and each.keyword == "source"]
    if other not in names:
        guess = closest(other, [*names, *PROVENANCES])
        raise Impossible(f"there is no source `{other}`" + (f": did you mean `{guess}`?" if guess else ""))
    _defined(program, source)
    used: list[str] = []

    def take(node: ast.Node) -> ast.Node | None:
        if isinstance(node, ast.Name) and node.id == source:
            used.append(source)
            return replace(node, id=other)
        return None

    def change(statement: ast.Statement) -> Iterator[ast.Statement]:
        yield inner(statement, take) if isinstance(statement, ast.Stage) else statement

    changed = rewriting.with_statements(program, change)
    if not used:
        raise Impossible(f"no stage learns from `{source}`")
    return changed


def _fixed(stage: ast.Stage, flow: ast.Expr) -> ast.Expr:
    starts = {role.name.id: role.value for role in trained(stage)}

    def before(node: ast.Node) -> ast.Node | None:
        if isinstance(node, ast.Call) and callee(node) == "sample":
            return replace(node, arguments=rewritten(node.arguments, named(starts)))
        return None

    if not any(mentions(flow, name) for name in starts):
        raise Impossible(f"`{stage.name.id}` draws no samples of its own there")
    changed: ast.Expr = rewritten(flow, before)
    return changed


def _demonstrated(flow: ast.Expr) -> ast.Expr:
    parts = steps(flow)
    samples = [place for place, step in enumerate(parts) if callee(step.step) == "sample"]
    if not samples:
        raise Impossible("nothing is sampled there")
    step = parts[samples[0]]
    answers = ast.Pipe(step.span, step, rewriting.call(step, "respond", ast.Column(step.span, "answer")))
    return flow_of(rewriting.head(flow), [*parts[: samples[0]], answers])


def _live(program: ast.Program, source: str) -> ast.Program:
    """The source is drawn inside every stage that learns from it, by the stage's learner."""
    define = _defined(program, source)
    parts = steps(define.value)
    where = [place for place, step in enumerate(parts) if callee(step.step) in ("sample", "respond")]
    if not where:
        raise Impossible(f"`{source}` holds no responses that are sampled or given")
    at = where[-1]
    users: list[str] = []

    def drawn(step: ast.Pipe, learner: str) -> ast.Pipe:
        policy = ast.Name(step.span, learner)
        if callee(step.step) == "respond":
            return replace(step, step=rewriting.call(step, "sample", policy))
        assert isinstance(step.step, ast.Call)
        first, *others = step.step.arguments
        return replace(step, step=replace(step.step, arguments=(replace(first, value=policy), *others)))

    def change(statement: ast.Statement) -> Iterator[ast.Statement]:
        if not isinstance(statement, ast.Stage) or not _learns_from(statement, source):
            yield statement
            return
        users.append(statement.name.id)
        learner = trained(statement)[0].name.id
        flow = flow_of(rewriting.head(define.value), [*parts[:at], drawn(parts[at], learner), *parts[at + 1 :]])
        place = 1 + max(i for i, each in enumerate(statement.body.statements) if isinstance(each, ast.Role))
        own_name = f"live_{source}"
        renamed = inner(statement, named({source: ast.Name(statement.span, own_name)}))
        renamed = _retargeted(renamed, {source: own_name})
        own = ast.Define(statement.span, "source", replace(define.name, id=own_name), flow)
        body = [*renamed.body.statements[:place], own, *renamed.body.statements[place:]]
        yield replace(renamed, body=replace(renamed.body, statements=tuple(body)))

    changed = rewriting.with_statements(program, change)
    if not users:
        raise Impossible(f"no stage learns from `{source}`")
    return changed


def _learns_from(stage: ast.Stage, source: str) -> bool:
    return source not in declared_in(stage) and any(
        mentions(each, source) for each in stage.body.statements if isinstance(each, ast.Minimize | ast.Define)
    )


def _defined(program: ast.Program, source: str) -> ast.Define:
    known = {each.name.id: each for each in program.statements if isinstance(each, ast.Define)}
    if source not in known or known[source].keyword != "source":
        names = [name for name, each in known.items() if each.keyword == "source"]
        guess = closest(source, names)
        raise Impossible(f"the program has no source `{source}`" + (f": did you mean `{guess}`?" if guess else ""))
    return known[source]


def _before_learning(program: ast.Program, source: str) -> ast.Program:
    """What stages declare under a name, drawn from the weights that they start from."""
    found: list[str] = []

    def change(statement: ast.Statement) -> Iterator[ast.Statement]:
        if not isinstance(statement, ast.Stage) or source not in declared_in(statement):
            yield statement
            return
        found.append(statement.name.id)
        body = tuple(
            replace(each, value=_fixed(statement, each.value))
            if isinstance(each, ast.Define) and each.name.id == source
            else each
            for each in statement.body.statements
        )
        yield replace(statement, body=replace(statement.body, statements=body))

    changed = rewriting.with_statements(program, change)
    if not found:
        known = [name for each in stages(program) for name in declared_in(each)]
        guess = closest(source, known)
        raise Impossible(
            f"no stage has a source `{source}` of its own" + (f": did you mean `{guess}`?" if guess else "")
        )
    return changed


def _by_demonstration(program: ast.Program, source: str) -> ast.Program:
    """A source of the program, or of a stage, with the reference answers in the place of samples."""
    found: list[str] = []

    def other(node: ast.Node) -> ast.Node | None:
        if isinstance(node, ast.Define) and node.keyword == "source" and node.name.id == source:
            found.append(source)
            return replace(node, value=_demonstrated(node.value))
        return None

    changed: ast.Program = rewritten(program, other)
    if not found:
        raise Impossible(f"the program has no source `{source}`")
    return changed


# What nobody uses any more -------------------------------------------------------------------------------------------


def _tidy(before: ast.Program, after: ast.Program) -> ast.Program:
    """Without the imports that only what was left out had used."""
    used = {
        node.id
        for statement in after.statements
        if not isinstance(statement, ast.Import)
        for node in walk(statement)
        if isinstance(node, ast.Name)
    }

    def change(statement: ast.Statement) -> Iterator[ast.Statement]:
        if isinstance(statement, ast.Import):
            names = tuple(name for name in statement.names if name.id in used)
            if names:
                yield replace(statement, names=names)
        else:
            yield statement

    return rewriting.with_statements(after, change)
