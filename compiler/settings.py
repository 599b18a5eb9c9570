"""Settings of a stage: how much a step draws, how long it goes on, by which optimizer, and what is done with a row."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.arguments import Parameter, listed
from ptc.compiler.calls import dotted
from ptc.compiler.drafts import Draft
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.lineage import drawn
from ptc.compiler.losses import compares_attempts
from ptc.compiler.names import NAMES, Name, hint, known_elsewhere
from ptc.compiler.optimizers import Optimizer, Optimizers
from ptc.compiler.scope import Poison
from ptc.compiler.translation import as_setting, settings_of, text_of
from ptc.compiler.unneeded import answer
from ptc.compiler.values import Unknown, count, read
from ptc.lang import ast
from ptc.lang.same import walk
from ptc.lang.source import Span
from ptc.lang.suggest import closest

EXAMPLES = {
    "batch": ["batch = 64 samples", "batch = 32 prompts"],
    "budget": ["budget = 2 epochs", "budget = 100 steps"],
    "optimizer": ["optimizer = adamw(lr = 1e-6)"],
}
"""A setting as a program writes it, for an editor to propose."""

SIMPLE = (
    listed("stage", "max_length", "tokens", least=2),
    Parameter("seed", "int", 0, least=0),
    listed("stage", "truncate", "text", ("error", "drop", "left", "right", "split")),
    listed("stage", "mask", "text", ("assistant", "all", "last")),
    listed("stage", "on_zero_std", "text", ("keep", "drop")),
    listed("stage", "dropout", "real", least=0, most=1, optional=True),
    listed("stage", "precompute", "flag"),
)
"""Settings with one value each."""
COUNTED = ("batch", "budget", "rollout", "passes")
SETTINGS = ("batch", "budget", "optimizer", "rollout", "passes", *(parameter.name for parameter in SIMPLE))
TARGETED = {"batch": "source", "optimizer": "role"}
"""Settings that may be given for one source or one role, and for which."""


@dataclass(frozen=True)
class Settled:
    """What the settings of a stage mean."""

    batch: dict[core.Source, core.Count]
    budget: core.Count
    optimizer: Optimizer
    optimizers: dict[str, Optimizer]
    rollout: core.Count | None
    passes: int
    others: dict[str, Json]

    @property
    def places(self) -> dict[str, Span]:
        """Where the arguments of the optimizers are written: ``lr``, and ``critic.lr`` of a role's own."""
        own = {f"{role}.{name}": span for role, each in self.optimizers.items() for name, span in each.places.items()}
        return {**self.optimizer.places, **own}


