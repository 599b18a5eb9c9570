"""The mutants of the catalogue of checks: one edit each, the check that should see it, and at which kind of look.

`when` is the kind of look at which the edit can be seen at all: ``static`` (the program), ``data`` (some rows, a
tokenizer), ``model`` (forward passes), ``run`` (while training). Only the first two are measured here; the others are
listed as deferred.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from mutation.edits import Edit, Text, argument, calls, every
from mutation.flipped import flipped
from ptc.compiler import core
from ptc.compiler.findings import CHECKS
from ptc.compiler.lineage import Lineage, on_policy, root, supervised
from ptc.compiler.losses import corrects, forms_ratio
from ptc.lang import ast
from ptc.lang.source import Span


@dataclass(frozen=True)
class Recipe:
    """A program with its text, its tree and what the checker made of it."""

    text: Text
    program: core.Program

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.program)

    def declaration(self, stage: core.Stage) -> ast.Stage | None:
        """The text of a stage, of a recipe's stage for the first call alone; None for one of another file."""
        found = next((node for node in every(ast.Stage, self.text.tree) if node.name.span == stage.span), None)
        first = next(other for other in self.program.stages if other.span == stage.span)
        return found if first is stage else None


@dataclass(frozen=True)
class Mutation:
    name: str
    checks: tuple[str, ...]
    """Any of these checks has seen it."""
    when: str
    edits: Callable[[Recipe], Iterator[Edit]]
    fault: Callable[[], AbstractContextManager[object]] = nullcontext
    """What is wrong outside of the program while it is looked at."""

    @property
    def family(self) -> str:
        """The letter of the check that should see it; G for those of a running stage, which have no code yet."""
        return next((check.code[0] for check in CHECKS if check.name == self.checks[0]), "G")


# Finding one's way ----------------------------------------------------------------------------------------------------


def _samples(declaration: ast.Stage) -> Iterator[ast.Call]:
    """The `sample` calls of a stage's own sources."""
    for source in every(ast.Define, declaration.body):
        if source.keyword == "source":
            yield from calls("sample", source)


def _reward_stages(recipe: Recipe) -> Iterator[tuple[core.Stage, ast.Stage]]:
    """Stages that learn from rewards of their own rollouts, with their text."""
    for stage in recipe.program.stages:
        declaration = recipe.declaration(stage)
        if declaration is not None and any(
            on_policy(t) and "reward" in t.wanted.get(_first(t), ()) for t in stage.terms
        ):
            yield stage, declaration


def _supervised_stages(recipe: Recipe) -> Iterator[tuple[core.Stage, ast.Stage]]:
    for stage in recipe.program.stages:
        declaration = recipe.declaration(stage)
        if declaration is not None and all(supervised(term) for term in stage.terms):
            yield stage, declaration


def _first(term: core.Term) -> str:
    return next(iter(term.wanted), "")


def _named(model: core.Model, recipe: Recipe) -> str | None:
    """A name under which a model can be used at the end of the program."""
    name = model.name
    declared = {node.name.id for node in every(ast.Stage, recipe.text.tree)}
    declared |= {node.name.id for node in every(ast.Define, recipe.text.tree) if node.keyword == "model"}
    return name if name.count(".") < 2 and name.split(".")[0] in declared else None


def _trained(declaration: ast.Stage) -> ast.Role:
    return next(role for role in every(ast.Role, declaration.body) if role.verb.id == "train")


def _older(stage: core.Stage, recipe: Recipe) -> str | None:
    """The oldest ancestor of a stage's learner that has a name, older than what the stage starts from."""
    line = [
        name
        for model in recipe.lineage.ancestors(stage.learner.init)[1:]
        if (name := _named(model, recipe)) is not None
    ]
    return line[-1] if line else None


