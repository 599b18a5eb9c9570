"""The settings of a `train` node (`docs/graph.md`, "Train"), flows apart: what is trained, on how much, how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import ceil

from ptc.compiler.graph import Json
from ptc.runtime.learning_rates import OptimizerSettings
from ptc.runtime.loss import Loss, losses_of
from ptc.runtime.precomputing import asked_once, precomputed


@dataclass(frozen=True, kw_only=True)
class Following:
    """How a model follows a trained one, from that one's entry weights on."""

    follows: str
    decay: float | None = None
    """Of an exponential moving average; None: a copy …"""
    every: int = 1
    """… that is made anew after so many steps."""

    @staticmethod
    def of(document: Mapping[str, Json]) -> Following:
        if document["by"] == "ema":
            return Following(follows=document["follows"], decay=float(document["decay"]))
        return Following(follows=document["follows"], every=int(document["every"]))


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """In which order the updates of a stage learn from what is sampled.

    A *rollout* is so many batches, sampled at once with the weights that stand when it is taken up, and learned from
    in the same order in each pass; of fixed rows where no source is live. By default it is one batch that is used once.
    """

    batches: int = 1
    passes: int = 1

    @property
    def updates(self) -> int:
        """Optimizer steps that learn from one rollout."""
        return self.batches * self.passes

    def start(self, step: int) -> int:
        """The step at which the rollout of a step was taken up."""
        return step - step % self.updates

    def batch(self, step: int) -> int:
        """Which batch of its rollout a step learns from."""
        return step % self.updates % self.batches

    def first_batch(self, step: int) -> int:
        """The number, among all batches of a live source, of the first one in the rollout of a step."""
        return step // self.updates * self.batches


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a stage trains, on how much, how long."""

    trained: Sequence[str]
    """The model that the stage is for stands first."""
    frozen: Sequence[str]
    tracked: Mapping[str, Following]
    losses: Sequence[Loss]
    """One for each set of sources that terms bring together, the first term's first."""
    follows: Mapping[str, str]
    """Of sources that share their prompts, those that are drawn at the prompts of another, and that one."""
    precomputed: AbstractSet[str]
    """Sources of which frozen models are asked once, before the first step."""
    batch: Mapping[str, int]
    """Rows of a fixed source, prompts of a live one."""
    live: frozenset[str]
    """Sources that are sampled while the stage runs."""
    rhythm: Rhythm
    budget: float
    unit: str
    """`steps` or `epochs`."""
    optimizers: Mapping[str, OptimizerSettings]
    dropout: float | None
    """None: what the models' configurations say."""
    seed: int

    @staticmethod
    def of(settings: Mapping[str, Json]) -> Training:
        roles = settings["models"]
        still = set(roles) - set(_named(roles, "train"))
        terms, losses = settings["terms"], losses_of(settings["terms"], still)
        follows = {source: leader for loss in losses for source, leader in _following(loss, settings["flows"])}
        if settings.get("precompute"):
            standing = [source for source, steps in settings["flows"].items() if not steps and source not in follows]
            terms = asked_once(terms, _named(roles, "freeze"), standing)
            losses = losses_of(terms, still)
        batch = {source: _drawn(settings, source) for source in settings["batch"]}
        dropout = settings.get("dropout")
        return Training(
            trained=sorted(_named(roles, "train"), key=lambda name: (name != settings["result"], name)),
            frozen=sorted(_named(roles, "freeze")),
            tracked={name: Following.of(roles[name]) for name in sorted(_named(roles, "track"))},
            losses=losses,
            follows=follows,
            precomputed=precomputed(terms),
            batch=batch,
            live=frozenset(source for source in batch if settings["flows"].get(source)),
            rhythm=_rhythm(settings, batch),
            budget=settings["budget"]["count"],
            unit=settings["budget"]["unit"],
            optimizers={name: OptimizerSettings.of(each) for name, each in settings["optimizer"].items()},
            dropout=None if dropout is None else float(dropout),
            seed=settings["seed"],
        )

    @property
    def sources(self) -> list[str]:
        """The first term's first."""
        return [source for loss in self.losses for source in loss.sources]

    def loss_of(self, source: str) -> Loss:
        """The loss that learns from a source."""
        return next(loss for loss in self.losses if source in loss.sources)

    def steps(self, steps_per_epoch: int) -> int:
        """Optimizer steps in the budget; an epoch is one pass over the first term's source."""
        return ceil(self.budget * steps_per_epoch) if self.unit == "epochs" else int(self.budget)


def attempts(flow: Sequence[Mapping[str, Json]]) -> int:
    """Attempts at each prompt of a live flow; 0 for a fixed source."""
    return next((int(step["n"]) for step in flow if step["op"] == "sample"), 0)


def joined_to(step: Mapping[str, Json]) -> str | None:
    """The flow of the stage whose prompts a live step keeps to."""
    return step["with"]["partner"].get("flow") if step["op"] == "join" else None


def _following(loss: Loss, flows: Mapping[str, Sequence[Mapping[str, Json]]]) -> Iterator[tuple[str, str]]:
    """Of the sources of a loss that share their prompts, each that follows, and the one that leads.

    It leads whose prompts others are joined to, or else the first.
    """
    if not loss.shares_prompts:
        return
    partners = (joined_to(step) for source in loss.sources for step in flows.get(source, ()))
    leader = next((partner for partner in partners if partner in loss.sources), loss.sources[0])
    yield from ((source, leader) for source in loss.sources if source != leader)


def _named(roles: Mapping[str, Json], verb: str) -> list[str]:
    return [name for name, role in roles.items() if role["as"] == verb]


def _drawn(settings: Mapping[str, Json], source: str) -> int:
    """What a step draws of a source: of a live one always prompts, also where its batch is given in attempts."""
    batch, own = settings["batch"][source], attempts(settings["flows"].get(source, ()))
    count = int(batch["count"])
    return max(1, count // own) if own and batch["unit"] == "samples" else count


def _rhythm(settings: Mapping[str, Json], batch: Mapping[str, int]) -> Rhythm:
    rolled = next((source for source in batch if settings["flows"].get(source)), next(iter(batch)))
    rollout = settings.get("rollout")
    batches = 1 if rollout is None else max(1, int(rollout["count"]) // batch[rolled])
    return Rhythm(batches=batches, passes=int(settings.get("passes", 1)))
