"""The state of an unfinished training stage, as safetensors and JSON: a run resumed from it ends bit for bit alike."""

from __future__ import annotations

import json
import platform
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import accelerate  # type: ignore[import-untyped]
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Partial
from ptc.runtime.followers import Follower
from ptc.runtime.monitors.monitors import Monitors
from ptc.runtime.optimizer import load_optimizer_tensors, optimizer_tensors
from ptc.runtime.placement import Placement
from ptc.runtime.supply import Supply
from ptc.runtime.tensors import laid_out_like, state_of, whole

PREFIX = "step-"
KEPT = 2


@dataclass(frozen=True)
class Environment:
    """What bit-for-bit equality of a resumed run depends on besides the program."""

    python: str
    numpy: str
    torch: str
    transformers: str
    accelerate: str
    device: str
    threads: int
    world_size: int
    precision: str
    micro_batch: int | None
    micro_batch_tokens: int | None = None
    packing: bool = False
    gradient_checkpointing: bool = False
    sharding: str = "none"


def environment_here(device: torch.device, world_size: int, placement: Placement) -> Environment:
    """The environment of this process."""
    return Environment(
        python=platform.python_version(),
        numpy=np.__version__,
        torch=torch.__version__,
        transformers=transformers.__version__,
        accelerate=accelerate.__version__,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}",
        threads=torch.get_num_threads(),
        world_size=world_size,
        precision=placement.precision,
        micro_batch=placement.micro_batch,
        micro_batch_tokens=placement.micro_batch_tokens,
        packing=placement.packing,
        gradient_checkpointing=placement.gradient_checkpointing,
        sharding=placement.sharding,
    )


@dataclass(frozen=True)
class Counters:
    """How far a stage is."""

    step: int
    """Optimizer steps done."""
    tokens: int
    """Tokens trained on so far, prompts included."""


@dataclass(frozen=True)
class Learner:
    """A trained model with its optimizer."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer


@dataclass(frozen=True)
class State:
    """What a checkpoint holds beside counters and random state."""

    learners: Mapping[str, Learner]
    followers: Mapping[str, Follower]
    supply: Supply
    monitors: Monitors


def save(partial: Partial, counters: Counters, state: State, environment: Environment) -> None:
    """Seals ``step-<number>`` and forgets all but the newest two."""

    def fill(folder: Path) -> None:
        for name, tensors in pieces(state):
            save_file(tensors, folder / f"{name}.safetensors")
        state.supply.save(folder, counters.step)
        state.monitors.save(folder)
        save_file(_torch_random_state(), folder / "random.safetensors")
        document = {**asdict(counters), "environment": asdict(environment), "random": _random_state()}
        (folder / "state.json").write_text(json.dumps(document))

    partial.write(f"{PREFIX}{counters.step:08d}", fill)
    for name in _steps(partial)[:-KEPT]:
        partial.forget(name)


def pieces(state: State) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """The tensors that a checkpoint holds, by file. Where they lie in parts, every process has to ask for them."""
    for name, learner in state.learners.items():
        yield f"{name}.weights", moving(learner.model, learner.model)
        yield f"{name}.optimizer", optimizer_tensors(learner.model, learner.optimizer)
    for name, follower in state.followers.items():
        yield f"{name}.weights", moving(follower.model, follower.followed)


def newest(partial: Partial) -> Path | None:
    """The folder of the last checkpoint."""
    names = _steps(partial)
    return partial.read(names[-1]) if names else None


def newest_step(partial: Partial) -> int:
    """The optimizer steps that were done at the last checkpoint; 0 without one."""
    names = _steps(partial)
    return int(names[-1].removeprefix(PREFIX)) if names else 0


def load(folder: Path, state: State) -> tuple[Counters, Environment]:
    """Brings everything to a checkpoint, and says how far that is and where it was made."""
    document = json.loads((folder / "state.json").read_text())
    for name, learner in state.learners.items():
        load_weights(learner.model, load_file(folder / f"{name}.weights.safetensors"))
        tensors = load_file(folder / f"{name}.optimizer.safetensors")
        load_optimizer_tensors(learner.model, learner.optimizer, tensors)
    for name, follower in state.followers.items():
        load_weights(follower.model, load_file(folder / f"{name}.weights.safetensors"))
    state.supply.load(folder)
    state.monitors.load(folder)
    _restore_random_state(document["random"], load_file(folder / "random.safetensors"))
    return Counters(document["step"], document["tokens"]), Environment(**document["environment"])


def moving(model: torch.nn.Module, trained: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's weights without those that stand still in the one that is trained: the base below an adapter."""
    still = {name for name, parameter in trained.named_parameters() if not parameter.requires_grad}
    return _copied({name: tensor for name, tensor in _once(model).items() if name not in still})


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers, tied ones under their first name only, as copies."""
    return _copied(_once(model))


def _once(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    named: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in state_of(model).items():
        named.setdefault(id(tensor), (name, tensor))
    return dict(named.values())


def _copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: whole(tensor).detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def load_weights(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """The inverse of `weights`, in place."""
    own = state_of(model)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(laid_out_like(own[name], tensor))


def _steps(partial: Partial) -> list[str]:
    return sorted(name for name in partial.names() if name.startswith(PREFIX))


def _random_state() -> Json:
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, cached],
    }


def _torch_random_state() -> dict[str, torch.Tensor]:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), **{f"cuda:{index}": state for index, state in enumerate(devices)}}


def _restore_random_state(state: Json, tensors: Mapping[str, torch.Tensor]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["cpu"])
    devices = [tensors[name] for name in sorted(tensors) if name.startswith("cuda:")]
    if devices and len(devices) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(devices)


def exactness(before: Environment, now: Environment) -> str:
    """How a resumed stage compares with an uninterrupted one: `bitwise`, `exact-schedule` or `statistical`."""
    if before == now:
        return "bitwise"
    return "exact-schedule" if _layout_and_libraries(before) == _layout_and_libraries(now) else "statistical"


def _layout_and_libraries(environment: Environment) -> tuple[object, ...]:
    """What may differ by rounding alone is left out: threads, device, and Python itself."""
    layout = (environment.world_size, environment.micro_batch, environment.micro_batch_tokens, environment.packing)
    numerics = (environment.precision, environment.gradient_checkpointing, environment.sharding)
    return (*layout, *numerics, environment.torch, environment.transformers, environment.accelerate)