def _argument_set(recipe: Recipe, call: ast.Call, name: str, value: str) -> Edit:
    """An argument of a call with another value, or added."""
    given = argument(call, name)
    if given is not None:
        return recipe.text.replaced(given.value, value)
    end = Span(call.span.end - 1, call.span.end - 1)
    inside = recipe.text.text[: call.span.end - 1].rstrip()
    comma = " " if inside.endswith(",") else ", "
    return Edit(((end, f"{comma}{name} = {value}"),), f"+ {name} = {value} (line {recipe.text.line(call)})")


def _appended(recipe: Recipe, text: str, what: str) -> Edit:
    """Declarations put before the first export or report, or at the end."""
    closing = [s for s in recipe.text.tree.statements if isinstance(s, ast.Export | ast.Report)]
    place = closing[0].span.start if closing else len(recipe.text.text)
    return Edit(((Span(place, place), f"\n{text}\n\n"),), what)


def _imported(recipe: Recipe, name: str) -> str:
    """The import that a name of the library needs, or nothing where the program has it already."""
    known = {each.id for imported in every(ast.Import, recipe.text.tree) for each in imported.names}
    return "" if name in known else f"from std.objectives import {name}\n"


def _line_of_reward_stages(recipe: Recipe) -> Iterator[tuple[core.Stage, ast.Stage, str]]:
    """Reward stages whose result can be named at the end of the program."""
    for stage, declaration in _reward_stages(recipe):
        name = _named(stage.model, recipe)
        if name is not None:
            yield stage, declaration, name


def _stranger(recipe: Recipe) -> str:
    """A model of another family than those that the program trains."""
    roots = {str(root(stage.learner.init).settings.get("name")) for stage in recipe.program.stages}
    return "Qwen/Qwen3-8B" if any("lama" in name for name in roots) else "meta-llama/Llama-3.1-8B"


def _pipeline(declaration: ast.Node) -> ast.Name | None:
    """The name at the head of the first flow of a declaration."""
    head: ast.Expr | None = next(every(ast.Pipe, declaration), None)
    while isinstance(head, ast.Pipe):
        head = head.value
    return head if isinstance(head, ast.Name) else None


def _top_level(recipe: Recipe, name: str) -> tuple[ast.Define, core.Source] | None:
    """A source of the file by its name, with its type."""
    declared = next((d for d in recipe.text.tree.statements if isinstance(d, ast.Define) and d.name.id == name), None)
    typed = next((source for source in recipe.program.sources if source.name == name), None)
    return (declared, typed) if declared is not None and typed is not None else None


# The mutants ----------------------------------------------------------------------------------------------------------


def supervised_on_the_prompts_of_rl(recipe: Recipe) -> Iterator[Edit]:
    """The cold start imitates written answers to the very prompts that RL will use."""
    for stage, declaration in _reward_stages(recipe):
        prompts = _pipeline(declaration.body)
        known = _top_level(recipe, prompts.id) if prompts is not None else None
        for early, early_declaration in _supervised_stages(recipe):
            if known is None or early not in recipe.lineage.before(stage):
                continue
            minimized = next(every(ast.Minimize, early_declaration.body), None)
            loss = minimized.loss if minimized is not None else None
            if not isinstance(loss, ast.Call) or not loss.arguments or known[0].span.end > early_declaration.span.start:
                continue
            answer = "answer" if known[1].type.has("answer") else "prompt"
            yield recipe.text.replaced(loss.arguments[0].value, f"{known[0].name.id} |> respond(.{answer})")


def one_attempt_per_group(recipe: Recipe) -> Iterator[Edit]:
    for stage, declaration in _reward_stages(recipe):
        grouped = any("group" in wanted for term in stage.terms for wanted in term.wanted.values())
        for call in _samples(declaration) if grouped else ():
            yield _argument_set(recipe, call, "n", "1")


def reference_is_the_base(recipe: Recipe) -> Iterator[Edit]:
    """The reference is the model at the root of the line instead of what the stage starts from."""
    for stage in recipe.program.stages:
        declaration = recipe.declaration(stage)
        anchors = {anchor.name for term in stage.terms for anchor in term.anchors}
        base = _older(stage, recipe)
        if declaration is None or base is None:
            continue
        for role in every(ast.Role, declaration.body):
            if role.verb.id == "freeze" and role.name.id in anchors and recipe.text.of(role.value) != base:
                yield recipe.text.replaced(role.value, base)


