"""`ptc run --smoke`: a program's own graph on tiny random models and a few rows, on this machine's CPU, in minutes.

It shows that everything in a program can happen: every node is carried out, by what carries it out in any run. What it
makes lies in a store of its own and means nothing.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ptc import api, checking, describing, progress, running
from ptc.compiler import reading
from ptc.compiler.graph import Graph, Json, Node
from ptc.compiler.smoke import Smoke, smoke
from ptc.headers import hub_folder
from ptc.runtime.profile import Profile, load_profile
from ptc.runtime.smoke import Outside, SmokeImplementations
from ptc.stand_ins import StandIns

if TYPE_CHECKING:
    from ptc.runtime.artifacts import Artifact
    from ptc.runtime.artifacts import Progress as Message
    from ptc.runtime.executor import Outcome
    from ptc.runtime.store import Holder

BESIDE = "stand_ins"
"""The folder beside a program that is looked into where none is named."""
EXPORTS = "exports"
"""The folder of the store that exports go to."""


def run(request: running.Request, wait: bool) -> int:
    """The exit code: 0 if every node was carried out, else what a run of the whole program would end with."""
    from ptc.runtime.executor import execute

    began = time.monotonic()
    command = shlex.join(["ptc", *running.command_of(request), "--smoke"])
    running.quiet_libraries()
    try:
        checked = _checked(request)
        profile = _profile(request)
        running.check_packages(profile)
        whole = running.restricted(api.compiled(checked), request.to)
        found = Found.of(whole, _stand_ins(request))
        allowed = None if request.allow_extern else profile.allow_extern
        small = smoke(whole, allowed, found.pinned)
        store = running.open_store(profile.store)
        _begin(request.file, small, found, profile)
        stages = Stages()
        outcome = execute(
            small.graph,
            store,
            profile,
            SmokeImplementations(Outside(found.places, found.columns, stages.remark)),
            label=f"{Path(request.file).stem} smoke",
            listener=stages,
            wait=wait,
            out=profile.store / EXPORTS,
            info=describing.described(checked, request.settings, profile, command),
        )
    except running.Refused as refused:
        return refused.code
    except tuple(running.EXIT_CODES) as error:
        return running.ended(error)
    _end(small.graph, outcome, time.monotonic() - began)
    return outcome.exit_code


def _checked(request: running.Request) -> api.CheckResult:
    """The program, if it may run. Raises `Refused` after showing why not."""
    checked = api.check_file(request.file, request.settings, stand_ins=_stand_ins(request))
    checking.show(checked, sys.stderr)
    if not checked.sound:
        print(f"{checked.source.path}: {checking.verdict(checked)}", file=sys.stderr)
        raise running.Refused(checking.exit_code([checked]))
    running.refuse(checked, api.refused(checked))
    return checked


def _stand_ins(request: running.Request) -> StandIns | None:
    """The folder that is named, or the one beside the program."""
    folder = Path(request.stand_ins) if request.stand_ins is not None else Path(request.file).parent / BESIDE
    return StandIns(folder) if folder.is_dir() else None


def _profile(request: running.Request) -> Profile:
    """One process on the CPU in float32 with a store of its own, whatever the profile says of placement."""
    given = load_profile(None if request.profile is None else Path(request.profile), here=False)
    store = given.store if request.store is None else Path(request.store)
    return Profile(
        device="cpu",
        devices=1,
        threads=given.threads,
        checkpoint_every=1,
        store=store / "smoke",
        allow_extern=given.allow_extern,
    )


# What stands in -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What stands in for the world outside of a program, by the meaning of the node that would fetch it."""

    models: Mapping[str, tuple[str, Path | None]]
    """Name on the hub, and the folder that says what the model is like."""
    datasets: Mapping[str, tuple[str, Path | None]]
    columns: Mapping[str, Mapping[str, str]]
    """Of sources whose rows are made up."""

    @staticmethod
    def of(graph: Graph, stand_ins: StandIns | None) -> Found:
        models: dict[str, tuple[str, Path | None]] = {}
        datasets: dict[str, tuple[str, Path | None]] = {}
        columns: dict[str, Mapping[str, str]] = {}
        for meaning, node in graph.nodes.items():
            if node.kind == "hub_model":
                models[meaning] = str(node.settings["name"]), _model(node, stand_ins)
            elif node.kind == "hub_dataset":
                datasets[meaning] = _named(node), _dataset(node, stand_ins)
            if node.kind == "extern_source" or (node.kind == "hub_dataset" and datasets[meaning][1] is None):
                columns[meaning] = {**reading.columns_read(graph, meaning), **node.names}
        return Found(models, datasets, columns)

    @property
    def places(self) -> dict[str, Path]:
        named = {**self.models, **self.datasets}
        return {meaning: place for meaning, (_, place) in named.items() if place is not None}

    @property
    def pinned(self) -> dict[str, Json]:
        """What of it is part of what a smoke run's nodes mean: its content."""
        made_up: dict[str, Json] = {meaning: dict(columns) for meaning, columns in self.columns.items()}
        return {**made_up, **{meaning: _digest(place) for meaning, place in self.places.items()}}