@dataclass(frozen=True)
class Settings:
    """Elaborates the settings of a stage."""

    findings: Findings
    optimizers: Optimizers

    def add(self, draft: Draft, statement: ast.Setting) -> None:
        """Takes a setting down; one that is not known is reported."""
        name, target = statement.name, statement.target
        if name.id not in SETTINGS:
            draft.sound = False
            draft.meant |= self._unknown(name, draft)
        elif target is None:
            draft.settings.setdefault(name.id, statement)  # a second one is reported by the parser
        elif name.id in TARGETED:
            draft.targeted.setdefault(name.id, {}).setdefault(target.id, statement)
        else:
            draft.sound = False
            self.findings.add(
                "N120",
                f"`{name.id}` is the whole stage's",
                [at(target.span, "cannot have one of its own")],
                [f"{' and '.join(f'`{word}`' for word in TARGETED)} may be given for one of them"],
                [f"{name.id} = …"],
            )

    def _unknown(self, name: ast.Name, draft: Draft) -> set[str]:
        """Reports a setting that is not there; the settings that it probably meant."""
        around = settings_of(draft.declaration.body.statements)
        if (objective := _whose_argument(name.id, draft)) is not None:
            title = f"`{name.id}` is an argument of `{objective.where}`"
            helps = as_setting(objective, name.id, around)
            self.findings.add("N105", title, [at(name.span, "not a setting")], helps=helps)
            return set()
        row, guess = known_elsewhere(name.id, "stage"), closest(name.id, SETTINGS)
        said = None if row is not None else answer(name.id, text_of(around[name.id]))
        notes: list[str] = []
        if row is not None:
            title, helps = hint(name.id, "stage") or "", as_setting(row, name.id, around)
            if row.where == "profile":
                notes = ["a profile says where and how:  ptc run FILE --profile profile.toml"]
        elif said is not None:
            title, helps = said
        else:
            title, helps = f"a stage has no setting `{name.id}`", [f"did you mean `{guess}`?"] if guess else []
            notes = [f"its settings are {', '.join(f'`{word}`' for word in SETTINGS)}"]
        self.findings.add("N105", title, [at(name.span, "not a setting")], notes, helps)
        if said is not None:
            return set()
        meant = row.ours if row is not None else guess or ""
        return {"optimizer" if row is not None and row.where == "adamw" else meant}

    def settled(self, draft: Draft) -> Settled | None:
        """All settings together; None after a report. Every one is looked at, whatever the others are."""
        budget = self._budget(draft)
        optimizer, optimizers = self._optimizers(draft)
        batch = self._batches(draft)
        rollout, passes = self._rollout(draft, batch)
        others = self._others(draft)
        if budget is None or optimizer is None or optimizers is None or batch is None or others is None:
            return None
        if isinstance(rollout, Unknown) or isinstance(passes, Unknown):
            return None
        return Settled(batch, budget, optimizer, optimizers, rollout, passes, others)

    def _budget(self, draft: Draft) -> core.Count | None:
        setting = draft.settings.get("budget")
        if setting is None:
            if draft.lacks("budget"):
                self.findings.add(
                    "L501",
                    f"stage `{draft.name}` has no budget",
                    [at(draft.declaration.name.span, "would never end")],
                    helps=["budget = 2 epochs", "budget = 100 steps"],
                )
            return None
        return count(setting.value, draft.scope, ("steps", "epochs"), "`budget`", 100)

    # Optimizers -------------------------------------------------------------------------------------------------------

    def _optimizers(self, draft: Draft) -> tuple[Optimizer | None, dict[str, Optimizer] | None]:
        """The common optimizer, or that of the learner, and those of the roles that have their own."""
        budget = draft.settings.get("budget")
        span = budget.value if budget is not None else None
        setting, own = draft.settings.get("optimizer"), draft.targeted.get("optimizer", {})
        found = {name: self.optimizers.optimizer(each.value, span, draft.scope) for name, each in own.items()}
        self._idle(draft, "optimizer", own, [role.name for role in draft.trained])
        optimizers = {name: each for name, each in found.items() if each is not None}
        whole = len(optimizers) == len(found)
        if setting is not None:
            return self.optimizers.optimizer(setting.value, span, draft.scope), optimizers if whole else None
        without = [role.name for role in draft.trained if role.name not in own]
        if without or not draft.trained:
            self._no_optimizer(draft, without if own else [])
            return None, None
        return optimizers.get(draft.learner.name), optimizers if whole else None

    def _no_optimizer(self, draft: Draft, roles: list[str]) -> None:
        if draft.lacks("optimizer"):
            what = f"`{roles[0]}` of stage `{draft.name}`" if roles else f"stage `{draft.name}`"
            place = f"optimizer({roles[0]})" if roles else "optimizer"
            self.findings.add(
                "N104",
                f"{what} has no optimizer",
                [at(draft.declaration.name.span, "no learning rate")],
                helps=[f"{place} = adamw(lr = 1e-6)"],
            )

    # Batches ----------------------------------------------------------------------------------------------------------

    def _batches(self, draft: Draft) -> dict[core.Source, core.Count] | None:
        setting, own = draft.settings.get("batch"), draft.targeted.get("batch", {})
        common = None
        if setting is not None:
            common = count(setting.value, draft.scope, ("prompts", "samples"), "`batch`", 64)
            if common is None:
                return None
        learned = list(draft.learned_from())
        if own and draft.readable and draft.sound:
            self._idle(draft, "batch", own, [name for name in draft.scope.visible() if _named(name, draft) in learned])
        batches: dict[core.Source, core.Count] = {}
        for source in learned:
            written = _batch_of(source, own, draft)
            size = common
            if written is not None:
                size = count(written.value, draft.scope, ("prompts", "samples"), "`batch`", 64)
                if size is None:
                    return None
            if size is None:
                self._no_batch(draft, source)
                return None
            batches[source] = size
            if _grouped(draft, source):
                self._whole_groups(source, size, written or setting)
        if not draft.terms and setting is None and not own:
            self._no_batch(draft, None)
        return batches

    def _no_batch(self, draft: Draft, source: core.Source | None) -> None:
        if not draft.lacks("batch"):
            return
        name = draft.declaration.name
        alone = source is None or not draft.targeted.get("batch")
        self.findings.add(
            "L502",
            f"stage `{draft.name}` has no batch" if alone or source is None else f"`{source.name}` has no batch",
            [at(name.span, "how much does one optimizer step draw?")],
            helps=["batch = 64 samples", "batch = 32 prompts"]
            if alone or source is None
            else [f"batch({source.name}) = 64 samples"],
        )

    def _whole_groups(self, source: core.Source, size: core.Count, setting: ast.Setting | None) -> None:
        if size.unit != "samples" or setting is None:
            return
        sizes = ((part, part.type.sampling.n) for part in drawn(source) if part.type.sampling is not None)
        split = next(((part, attempts) for part, attempts in sizes if size.count % attempts), None)
        if split is None:
            return
        part, attempts = split
        sample = next(step for step in part.upstream() if step.kind == "sample")
        self.findings.add(
            "L503",
            f"a batch of {size.count} samples splits groups of {attempts}",
            [at(setting.value.span, "not a multiple"), at(sample.span, f"n = {attempts}")],
            helps=[f"batch = {max(1, round(size.count / attempts))} prompts"],
        )

    def _idle(self, draft: Draft, setting: str, own: dict[str, ast.Setting], known: list[str]) -> None:
        """N120: a setting of something that the stage does not use."""
        if not draft.readable:
            return
        for name, statement in own.items():
            target = statement.target
            declared = draft.scope.find(name)
            if name in known or target is None or (declared is not None and isinstance(declared.thing, Poison)):
                continue
            guess = closest(name, known)
            what = "no objective of this stage reads" if setting == "batch" else "this stage does not train"
            self.findings.add(
                "N120",
                f"`{setting}({name})` is for nothing: {what} `{name}`",
                [at(target.span, f"no {TARGETED[setting]} of this name is used")],
                [f"there are {', '.join(f'`{word}`' for word in known)}"] if known else [],
                [f"did you mean `{setting}({guess})`?"] if guess else [],
            )
            draft.sound = False
            draft.meant.add(setting)

    # Rollouts ---------------------------------------------------------------------------------------------------------

    def _rollout(
        self, draft: Draft, batches: dict[core.Source, core.Count] | None
    ) -> tuple[core.Count | Unknown | None, int | Unknown]:
        """What is sampled at once, and how often it is used."""
        setting = draft.settings.get("rollout")
        again = draft.settings.get("passes")
        passes = 1 if again is None else read(Parameter("passes", "int", 1, least=1), again.value, draft.scope)
        rollout: core.Count | Unknown | None = None
        if setting is not None:
            rollout = count(setting.value, draft.scope, ("prompts",), "`rollout`", 512) or Unknown()
        live = next((source for source in batches or () if source.live is not None), None)
        for written in (setting, None if _asks_of_the_start(draft) else again):
            if written is not None and batches and live is None:
                self.findings.add(
                    "N120",
                    f"`{written.name.id}` is for nothing: no source of this stage is sampled while it runs",
                    [at(written.name.span, "samples what?")],
                    helps=["source rollouts = problems |> sample(policy, n = 8)"],
                )
                return Unknown(), Unknown()
        if setting is not None and live is not None and batches and isinstance(rollout, core.Count):
            self._whole_batches(rollout, batches[live], live, setting)
        return rollout, passes if isinstance(passes, int) else Unknown()

    def _whole_batches(self, rollout: core.Count, batch: core.Count, live: core.Source, setting: ast.Setting) -> None:
        """A rollout is learned from in whole batches."""
        prompts = batch.count
        if batch.unit == "samples" and live.type.sampling is not None:
            prompts = max(1, batch.count // live.type.sampling.n)
        if rollout.count % prompts:
            nearest = max(1, round(rollout.count / prompts)) * prompts
            self.findings.add(
                "U204",
                f"a rollout of {rollout.count} prompts is no whole number of batches",
                [at(setting.value.span, f"{rollout.count} prompts, and a batch is {prompts}")],
                helps=[f"rollout = {nearest} prompts"],
            )

    def _others(self, draft: Draft) -> dict[str, Json] | None:
        values: dict[str, Json] = {}
        whole = True
        for parameter in SIMPLE:
            setting = draft.settings.get(parameter.name)
            value = parameter.default if setting is None else read(parameter, setting.value, draft.scope)
            whole &= not isinstance(value, Unknown)
            values[parameter.name] = value
        return values if whole else None


def _named(name: str, draft: Draft) -> core.Source | None:
    """The source that a name stands for in the stage."""
    entry = draft.scope.find(name)
    return entry.thing if entry is not None and isinstance(entry.thing, core.Source) else None


def _whose_argument(word: str, draft: Draft) -> Name | None:
    """The row of an objective that this stage minimizes, and that knows the word, be it by TRL's name."""
    losses = (each.loss for each in draft.declaration.body.statements if isinstance(each, ast.Minimize))
    called = {dotted(each.callee) for loss in losses for each in walk(loss) if isinstance(each, ast.Call)}
    return next((row for row in NAMES if row.where in called and word in (row.ours, *row.trl)), None)


def _batch_of(source: core.Source, own: dict[str, ast.Setting], draft: Draft) -> ast.Setting | None:
    """The batch that is written for a source, or for the one that it is joined to."""
    written = {id(_named(name, draft)): setting for name, setting in own.items()}
    beside = source.inputs.values() if source.kind == "join" else ()
    return next((written[id(each)] for each in (source, *beside) if id(each) in written), None)


def _grouped(draft: Draft, source: core.Source) -> bool:
    """Whether an objective compares the attempts of a group of this source."""
    return any(
        term.sources.get(parameter) is source
        and ("group" in columns or compares_attempts(term.loss, source if len(term.sources) > 1 else None))
        for term in draft.terms
        for parameter, columns in term.wanted.items()
    )


def _asks_of_the_start(draft: Draft) -> bool:
    """Whether an objective compares with a model as it was when its batch was taken up, be it of fixed rows."""
    return any("at" in part.fields for term in draft.terms for part in term.loss.walk())