def truncated_rollouts(recipe: Recipe) -> Iterator[Edit]:
    """Rollouts from a cut distribution under a ratio of whole ones, where no correction is declared."""
    for stage, declaration in _reward_stages(recipe):
        ratio = all(forms_ratio(term) and not corrects(term.loss) for term in stage.terms if on_policy(term))
        for call in _samples(declaration) if ratio else ():
            yield _argument_set(recipe, call, "top_p", "0.9")


def rollouts_are_stale(recipe: Recipe) -> Iterator[Edit]:
    """Rollouts may be older than the objective bears: eight steps, or twice the bound where that is more."""
    for stage in recipe.program.stages:
        declaration = recipe.declaration(stage)
        bounds = [bound for term in stage.terms for bound in term.on_policy.values()]
        lag = max(8, 2 * max(bounds, default=0))
        for call in _samples(declaration) if declaration is not None and bounds else ():
            yield _argument_set(recipe, call, "max_lag", f"{lag} steps")


def template_changes_before_rl(recipe: Recipe) -> Iterator[Edit]:
    for stage, declaration in _reward_stages(recipe):
        if recipe.lineage.before(stage):
            role = _trained(declaration)
            init = recipe.text.of(role.value)
            template = '"{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"'
            yield recipe.text.replaced(role.value, f"retemplate({init}, template = {template})")


def ten_times_the_epochs(recipe: Recipe) -> Iterator[Edit]:
    """The supervised stage directly before RL runs ten times as long."""
    for stage, _ in _reward_stages(recipe):
        before = recipe.lineage.stage_of(stage.learner.init)
        for early, declaration in _supervised_stages(recipe):
            budget = next((s for s in every(ast.Setting, declaration.body) if s.name.id == "budget"), None)
            number = budget.value if budget is not None else None
            if early is before and isinstance(number, ast.Number) and number.unit in ("epoch", "epochs"):
                yield recipe.text.replaced(number, f"{number.value * 10:g} epochs")


def supervised_after_rl(recipe: Recipe) -> Iterator[Edit]:
    """Once RL is done, the first supervised stage is run again on its result."""
    early = next(iter(_supervised_stages(recipe)), None)
    last = list(_line_of_reward_stages(recipe))
    if early is None or not last:
        return
    _, declaration = early
    stage, _, name = last[-1]
    role = _trained(declaration)
    text = recipe.text.of(declaration)
    start = declaration.span.start
    changed = text[: role.value.span.start - start] + name + text[role.value.span.end - start :]
    head = f"stage {declaration.name.id}"
    changed = changed.replace(head, "stage once_more", 1)
    changed = "stage once_more {" + changed.split("{", 1)[1]
    yield _appended(
        recipe, changed + '\n\nexport once_more to "out/once-more"', f"{declaration.name.id} again after {stage.name}"
    )


def teacher_is_an_ancestor(recipe: Recipe) -> Iterator[Edit]:
    """What RL has made is distilled back towards what it started from, on the prompts of RL."""
    for stage, declaration, name in _line_of_reward_stages(recipe):
        ancestor = _named(stage.learner.init, recipe)
        prompts = _pipeline(declaration.body)
        if ancestor is None or prompts is None or _top_level(recipe, prompts.id) is None:
            continue
        text = f"""{_imported(recipe, "reverse_kl")}stage drawn_back {{
  train  student = {name}
  freeze teacher = {ancestor}
  source attempts = {prompts.id} |> sample(student, n = 4, max_tokens = 1Ki)
  minimize reverse_kl(attempts, student, teacher)
  optimizer = adamw(lr = 1e-6)
  batch     = 32 prompts
  budget    = 100 steps
}}

export drawn_back to "out/drawn-back"
"""
        yield _appended(recipe, text, f"{name} distilled towards {ancestor}")