def _model(node: Node, stand_ins: StandIns | None) -> Path | None:
    """The folder that says what a model is like: a stand-in, or what the hub's cache has of it."""
    name = str(node.settings["name"])
    folder = stand_ins.model(name) if stand_ins is not None else None
    if folder is None:
        revision = node.settings.get("revision")
        cached = hub_folder(f"{name}@{revision}" if revision else name, fetch=False)
        folder = Path(cached) if cached is not None else None
    return folder


def _named(node: Node) -> str:
    """``openai/gsm8k main train``."""
    parts = (node.settings["name"], node.settings.get("config"), node.settings.get("split"))
    return " ".join(str(part) for part in parts if part)


def _dataset(node: Node, stand_ins: StandIns | None) -> Path | None:
    if stand_ins is None:
        return None
    return stand_ins.dataset(str(node.settings["name"]), node.settings.get("config"), node.settings.get("split"))


def _digest(place: Path) -> str:
    """Of a file, or of the small files of a model's folder."""
    files = sorted(path for path in place.iterdir() if path.suffix != ".safetensors") if place.is_dir() else [place]
    digests = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files if path.is_file()]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


# What is shown --------------------------------------------------------------------------------------------------------


def _begin(file: str, small: Smoke, found: Found, profile: Profile) -> None:
    print(f"smoke run of {file}: {len(small.graph.nodes)} nodes, two steps a stage, store {profile.store}")
    for line in _standing_in(small, found):
        print(f"  {line}")


def _standing_in(small: Smoke, found: Found) -> Iterator[str]:
    models = dict.fromkeys(name for name, _ in found.models.values())
    if models:
        yield f"tiny models with random weights stand for {_listed(models)}"
    few = dict.fromkeys(name for name, place in found.datasets.values() if place is not None)
    if few:
        yield f"a few rows stand for {_listed(few)}"
    made_up = dict.fromkeys(name for name, place in found.datasets.values() if place is None)
    if made_up:
        yield f"made-up rows stand for {_listed(made_up)}"
    for stub in small.stubbed:
        yield f"stubbed: {stub}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _end(graph: Graph, outcome: Outcome, seconds: float) -> None:
    if outcome.message:
        print(f"ptc: {outcome.message}", file=sys.stderr)
    for folder in outcome.exports.values():
        print(f"export {folder} (of random weights)")
    done = len(outcome.ran) + len(outcome.reused)
    reused = f", {len(outcome.reused)} reused" if outcome.reused else ""
    print(f"smoke: {done} of {len(graph.nodes)} nodes{reused}, {progress.duration(seconds)}, exit {outcome.exit_code}")


@dataclass
class Stages:
    """A line for each stage, and for each remark."""

    last: dict[str, Message] = field(default_factory=dict)
    """The latest message of each node, by its label."""

    def remark(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def reused(self, node: Node, artifact: Artifact) -> None:
        if node.kind == "train":
            print(f"stage {node.label}  reused", flush=True)

    def waiting(self, node: Node, holder: Holder | None) -> None:
        print(f"  {progress.title(node)} waits for {holder or 'another run'}", flush=True)

    def started(self, node: Node, attempt: int, resumed: str | None) -> None: ...

    def progress(self, node: Node, message: Message) -> None:
        self.last[node.label] = message

    def finished(self, node: Node, artifact: Artifact, seconds: float) -> None:
        if node.kind == "train":
            message = self.last[node.label]
            parts = [f"{message.done} steps", progress.telling(message.metrics), progress.duration(seconds)]
            print(f"stage {node.label}  {' · '.join(part for part in parts if part)}", flush=True)

    def stopped(self, node: Node, message: str) -> None:
        print(f"  stopped in {progress.title(node)}", flush=True)
