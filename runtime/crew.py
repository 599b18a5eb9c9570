"""Starts the processes that train beside this one, and ends them: with the node, with this process, and with an error.

The first process is the run itself; the others are `python -m ptc.runtime.crew_member`, which run the same stage on the
same models and only compute. They ignore Ctrl-C and SIGTERM, which are the run's business, and die with it, even where
it is killed.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from torch import distributed
from torch._C._distributed_c10d import FileStore

import ptc
from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong, InvariantBroken, ResourceMissing
from ptc.runtime.profile import Profile
from ptc.runtime.ranks import ALONE, Ranks

READY = b"ready\n"
START_DEADLINE = 300.0
"""Seconds for a process to import what it needs."""
END_DEADLINE = 10.0
"""Seconds for a process to end after the last step, or to say why it failed."""
GROUP_TIMEOUT = timedelta(hours=2)
"""How long one process waits for another, while that one samples or judges. One that is gone is noticed at once."""
REFUSALS = {kind.__name__: kind for kind in (InputWrong, InvariantBroken, ResourceMissing)}


@dataclass(frozen=True)
class Job:
    """What a process beside the first needs to know."""

    kind: str
    semantics: int
    settings: Mapping[str, Json]
    names: Mapping[str, str]
    models: Mapping[str, str]
    """The folder of each model."""
    profile: Mapping[str, Json]

    @staticmethod
    def of(node: Node, inputs: Mapping[str, Artifact], profile: Profile) -> Job:
        models = {name: str(inputs[name].path.absolute()) for name in node.settings["models"]}
        document = profile.model_dump(mode="json")
        return Job(node.kind, node.semantics, node.settings, dict(node.names), models, document)


@contextmanager
def crew(node: Node, inputs: Mapping[str, Artifact], context: Context) -> Iterator[Ranks]:
    """The processes that train the node together, this one first. Alone, where the profile asks for one."""
    profile: Profile = context.profile
    if profile.devices == 1:
        yield ALONE
        return
    with tempfile.TemporaryDirectory(prefix="ptc-crew-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(asdict(Job.of(node, inputs, profile))))
        members = {rank: _start(folder, rank, profile) for rank in range(1, profile.devices)}
        try:
            _wait_until_ready(members, folder)
            with joined(folder, 0, profile):
                try:
                    yield Ranks(0, profile.devices)
                except RuntimeError as broken:  # what torch.distributed raises when another process is gone
                    failure = _failure(members, folder, END_DEADLINE)
                    if failure is None:
                        raise
                    raise failure from broken
                _end(members, END_DEADLINE)
        finally:
            _end(members, 0.0)


@contextmanager
def joined(folder: Path, rank: int, profile: Profile) -> Iterator[None]:
    """Inside the block this process is one of the group, and accelerate is told so."""
    places = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(profile.devices),
        "LOCAL_WORLD_SIZE": str(profile.devices),
        "MASTER_ADDR": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": str(profile.threads),
    }
    before = {name: os.environ.get(name) for name in (*places, "MASTER_PORT")}
    os.environ.update(places)
    store = FileStore(str(folder / "meeting"), profile.devices)
    backend = "gloo" if profile.device == "cpu" else "nccl"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=profile.devices, timeout=GROUP_TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def error_file(folder: Path, rank: int) -> Path:
    return folder / f"error-{rank}.json"


def _start(folder: Path, rank: int, profile: Profile) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ptc.runtime.crew_member", str(folder), str(rank), str(os.getpid())]
    root = str(Path(ptc.__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(profile.threads)}
    with (folder / f"log-{rank}").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment)


def _wait_until_ready(members: Mapping[int, subprocess.Popen[bytes]], folder: Path) -> None:
    """Raises what a process failed with before it could meet the others."""
    deadline = time.monotonic() + START_DEADLINE
    with selectors.DefaultSelector() as selector:
        for rank, member in members.items():
            assert member.stdout is not None
            selector.register(member.stdout, selectors.EVENT_READ, rank)
        waiting = set(members)
        while waiting:
            events = selector.select(timeout=max(0.0, deadline - time.monotonic()))
            if not events:
                raise ResourceMissing(
                    f"training process {min(waiting) + 1} did not start within {START_DEADLINE:.0f} s: run again when "
                    "less else runs, or with fewer devices"
                )
            for key, _ in events:
                if os.read(key.fd, len(READY)) != READY:
                    failure = _failure(members, folder, END_DEADLINE)
                    raise failure or ResourceMissing(
                        f"training process {key.data + 1} ended before the first step: run again, or with devices = 1"
                    )
                waiting.discard(key.data)
                selector.unregister(key.fileobj)


def _failure(members: Mapping[int, subprocess.Popen[bytes]], folder: Path, patience: float) -> Exception | None:
    """What a process that is gone died of, in words for the user; None if all are alive or ended well."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and all(member.poll() is None for member in members.values()):
        time.sleep(0.05)
    gone = {rank: member.returncode for rank, member in members.items() if member.poll() not in (None, 0)}
    for rank in gone:
        if error_file(folder, rank).exists():
            error = json.loads(error_file(folder, rank).read_text())
            return REFUSALS[error["kind"]](error["message"])
    for rank, code in sorted(gone.items(), key=lambda each: each[1]):  # those that were killed drew the others after
        what = f"training process {rank + 1} of {len(members) + 1}"
        if code < 0:
            return ResourceMissing(
                f"{what} was killed by signal {-code}, for want of memory perhaps; "
                "what is sealed is kept: run the same command to go on"
            )
        return MemberFailed(f"{what} failed:\n{(folder / f'log-{rank}').read_text(errors='replace')}")
    return None


class MemberFailed(Exception):
    """A bug in another process; its trace is the message."""


def _end(members: Mapping[int, subprocess.Popen[bytes]], patience: float) -> None:
    deadline = time.monotonic() + patience
    for member in members.values():
        try:
            member.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.kill()
            member.wait(timeout=END_DEADLINE)
        if member.stdout is not None:
            member.stdout.close()