def merge_of_strangers(recipe: Recipe) -> Iterator[Edit]:
    """One model of a merge is of another origin; where nothing is merged, a merge with a stranger is added."""
    merges = list(calls("merge", recipe.text.tree))
    stranger = f'hf.model("{_stranger(recipe)}")'
    for call in merges:
        models = call.arguments[0].value
        if isinstance(models, ast.List) and models.items:
            yield recipe.text.replaced(models.items[-1], stranger)
    if not merges and (last := list(_line_of_reward_stages(recipe))):
        name = last[-1][2]
        text = f'model stranger = {stranger}\nmodel blend = merge([{name}, stranger])\n\nexport blend to "out/blend"'
        yield _appended(recipe, text, f"{name} merged with a stranger")


def eval_prompts_in_training(recipe: Recipe) -> Iterator[Edit]:
    """A judged eval measures on prompts that a stage learns from."""
    judged = {claim.eval.name for stage in recipe.program.stages for claim in stage.claims}
    judged |= {reported.name for reported in recipe.program.reports}
    names = dict.fromkeys(head.id for _, d in _reward_stages(recipe) if (head := _pipeline(d.body)) is not None)
    for known in (found for name in names if (found := _top_level(recipe, name)) is not None):
        for measured in recipe.program.evals:
            place = next((d for d in every(ast.Define, recipe.text.tree) if d.span.end == measured.span.end), None)
            value = place.value if place is not None else None
            readable = set(measured.source.type.columns) <= set(known[1].type.columns)
            if measured.name not in judged or not readable or not isinstance(value, ast.Call):
                continue
            if known[0].span.end <= value.span.start:
                yield recipe.text.replaced(value.arguments[0].value, known[0].name.id)


def hint_at_the_eval(recipe: Recipe) -> Iterator[Edit]:
    reported = {eval_.name for eval_ in recipe.program.reports}
    for measured in every(ast.Define, recipe.text.tree):
        value = measured.value
        if measured.keyword == "eval" and measured.name.id in reported and isinstance(value, ast.Call):
            source = value.arguments[0].value
            yield recipe.text.replaced(source, f'{recipe.text.of(source)} |> hint("Begin with the unit.")')


def reward_model_is_frozen(recipe: Recipe) -> Iterator[Edit]:
    """Every round of a recipe is scored by a reward model that was fitted once, before the first round."""
    for template in every(ast.Recipe, recipe.text.tree):
        rounds = [call for call in calls(template.name.id, recipe.text.tree)]
        stages = [node for node in template.body.statements if isinstance(node, ast.Stage)]
        judges = [node for node in stages if next(calls("reward_head", node), None) is not None]
        if len(rounds) < 3 or not judges:
            continue
        given = {
            p.name.id: recipe.text.of(a.value) for p, a in zip(template.parameters, rounds[0].arguments, strict=True)
        }
        judge = judges[0]
        needed = [node for node in template.body.statements if node.span.end <= judge.span.end]
        copied = "\n".join(recipe.text.of(node) for node in needed)
        for name, value in given.items():
            copied = re.sub(rf"\b{name}\b", value, copied)
        for node in needed:
            copied = re.sub(rf"\b{node.name.id}\b", f"first_{node.name.id}", copied)  # type: ignore[attr-defined]
        at = Span(template.span.start, template.span.start)
        scored = [
            a.value for c in calls("score", template.body) for a in c.arguments if recipe.text.of(a) == judge.name.id
        ]
        changes = ((at, copied + "\n\n"), *((use.span, f"first_{judge.name.id}") for use in scored))
        yield Edit(changes, f"every {template.name.id} is scored by the first {judge.name.id}")


