"""The profile: where and how a program runs. Never what it means: identity leaves it out, but for engine and precision.

A profile is a TOML file of these settings; what it does not say is what the machine has.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from ptc.runtime.artifacts import InputWrong, ResourceMissing

Device = Literal["cpu", "cuda"]


def gpus_here() -> int:
    """How many CUDA devices this process may use. Asks the driver, not torch, which takes seconds to import."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        chosen = [device for device in visible.split(",") if device.strip() not in ("", "-1", "NoDevFiles")]
        return min(len(chosen), _gpus_installed())
    return _gpus_installed()


def cores_here() -> int:
    """CPU threads of this process: what OMP_NUM_THREADS says, else the cores it may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else len(os.sched_getaffinity(0))


MULTIPLES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _bytes(value: object) -> object:
    """``"80GB"`` as a number of bytes; anything else as it is."""
    match = re.fullmatch(r"([0-9.]+) ?([kKMG]?i?B)", value) if isinstance(value, str) else None
    if match is None or match[2] not in MULTIPLES or match[1].count(".") > 1:
        return value
    return int(float(match[1]) * MULTIPLES[match[2]])


class Profile(BaseModel):
    """Placement and numerics of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    engine: Literal["transformers", "vllm", "fake"] = "transformers"
    """What generates."""
    engine_copy: bool = False
    """transformers only: a second copy of the weights, handed over after every step, as with vLLM."""
    precision: Literal["float32", "bfloat16"] = "float32"
    engine_precision: Literal["float32", "bfloat16"] | None = None
    """Of an engine that holds weights of its own; None: that of training."""
    device: Device = Field(default_factory=lambda: "cuda" if gpus_here() else "cpu")
    devices: PositiveInt = 1
    """Training processes, one device each; the run starts them."""
    sharding: Literal["none", "full"] = "none"
    """Whether each process holds whole models, or with "full" a part of every model of the stage."""
    threads: PositiveInt = Field(default_factory=cores_here)
    """CPU threads of each process."""
    memory: Annotated[int | None, BeforeValidator(_bytes)] = None
    """Bytes of each device, ``"80GB"``; None: what the driver says."""
    micro_batch: PositiveInt | None = None
    """Samples in one forward pass; None: as many as fit a fixed number of tokens."""
    micro_batch_tokens: PositiveInt | None = None
    """The same as a number of padded tokens."""
    packing: bool = False
    """Several sequences lie in one row that a model reads, apart, instead of one in each with padding behind it."""
    gradient_checkpointing: bool = False
    """Activations are computed again on the way back instead of kept: less memory, a third more time."""
    checkpoint_every: PositiveInt | None = None
    """Optimizer steps between sealed checkpoints; None: ten in a stage."""
    report_to: list[str] = Field(default_factory=list)
    """Trackers that see the metrics of stages, by the names that accelerate has for them: ``["tensorboard"]``."""
    store: Path = Field(default=Path(".ptc"), strict=False)
    """Folder of the store, with the runs in it. Relative to the working directory."""
    allow_hub: bool = False
    """Models and datasets may be fetched from the hub; otherwise only what the cache has."""
    allow_extern: list[str] = Field(default_factory=list)
    """Modules of Python outside of ptc that a program may call by `extern`."""

    @model_validator(mode="after")
    def _own_weights(self) -> Profile:
        if self.engine_precision is not None and self.engine == "transformers" and not self.engine_copy:
            raise ValueError("engine_precision needs engine_copy = true: else it samples from the trainer's weights")
        if self.micro_batch is not None and self.micro_batch_tokens is not None:
            raise ValueError("micro_batch and micro_batch_tokens are two ways to say one thing: leave one out")
        if self.sharding == "full" and self.devices == 1:
            raise ValueError('sharding = "full" needs devices = 2 or more: one device holds the whole of a model')
        return self


LAUNCHED = (
    "LOCAL_RANK",
    "RANK",
    "WORLD_SIZE",
    "ACCELERATE_MIXED_PRECISION",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_DEEPSPEED",
)
"""What `torchrun` and `accelerate launch` leave in the environment. The latter starts one process on the CPU, whatever
it is asked for, and shards nothing there (`docs/decisions/0016-training-processes.md`)."""


def load_profile(path: Path | None, here: bool = True) -> Profile:
    """The profile in a TOML file, checked against the machine; without a file, what the machine has.

    `here` is false for those who only ask what would be: then the devices need not be there. Raises `InputWrong` for a
    file that is no profile, `ResourceMissing` for devices that are not there.
    """
    profile = Profile() if path is None else _read(path)
    if here:
        _check_devices(profile, path)
    return profile


def memory_here() -> int | None:
    """Bytes of the smallest GPU of this machine; None where no driver answers."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = [int(line) for line in listing.stdout.split() if line.isdecimal()]
    return min(found) * 2**20 if found else None


def _read(path: Path) -> Profile:
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise InputWrong(f"{path}: the profile cannot be read ({error.strerror}): name one that can") from None
    except UnicodeDecodeError:
        raise InputWrong(f"{path}: a profile is a TOML text, and this is no text: name another") from None
    except tomllib.TOMLDecodeError as error:
        raise InputWrong(f"{path}: no valid TOML ({error}): mend that line") from None
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        raise InputWrong("\n".join(f"{path}: {line}" for line in _problems(error))) from None


def _problems(error: ValidationError) -> Iterable[str]:
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, Profile.model_fields, n=1)
            yield f"`{name}` is no setting of a profile" + (
                f": did you mean `{close[0]}`?" if close else f"; it has {', '.join(Profile.model_fields)}"
            )
        elif not name:
            yield _lower(problem["msg"].removeprefix("Value error, "))
        else:
            yield f"{name} = {problem['input']!r}: {_lower(problem['msg'])}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _check_devices(profile: Profile, path: Path | None) -> None:
    """Refuses a launcher, and GPUs that are not there, before anything is loaded."""
    launched = [name for name in LAUNCHED if name in os.environ]
    if launched:
        raise ResourceMissing(
            f"a launcher has set {launched[0]}, and ptc starts its training processes itself: run it without, and "
            f"write devices = 2 into {path or 'a profile'}"
        )
    if profile.device == "cpu":
        return
    there = gpus_here()
    if profile.devices > there:
        asked = "a CUDA device" if profile.devices == 1 else f"{profile.devices} CUDA devices"
        found = {0: "no CUDA device", 1: "1 CUDA device"}.get(there, f"{there} CUDA devices")
        cores = len(os.sched_getaffinity(0))
        raise ResourceMissing(
            f"{path or 'the profile'} asks for {asked}; this machine has {found} and {cores} CPU cores. "
            'To run on the CPU, write device = "cpu" and devices = 1, or leave --profile out'
        )


def _gpus_installed() -> int:
    folder = Path("/proc/driver/nvidia/gpus")
    if folder.is_dir():
        return sum(1 for _ in folder.iterdir())
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(1 for line in listing.stdout.splitlines() if line.startswith("GPU "))
