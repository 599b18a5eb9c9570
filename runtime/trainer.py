"""The one training loop, blind to objectives, sources and engines: batches in, loss, optimizer step, checkpoint.

Everything random in a step is drawn from (seed, purpose, step, …), so step n of a resumed run is step n of any other.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import torch

from ptc.compiler.graph import Guard, Json
from ptc.runtime import checkpoint
from ptc.runtime.adapters import answering
from ptc.runtime.artifacts import Context, InputWrong, Interrupted, InvariantBroken, Progress
from ptc.runtime.batches import Batch, Draw, collate
from ptc.runtime.checkpoint import Counters, Learner, environment_here, exactness
from ptc.runtime.costs import booked_by_the_first, rehearsing
from ptc.runtime.dropout import drops, set_dropout, training_mode
from ptc.runtime.followers import Follower
from ptc.runtime.forward import Answer, answers
from ptc.runtime.holding import Whole, held
from ptc.runtime.interference import EVERY, Interference
from ptc.runtime.loading import saved_tensors
from ptc.runtime.loss import Loss, Part, Prepared
from ptc.runtime.losses.tree import At
from ptc.runtime.metrics import Measurements
from ptc.runtime.monitors.monitors import Monitors, named
from ptc.runtime.optimizer import optimizer_of, set_learning_rate
from ptc.runtime.packing import one_in_each, packed, refuse_unpackable
from ptc.runtime.placement import Placement, accelerator
from ptc.runtime.ranks import ALONE, Ranks
from ptc.runtime.rehearsal import Rehearsal
from ptc.runtime.remedies import EARLIER
from ptc.runtime.supply import Flow, Supply, draw_of
from ptc.runtime.tensors import whole
from ptc.runtime.training import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel

say = logging.getLogger(__name__)

MICRO_BATCH_TOKENS = 1 << 14
"""Padded tokens in one forward pass, unless the profile says how many, or how many samples, …"""
CHECKPOINTS = 10
"""Checkpoints in a stage, unless the profile says after how many steps."""


class Trainer:
    """Trains models in place. `run` returns when the budget is spent."""

    def __init__(
        self,
        training: Training,
        models: Mapping[str, PreTrainedModel],
        flows: Mapping[str, Flow],
        context: Context,
        placement: Placement,
        observers: Sequence[Callable[[int], Mapping[str, float]]] = (),
        ranks: Ranks = ALONE,
        holding: Whole | None = None,
        guards: Sequence[Guard] = (),
    ) -> None:
        """`observers` are told how many updates have been made, after each, and add to its metrics. `guards` are told
        of these, and may stop the stage."""
        self._monitors = Monitors(guards)
        if self._monitors.asks("gradient_cosine") and ranks.count > 1:
            raise InputWrong("guard gradient_cosine: gradients of terms are compared by one process: devices = 1")
        self._ranks = ranks
        self._held = holding or held(ranks, placement)
        self._training = training
        self._observers = observers
        self._context = context
        self._placement = placement
        self._accelerator = accelerator(placement)
        self._supply = Supply(training, flows, ranks, self._taken_up)
        self._steps = training.steps(self._supply.steps_per_epoch)
        self._models = {name: self._placed(name, model) for name, model in models.items()}
        self._learners = {
            name: Learner(models[name], optimizer_of(models[name], training.optimizers[name]))
            for name in training.trained
        }
        self._followers = {
            name: Follower(models[name], models[rule.follows], rule) for name, rule in training.tracked.items()
        }
        self._in_training = [
            learner.model
            for learner in self._learners.values()
            if placement.gradient_checkpointing or drops(learner.model)
        ]
        self._environment = environment_here(self._accelerator.device, self._accelerator.num_processes, placement)
        self._micro_batch_tokens = placement.micro_batch_tokens or MICRO_BATCH_TOKENS
        self._rehearsal = Rehearsal(
            context.node,
            models,
            {name: learner.model for name, learner in self._learners.items()},
            self._once_more,
            placement,
            ranks,
            self._held,
            self._micro_batch_tokens,
        )
        self._counters = Counters(step=0, tokens=0)
        self._sealed: int | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps in the budget."""
        return self._steps

    def run(self) -> None:
        """Raises `InvariantBroken` before an update with numbers that are not finite; on `Interrupted` saves first."""
        if self._ranks.first:
            self._supply.precompute(partial(self._taken_up, at="stage_start"), sorted(self._training.precomputed))
        self._resume()
        every = self._placement.checkpoint_every or max(1, ceil(self._steps / CHECKPOINTS))
        try:
            while self._counters.step < self._steps:
                metrics = self._step()
                # What is killed in between tells of this step twice; the other way round it never would.
                self._context.log({"step": self._counters.step, **metrics})
                said = self._guarded(metrics)
                if self._counters.step % every == 0:
                    self._save()
                self._context.heartbeat(Progress(self._counters.step, self._steps, "steps", metrics, said))
            self._unguarded()
        except Interrupted:
            self._save()
            raise

    def _guarded(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Which limits are not kept any more, in words. Raises `InvariantBroken` for one that stops the stage.

        The step is not sealed then: whoever goes on from the last checkpoint is stopped again, unless the limit moves.
        """
        firings = self._monitors.see(self._counters.step, metrics) if self._ranks.first else []
        for firing in firings:
            self._context.log(firing.row)
            say.warning("%s: %s", self._context.node.label, firing.row["words"])
        for firing in (each for each in firings if each.guard.stops):
            whose = ", ".join(filter(None, [self._context.node.label, firing.guard.place]))
            kept = f"its checkpoint of step {self._sealed} is kept" if self._sealed else "no checkpoint is there yet"
            raise InvariantBroken(f"{firing.words} (guard of {whose}): {kept}; {firing.remedy}, or move the limit")
        return tuple(f"{firing.words}: {firing.remedy}" for firing in firings)

    def _unguarded(self) -> None:
        """Says what the program guards and the stage never measured."""
        for guard in self._monitors.never_asked():
            words = f"guard {named(guard)} was never asked: the stage did not measure it for {guard.over} steps"
            self._context.log({"event": "monitor", "monitor": guard.monitor, "level": "warning", "words": words,
                               "step": self._counters.step, "value": None, "limit": guard.limit})  # fmt: skip
            say.warning("%s: %s", self._context.node.label, words)

    def _placed(self, name: str, model: PreTrainedModel) -> torch.nn.Module:
        """The model on its device, in the precision of the placement. What does not learn gets no gradient."""
        trained, here = name in self._training.trained, not self._held.in_parts
        if not trained:
            model.requires_grad_(False)
        elif self._placement.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        if trained and self._training.dropout is not None:
            set_dropout(model, self._training.dropout)
        # In evaluation mode accelerate wraps nothing around it that averages gradients.
        placed: torch.nn.Module = self._accelerator.prepare_model(
            model.train(False), device_placement=here, evaluation_mode=True
        )
        self._held.place(name, placed, self._accelerator.device)
        if self._placement.packing:
            with answering(model) as plain:
                self._held.run(model, partial(refuse_unpackable, plain.base_model, self._accelerator.device))
            self._held.rest()
        return placed

    def _resume(self) -> None:
        folder = checkpoint.newest(self._context.partial)
        folder = self._ranks.told(None if folder is None else str(folder.absolute()))
        if folder is None:
            return
        self._counters, environment = checkpoint.load(Path(folder), self._state)
        self._sealed = self._counters.step
        level = exactness(environment, self._environment)
        self._context.log({"event": "resumed", "step": self._counters.step, "level": level})

    def _save(self) -> None:
        """Seals the state between two steps, unless it is sealed already."""
        if self._ranks.first and self._sealed != self._counters.step and self._counters.step > 0:
            self._held.ask("checkpoint")
            checkpoint.save(self._context.partial, self._counters, self._state, self._environment)
            self._sealed = self._counters.step

    @property
    def _state(self) -> checkpoint.State:
        return checkpoint.State(self._learners, self._followers, self._supply, self._monitors)

    def _step(self) -> dict[str, float]:
        """One optimizer step. Nothing changes until its last lines: an interruption leaves the state of its start."""
        started = monotonic()
        step = self._counters.step
        losses, metrics = list[float](), dict[str, float]()
        measured = Measurements(self._training.losses, self._training.trained)
        tokens = 0
        draws = self._supply.draws(step)
        self._held.rest()
        compared = step % EVERY == 0 and self._monitors.asks("gradient_cosine")
        interference = Interference(learner.model for learner in self._learners.values()) if compared else None
        for loss in self._training.losses:
            batches = {source: collate(draws[source].groups).to(self._accelerator.device) for source in loss.sources}
            for source, batch in batches.items():
                metrics |= draws[source].metrics
                tokens += batch.tokens
            if any(batch.samples for batch in batches.values()):
                if step == 0:
                    self._rehearsal.rehearse(loss, batches)
                with training_mode(self._in_training, self._training.seed, *loss.sources, step, self._ranks.index):
                    losses.append(self._accumulate(loss, batches, measured))
                if interference is not None:
                    interference.mark()
        booked_by_the_first(self._ranks)
        total, *sums = self._ranks.total([sum(losses), *measured.sums])
        extremes = self._ranks.greatest(measured.extremes)
        for learner in self._learners.values():
            self._held.add_up(learner.model)
        if step == 0:
            self._rehearsal.verify(total)
        norms = self._gradient_norms(step, total)
        rates = self._update(step)
        self._counters = Counters(step=step + 1, tokens=self._counters.tokens + tokens)
        return {
            "loss": total,
            **self._named("grad_norm", norms),
            **self._named("learning_rate", rates),
            "epoch": (step + 1) / self._supply.steps_per_epoch,
            "num_tokens": float(self._counters.tokens),
            **measured.metrics(sums, extremes),
            **metrics,
            **(interference.metrics if interference is not None else {}),
            "step_time": monotonic() - started,
            **{name: value for observer in self._observers for name, value in observer(step + 1).items()},
        }

    def _accumulate(self, loss: Loss, batches: Mapping[str, Batch], measured: Measurements) -> float:
        """Adds the gradient of this process's share of the global batches, micro-batch by micro-batch.

        Returns its share of the loss: those of all processes add up to the loss.
        """
        prepared = loss.prepare(batches, self._counters.step, self._forward, self._cut)
        self._held.rest()
        total, parts = 0.0, 0
        for part, counts in self._parts(loss, prepared):
            if counts:
                total, parts = total + float(part.loss.detach()), parts + 1
                measured.add(part)
            if part.loss.requires_grad:
                self._accelerator.backward(part.loss if counts else 0 * part.loss)
            self._held.rest()
        once = 1 if self._ranks.first else 0
        return total if parts == once else total - (parts - once) * loss.constant_part(prepared)

    def _parts(self, loss: Loss, prepared: Prepared) -> Iterator[tuple[Part, bool]]:
        """This process's share, by micro-batches of one source at a time; what cannot be split is whole, and the first
        process's. False: it is run to keep in step with another process, and does not count."""
        if prepared.splits:
            for source, batch in prepared.batches.items():
                for (start, stop), counts in self._held.in_step(partial(self._spans, batch.widths)):
                    forward = self._forward if counts else self._once_more
                    yield loss.part(prepared, start, stop, forward, source), counts
        elif self._ranks.first or self._held.in_parts:
            forward = self._forward if self._ranks.first else self._once_more
            yield loss.whole(prepared, forward), self._ranks.first

    def _spans(self, widths: Sequence[int], rank: int) -> list[tuple[int, int]]:
        """The micro-batches of a process's share."""
        return [*self._cut(widths, *self._ranks.share(widths, rank))]

    def _cut(self, widths: Sequence[int], first: int = 0, last: int | None = None) -> Iterator[tuple[int, int]]:
        """Micro-batches in the order of length: of a number of samples, or of a number of tokens, padding included."""
        size, packing = self._placement.micro_batch, self._placement.packing
        start, last = first, len(widths) if last is None else last
        for stop in range(first + 1, last + 1):
            count = stop - start
            tokens = sum(widths[start:stop]) if packing else count * widths[stop - 1]
            if count > 1 and (count > size if size else tokens > self._micro_batch_tokens):
                yield start, stop - 1
                start = stop - 1
        if start < last:
            yield start, last

    def _forward(self, model: str, columns: Sequence[str], batch: Batch) -> list[Answer]:
        learns = torch.is_grad_enabled() and model in self._learners
        lay = packed if self._placement.packing else one_in_each
        with torch.set_grad_enabled(learns), self._accelerator.autocast():
            run = partial(self._held.run, self._models[model]) if self._held.in_parts else None
            return answers(self._models[model], [batch.sequences[column] for column in columns], lay, run)

    def _once_more(self, model: str, columns: Sequence[str], batch: Batch) -> list[Answer]:
        """As `_forward`, of tokens that are read elsewhere too."""
        with rehearsing():
            return self._forward(model, columns, batch)

    def _taken_up(self, source: str, draw: Draw, at: At = "batch_start") -> Draw:
        """The draw with what its loss wants to know of the models as they are now."""
        loss, device = self._training.loss_of(source), self._accelerator.device
        if not loss.asks(source, at):
            return draw
        if self._ranks.first:
            self._held.ask("take_up", {"source": source, "draw": draw, "at": at})
        known = loss.taken_up(draw.groups, self._forward, self._cut, source, device, at)
        self._held.rest()
        return replace(draw, groups=known)

    def help(self, deed: str, about: Json) -> None:
        """What another process does when the first one needs it, for models in parts."""
        self._held.rest()
        match deed:
            case "gather":
                self._held.gather_with_others(about)
            case "take_up":
                self._taken_up(about["source"], draw_of(about["draw"]), about["at"])
            case "save":
                saved_tensors(self._models[about])
            case "checkpoint":
                for _ in checkpoint.pieces(self._state):
                    """Each tensor is put together by all processes; the first one writes it."""

    def _gradient_norms(self, step: int, loss: float) -> list[float]:
        """Global norm of each learner's gradient, before it is clipped here. Refuses what would spoil the weights."""
        if not math.isfinite(loss):
            raise InvariantBroken(f"loss is {loss} at step {step + 1}, weights untouched: {EARLIER}")
        norms = []
        for name, learner in self._learners.items():
            limit = self._training.optimizers[name].clip_norm or math.inf
            norm = float(whole(self._accelerator.clip_grad_norm_(learner.model.parameters(), limit)))
            if not math.isfinite(norm):
                raise InvariantBroken(f"the gradient's norm is {norm} at step {step + 1}, weights untouched: {EARLIER}")
            norms.append(norm)
        return norms

    def _update(self, step: int) -> list[float]:
        """Every learner takes its step, and then the models that follow one; the learning rates."""
        rates = []
        for name, learner in self._learners.items():
            rates.append(self._training.optimizers[name].learning_rate(step, self._steps))
            set_learning_rate(learner.optimizer, rates[-1])
            learner.optimizer.step()
            learner.optimizer.zero_grad(set_to_none=True)
        for follower in self._followers.values():
            follower.follow(step + 1)
        return rates

    def _named(self, metric: str, values: Sequence[float]) -> dict[str, float]:
        """A metric of each learner: that of the one the stage is for under its plain name, others behind a stroke."""
        others = [f"{metric}/{self._context.node.names.get(name, name)}" for name in list(self._learners)[1:]]
        return dict(zip([metric, *others], values, strict=True))