def near_duplicate_pairs(recipe: Recipe) -> Iterator[Edit]:
    """The rejected responses are the chosen ones."""
    for stage in recipe.program.stages:
        for term in stage.terms if recipe.declaration(stage) is not None else ():
            for name, wanted in term.wanted.items():
                if not {"chosen", "rejected"} <= set(wanted):
                    continue
                columns = [f"{c} = .{'chosen' if c == 'rejected' else c}" for c in wanted if c != "prompt"]
                same = f"prompts(.prompt, {', '.join(columns)})"
                source = term.sources[name].name
                declared = next((d for d in every(ast.Define, recipe.text.tree) if d.name.id == source), None)
                if declared is not None:
                    yield recipe.text.replaced(declared.value, f"{recipe.text.of(declared.value)} |> {same}")


def teacher_of_another_tongue(recipe: Recipe) -> Iterator[Edit]:
    """A teacher whose tokenizer is another."""
    for stage in recipe.program.stages:
        declaration = recipe.declaration(stage)
        compared = {role.name for term in stage.terms for e in term.loss.walk() for role in e.models}
        anchors = {anchor.name for term in stage.terms for anchor in term.anchors}
        for role in every(ast.Role, declaration.body) if declaration is not None else ():
            if role.verb.id == "freeze" and role.name.id in compared - anchors:
                yield recipe.text.replaced(role.value, f'hf.model("{_stranger(recipe)}")')


def verifier_is_flipped(recipe: Recipe) -> Iterator[Edit]:
    """The program stays as it is: the verifiers of written answers, wherever rewards come from them, are at fault."""
    names = {
        scorer.name for stage in recipe.program.stages for term in stage.terms for scorer in term.source.type.scorers
    }
    for name in sorted(names & {"exact", "math"}):
        yield Edit((), f"{name} wrong on 60 % of the rows")


def no_cold_start(recipe: Recipe) -> Iterator[Edit]:
    """RL starts from the root model."""
    for stage, declaration in _reward_stages(recipe):
        base = _older(stage, recipe)
        if base is not None:
            yield recipe.text.replaced(_trained(declaration).value, base)


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("RL prompts := SFT prompts", ("cold-start-prompt-reuse",), "static", supervised_on_the_prompts_of_rl),
    Mutation("G := 1", ("group-too-small",), "static", one_attempt_per_group),
    Mutation("reference := base", ("reference-lineage",), "static", reference_is_the_base),
    Mutation("rollouts at top-p 0.9", ("sampling-transform-mismatch",), "static", truncated_rollouts),
    Mutation("lag 8 under a tighter bound", ("too-stale", "staleness-uncorrected"), "static", rollouts_are_stale),
    Mutation("template changed between SFT and RL", ("template-drift",), "data", template_changes_before_rl),
    Mutation("verifier flipped on 60 %", ("verifier-informedness",), "data", verifier_is_flipped, flipped),
    Mutation("priming SFT removed", ("support-probe",), "model", no_cold_start),
    Mutation("10x SFT epochs before RL", ("over-expanded-init",), "static", ten_times_the_epochs),
    Mutation("SFT(B) after RL(A), no replay", ("sft-after-rl-unprotected",), "static", supervised_after_rl),
    Mutation("teacher := ancestor, domain A", ("ancestor-teacher-regression",), "static", teacher_is_an_ancestor),
    Mutation("merge of two inits", ("merge-strangers",), "static", merge_of_strangers),
    Mutation(
        "eval prompts in training", ("eval-in-training", "train-eval-overlap"), "static", eval_prompts_in_training
    ),
    Mutation("hint left in the eval prompt", ("scaffold-at-eval",), "static", hint_at_the_eval),
    Mutation("trainer drops a micro-batch", ("identity-violated",), "run", lambda recipe: iter(())),
    Mutation("reward model frozen for 3 rounds", ("rm-distribution-shift",), "static", reward_model_is_frozen),
    Mutation("near-duplicate pairs", ("pair-degenerate",), "data", near_duplicate_pairs),
    Mutation("teacher with another tokenizer", ("tokenizer-mismatch",), "data", teacher_of_another_tongue),
)
