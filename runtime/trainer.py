"""The one training loop, blind to objectives, sources and engines: batches in, loss, optimizer step, checkpoint.

Everything random in a step is drawn from (seed, purpose, step, …), so step n of a resumed run is step n of any other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState  # type: ignore[import-untyped]

from ptc.compiler.graph import Json
from ptc.runtime import checkpoint
from ptc.runtime.artifacts import Context, Interrupted, InvariantBroken, Progress, ResourceMissing
from ptc.runtime.batches import Batch, Draw, Order, collate
from ptc.runtime.checkpoint import Counters, Environment, Learner, environment_here
from ptc.runtime.forward import output_head, token_logits
from ptc.runtime.learning_rates import OptimizerSettings
from ptc.runtime.loss import Loss, Part, Prepared
from ptc.runtime.optimizer import adamw, set_learning_rate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ptc.runtime.profile import Profile

MICRO_BATCH_TOKENS = 1 << 14
"""Padded tokens in one forward pass, unless the profile says how many samples, …"""
MICRO_BATCH_LOGITS = 1 << 27
"""… and at most this many logits: half a gigabyte in float32."""
CHECKPOINTS = 10
"""Checkpoints in a stage, unless the profile says after how many steps."""


class Flow(Protocol):
    """A source of samples: fixed rows, or the attempts of a model at fixed prompts."""

    @property
    def size(self) -> int:
        """Units (rows or prompts) in one epoch."""

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        """The samples of these units, for the step after `step` updates. Depends on nothing else."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The settings of a `train` node (`docs/graph.md`, "Train"), flows apart."""

    trained: Sequence[str]
    frozen: Sequence[str]
    losses: Mapping[str, Loss]
    """By source, the first term's first."""
    batch: Mapping[str, int]
    budget: float
    unit: str
    """`steps` or `epochs`."""
    optimizers: Mapping[str, OptimizerSettings]
    seed: int

    @staticmethod
    def of(settings: Mapping[str, Json]) -> Training:
        terms: dict[str, list[tuple[float, Json]]] = defaultdict(list)
        for term in settings["terms"]:
            terms[term["source"]].append((term["weight"], term["loss"]))
        roles = {name: model["as"] for name, model in settings["models"].items()}
        return Training(
            trained=sorted(name for name, role in roles.items() if role == "train"),
            frozen=sorted(name for name, role in roles.items() if role == "freeze"),
            losses={source: Loss(weighted) for source, weighted in terms.items()},
            batch={source: batch["count"] for source, batch in settings["batch"].items()},
            budget=settings["budget"]["count"],
            unit=settings["budget"]["unit"],
            optimizers={name: OptimizerSettings.of(each) for name, each in settings["optimizer"].items()},
            seed=settings["seed"],
        )

    def steps(self, first: Order) -> int:
        """Optimizer steps in the budget; an epoch is one pass over the first term's source."""
        return ceil(self.budget * first.steps_per_epoch) if self.unit == "epochs" else int(self.budget)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and how a stage runs: nothing that its meaning depends on."""

    cpu: bool = True
    processes: int = 1
    precision: str = "float32"
    """``float32``, or ``bfloat16`` for automatic mixed precision around weights in float32."""
    micro_batch: int | None = None
    """Samples in one forward pass."""
    checkpoint_every: int | None = None
    """Steps."""

    @staticmethod
    def of(profile: Profile) -> Placement:
        return Placement(
            cpu=profile.device == "cpu",
            processes=profile.devices,
            precision=profile.precision,
            micro_batch=profile.micro_batch,
            checkpoint_every=profile.checkpoint_every,
        )


def accelerator(placement: Placement) -> Accelerator:
    """Accelerate's view of this process. Raises `ResourceMissing` if as many processes as asked for do not run."""
    mixed = {"float32": "no", "bfloat16": "bf16"}[placement.precision]
    AcceleratorState._reset_state()  # it is one per process, and a stage of another precision may have set it
    found = Accelerator(cpu=placement.cpu, mixed_precision=mixed)
    if found.num_processes != placement.processes:
        raise ResourceMissing(
            f"the profile asks for {placement.processes} training processes, but {found.num_processes} runs: "
            "start it with `torchrun --nproc-per-node`, or ask for 1"
        )
    return found


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
    ) -> None:
        """`observers` are told how many updates have been made, after each, and add to its metrics."""
        self._training = training
        self._observers = observers
        self._context = context
        self._placement = placement
        self._accelerator = accelerator(placement)
        self._flows = flows
        self._orders = {
            source: Order(training.seed, source, flows[source].size, training.batch[source])
            for source in training.losses
        }
        self._first = next(iter(self._orders.values()))
        self._steps = training.steps(self._first)
        self._heads = {name: output_head(model) for name, model in models.items()}
        self._models: dict[str, torch.nn.Module] = {}
        for name in training.frozen:
            frozen = models[name].requires_grad_(False).train(False)
            self._models[name] = self._accelerator.prepare_model(frozen, evaluation_mode=True)
        # Dropout stays off: the ratio between a policy and the engine that sampled from it would carry its noise.
        for name in training.trained:
            self._models[name] = self._accelerator.prepare_model(models[name].train(False))
        self._learners = {
            name: Learner(models[name], adamw(models[name], training.optimizers[name])) for name in training.trained
        }
        self._environment = environment_here(
            self._accelerator.device, self._accelerator.num_processes, placement.precision, placement.micro_batch
        )
        widest = max(models[name].config.vocab_size for name in self._models)
        self._micro_batch_tokens = min(MICRO_BATCH_TOKENS, MICRO_BATCH_LOGITS // widest)
        self._counters = Counters(step=0, tokens=0)
        self._sealed: int | None = None

    def run(self) -> None:
        """Raises `InvariantBroken` before an update with numbers that are not finite; on `Interrupted` saves first."""
        self._resume()
        every = self._placement.checkpoint_every or max(1, ceil(self._steps / CHECKPOINTS))
        try:
            while self._counters.step < self._steps:
                metrics = self._step()
                if self._counters.step % every == 0:
                    self._save()
                self._report(metrics)
        except Interrupted:
            self._save()
            raise

    def _resume(self) -> None:
        found = checkpoint.load(self._context.partial, self._learners)
        if found is None:
            return
        self._counters, environment = found
        self._sealed = self._counters.step
        level = _exactness(environment, self._environment)
        self._context.log({"event": "resumed", "step": self._counters.step, "level": level})

    def _save(self) -> None:
        """Seals the state between two steps, unless it is sealed already."""
        if self._sealed != self._counters.step and self._counters.step > 0:
            checkpoint.save(self._context.partial, self._counters, self._learners, self._environment)
            self._sealed = self._counters.step

    def _step(self) -> dict[str, float]:
        """One optimizer step. Nothing changes until its last lines: an interruption leaves the state of its start."""
        started = monotonic()
        step = self._counters.step
        total, statistics, metrics = 0.0, _TokenStatistics(), dict[str, float]()
        tokens = 0
        for source, loss in self._training.losses.items():
            draw = self._flows[source].draw(step, self._orders[source].units(step))
            batch = collate(draw.groups).to(self._accelerator.device)
            metrics |= draw.metrics
            tokens += batch.tokens
            if batch.samples:
                total += self._accumulate(loss, batch, statistics)
        norms = self._gradient_norms(step, total)
        rates = self._update(step)
        self._counters = Counters(step=step + 1, tokens=self._counters.tokens + tokens)
        return {
            "loss": total,
            "grad_norm": math.hypot(*norms),
            "learning_rate": rates[0],
            "epoch": (step + 1) / self._first.steps_per_epoch,
            "num_tokens": float(self._counters.tokens),
            **statistics.metrics(),
            **metrics,
            "step_time": monotonic() - started,
            **{name: value for observer in self._observers for name, value in observer(step + 1).items()},
        }

    def _accumulate(self, loss: Loss, batch: Batch, statistics: _TokenStatistics) -> float:
        """Adds the gradient of the loss on the global batch, micro-batch by micro-batch, and returns the loss."""
        prepared = loss.prepare(batch)
        slices = list(self._slices(batch)) if loss.splits else [(0, batch.samples)]
        total = 0.0
        for start, stop in slices:
            part = loss.part(prepared, start, stop, self._forward)
            if part.loss.requires_grad:
                self._accelerator.backward(part.loss)
            total += float(part.loss.detach())
            self._observe(part, prepared, start, stop, statistics)
        if len(slices) > 1:
            total -= (len(slices) - 1) * loss.constant_part(prepared)
        return total

    def _slices(self, batch: Batch) -> Iterator[tuple[int, int]]:
        """Micro-batches of a batch in order of length: of a number of samples, or of a number of padded tokens."""
        size = self._placement.micro_batch
        start = 0
        for stop, length in enumerate(batch.widths, start=1):
            count = stop - start
            if count > 1 and (count > size if size else count * length > self._micro_batch_tokens):
                yield start, stop - 1
                start = stop - 1
        yield start, batch.samples

    def _forward(self, model: str, columns: Sequence[str], batch: Batch) -> list[torch.Tensor]:
        with torch.set_grad_enabled(model in self._learners):
            sequences = [batch.sequences[column] for column in columns]
            return token_logits(self._models[model], self._heads[model], sequences)

    def _observe(self, part: Part, prepared: Prepared, start: int, stop: int, statistics: _TokenStatistics) -> None:
        for (model, column), log_probabilities in part.log_probabilities.items():
            if model in self._learners and column != "rejected":
                statistics.add(log_probabilities.detach(), prepared.batch.sequences[column].slice(start, stop).tokens)

    def _gradient_norms(self, step: int, loss: float) -> list[float]:
        """Global norm of each learner's gradient, before it is clipped here. Refuses what would spoil the weights."""
        if not math.isfinite(loss):
            raise InvariantBroken(f"loss is {loss} at step {step + 1}, weights untouched")
        norms = []
        for name, learner in self._learners.items():
            limit = self._training.optimizers[name].clip_norm or math.inf
            norm = float(self._accelerator.clip_grad_norm_(learner.model.parameters(), limit))
            if not math.isfinite(norm):
                raise InvariantBroken(f"the gradient's norm is {norm} at step {step + 1}, weights untouched")
            norms.append(norm)
        return norms

    def _update(self, step: int) -> list[float]:
        rates = []
        for name, learner in self._learners.items():
            rates.append(self._training.optimizers[name].learning_rate(step, self._steps))
            set_learning_rate(learner.optimizer, rates[-1])
            learner.optimizer.step()
            learner.optimizer.zero_grad(set_to_none=True)
        return rates

    def _report(self, metrics: Mapping[str, float]) -> None:
        self._context.log({"step": self._counters.step, **metrics})
        self._context.heartbeat(Progress(self._counters.step, self._steps, "steps", metrics))


class _TokenStatistics:
    """Running sums over the tokens that bear loss."""

    def __init__(self) -> None:
        self._tokens = 0
        self._correct = 0
        self._entropy = 0.0

    def add(self, log_probabilities: torch.Tensor, tokens: torch.Tensor) -> None:
        self._tokens += len(tokens)
        self._correct += int((log_probabilities.argmax(-1) == tokens).sum())
        self._entropy -= float((log_probabilities.exp() * log_probabilities).sum())

    def metrics(self) -> dict[str, float]:
        if not self._tokens:
            return {}
        return {"mean_token_accuracy": self._correct / self._tokens, "entropy": self._entropy / self._tokens}


def _exactness(before: Environment, now: Environment) -> str:
    """How a resumed stage compares with an uninterrupted one; `reliability.md`, section 1, tells the levels."""
    if before == now:
        return "bitwise"
    return "exact-schedule" if _layout_and_libraries(before) == _layout_and_libraries(now) else "statistical"


def _layout_and_libraries(environment: Environment) -> tuple[object, ...]:
    layout = (environment.world_size, environment.micro_batch, environment.precision)
    return (*layout, environment.torch, environment.transformers, environment.accelerate)
