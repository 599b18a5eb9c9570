"""`ptc sweep`, `ptc ablate` and `ptc compare`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.text import Text

from ptc import api, describing, progress, running
from ptc.experiments import recording, showing, trials
from ptc.experiments.ablations import Ablation, Wish, ablations
from ptc.experiments.comparing import Contestant, compare, renamed
from ptc.experiments.grid import grid, seeds
from ptc.experiments.page import write_page
from ptc.experiments.recording import Record
from ptc.experiments.trials import SEED, Trial, Wanted
from ptc.experiments.unmatched import Side, unmatched
from ptc.lang.render import render
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.executor import execute
from ptc.runtime.history import History, find, history
from ptc.runtime.store import Store
from ptc.stand_ins import StandIns

if TYPE_CHECKING:
    from ptc.experiments.comparison import Comparison
    from ptc.runtime.profile import Profile

STOPPED = (5, 130)
"""Exit codes after which the same command goes on."""
UNLIKE = 2


@dataclass(frozen=True)
class Options:
    """What the commands have in common."""

    seeds: int | None = None
    dry: bool = False
    report: str | None = None
    unmatched: str = ""
    """Why unlike runs are compared all the same."""
    wait: bool = True
    as_json: bool = False


def sweep(request: running.Request, options: Options, paired: bool) -> int:
    """Runs a program under every setting of a grid, and compares the runs with the first."""
    try:
        settings = {name: text for name, text in request.settings.items() if name != "seed"}
        points = grid(settings, paired)
        runs = seeds(options.seeds, request.settings.get("seed"), SEED)
        if len(points) * len(runs) == 1:
            raise InputWrong("a sweep has several runs: --set NAME=V1,V2,… or --seeds N")
        source = trials.source_of(request.file)
        wanted = trials.seeded(trials.of_grid(source, points), runs)
        return _experiment("sweep", request, options, wanted, _words("sweep", request, options, zip=paired))
    except running.Refused as refused:
        return refused.code
    except tuple(running.EXIT_CODES) as error:
        return running.ended(error)


def ablate(request: running.Request, options: Options, wish: Wish) -> int:
    """Runs a program and edits of it, and compares the edits with the program."""
    try:
        settings = {name: text for name, text in request.settings.items() if name != "seed"}
        runs = seeds(options.seeds, request.settings.get("seed"), SEED)
        source = trials.source_of(request.file)
        base = Wanted("as written", {}, settings, SEED, source)
        (whole,) = trials.prepared([base], request)
        by_name = {name: text for name, text in settings.items() if "." not in name}
        stand_ins = StandIns(Path(request.stand_ins)) if request.stand_ins is not None else None
        found = ablations(whole.checked, wish, lambda text: api.check_source(text, by_name, stand_ins=stand_ins))
        if options.dry:
            for ablation in found:
                _show_program(ablation)
        left_out = [f"{each.title}: left out: {each.refused}" for each in found if each.refused]
        for line in left_out:
            print(f"ptc: {line}", file=sys.stderr)
        if all(each.refused for each in found):
            raise InputWrong("there is nothing to run: name --drop, --permute, --swap, --random-reward or --all")
        for each in found:
            if not each.refused:
                print(f"{each.title}: {_said(each)}")
        wanted = trials.seeded(trials.of_ablations(source, settings, found), runs)
        words = _words("ablate", request, options, **_asked(wish))
        return _experiment("ablate", request, options, wanted, words, left_out)
    except running.Refused as refused:
        return refused.code
    except tuple(running.EXIT_CODES) as error:
        return running.ended(error)


def _said(ablation: Ablation) -> str:
    gone = ", ".join(f"`{name}`" for name in ablation.unclaimed)
    return ablation.budget + (f"; {gone} claims nothing there, for nothing could produce it" if gone else "")


def _show_program(ablation: Ablation) -> None:
    print(f"--- {ablation.name}.pt")
    print(ablation.text or f"# {ablation.refused}")


def compare_runs(words: Sequence[str], profile: str | None, store: str | None, options: Options) -> int:
    """Compares runs that are there, with the first of them."""
    try:
        opened = Store(trials.profile_of(running.Request("", {}, profile, store)).store, create=False)
        runs = [history(opened, find(opened, word)) for word in words]
        command = shlex.join(["ptc", "compare", *words])
        found = compare(_told_apart(runs), "runs compared", command, options.unmatched)
        if options.as_json:
            print(found.model_dump_json(indent=2))
        else:
            _show(found)
        if options.report is not None:
            _report(found, Path(options.report))
    except tuple(running.EXIT_CODES) as error:
        return running.ended(error)
    return 0 if found.matched else UNLIKE


def _told_apart(runs: Sequence[History]) -> list[Contestant]:
    """What runs differ in: the program, its text, its settings; runs that differ in the seed alone are one row."""
    about = []
    for run in runs:
        path = Path(str(run.info.get("path", run.summary.label)))
        settings: Mapping[str, str] = run.info.get("settings", {})
        about.append({"program": path.stem, **{name: value for name, value in settings.items() if name != "seed"}})
    texts = [json.dumps(run.info.get("files", {}), sort_keys=True) for run in runs]
    names = list(dict.fromkeys(name for one in about for name in one))
    varied = [name for name in names if len({one.get(name) for one in about}) > 1]
    contestants = []
    for run, one, text in zip(runs, about, texts, strict=True):
        shown = {name: one[name] for name in varied if name in one}
        same = [other for other, each in zip(texts, about, strict=True) if each == one]
        if len(set(same)) > 1:
            shown["text"] = str(1 + list(dict.fromkeys(same)).index(text))
        name = ", ".join(value if key == "program" else f"{key}={value}" for key, value in shown.items())
        seed = int(str(run.info.get("settings", {}).get("seed", SEED)))
        contestants.append(Contestant(name or "as written", shown, seed, run))
    return renamed(contestants)


# An experiment -------------------------------------------------------------------------------------------------------


def _experiment(
    kind: Literal["sweep", "ablate"],
    request: running.Request,
    options: Options,
    wanted: Sequence[Wanted],
    command: str,
    left_out: Sequence[str] = (),
) -> int:
    """Checks all, says what it takes, runs, compares. The exit code of the first run that did not come to its end."""
    planned = trials.prepared(wanted, request)
    profile = trials.profile_of(request)
    _refuse_unlike(planned, options.unmatched)
    store = Store(profile.store, create=False) if options.dry else running.open_store(profile.store)
    for line in trials.plan_lines(planned, store, profile):
        print(line)
    if options.dry:
        return 0
    _check_machine(planned, profile)
    record = recording.begun(kind, request.file, command, options.unmatched, planned)
    recording.keep(store, record)
    recording.keep_programs(store, record, planned)
    folder = recording.folder_of(store, record)
    record, runs = _run_all(record, planned, store, profile, options.wait)
    if record.trials and any(trial.exit_code in STOPPED for trial in record.trials):
        print(f"ptc: stopped; what is sealed is kept: the same command goes on:  {command}", file=sys.stderr)
        return next(int(trial.exit_code or 0) for trial in record.trials if trial.exit_code in STOPPED)
    title = f"{Path(request.file).name}: {len(planned)} runs"
    found = compare(runs, title, command, options.unmatched, left_out)
    _show(found)
    for place in dict.fromkeys((folder / "comparison.html", Path(options.report or folder / "comparison.html"))):
        _report(found, place)
    print(f"record    {folder / recording.RECORD}")
    failed = [trial.exit_code for trial in record.trials if trial.exit_code]
    return failed[0] if failed else 0 if found.matched else UNLIKE


def _refuse_unlike(planned: Sequence[Trial], reason: str) -> None:
    """Runs that cannot be compared are not paid for, unless it is said why they are compared all the same."""
    firsts = {trial.name: trial for trial in reversed(planned)}
    sides = [Side(name, trial.graph, trial.checked.source, note=trial.note) for name, trial in firsts.items()][::-1]
    found = unmatched(sides, reason)
    for finding in found:
        print(render(finding, sides[0].source), file=sys.stderr, end="\n\n")
    if any(finding.severity == "error" for finding in found):
        print("these runs cannot be compared: nothing has started", file=sys.stderr)
        raise running.Refused


def _check_machine(planned: Sequence[Trial], profile: Profile) -> None:
    """What `ptc run` looks at before anything is paid for, of all runs."""
    from ptc.runtime.externs import refuse_missing
    from ptc.runtime.keys import targets

    running.quiet_libraries()
    running.check_packages(profile)
    for trial in planned:
        refuse_missing(target for node in trial.graph.nodes.values() for target in targets(node))
        running.check_places(trial.graph)
        running.check_processes(trial.graph, profile)


def _run_all(
    record: Record, planned: Sequence[Trial], store: Store, profile: Profile, wait: bool
) -> tuple[Record, list[Contestant]]:
    """Runs all, one after the other. One that fails is written down and ends nothing; an interruption ends all."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    runs: list[Contestant] = []
    for number, trial in enumerate(planned):
        console.print(Text(f"\n{number + 1} of {len(planned)}: {trial.title}"))
        with progress.listening(console, len(trial.graph.nodes)) as listener:
            outcome = execute(
                trial.graph,
                store,
                profile,
                running.Implementations(),
                label=Path(record.program).stem,
                listener=listener,
                wait=wait,
                info=describing.described(trial.checked, trial.settings, profile, record.command),
            )
        record = recording.with_end(record, number, outcome.run_id, outcome.exit_code, outcome.message)
        recording.keep(store, record)
        if outcome.message:
            print(f"ptc: {outcome.message}", file=sys.stderr)
        if outcome.exit_code in STOPPED:
            break
        runs.append(Contestant(trial.name, trial.shown, trial.seed, history(store, outcome.folder), trial.note))
    return record, runs


def _show(comparison: Comparison) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print()
    showing.show(console, comparison)


def _report(comparison: Comparison, page: Path) -> None:
    """Writes the page, and the same as JSON beside it."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.with_suffix(".json").write_text(comparison.model_dump_json(indent=2) + "\n", encoding="utf-8")
        write_page(comparison, page.with_suffix(".html"))
    except OSError as error:
        raise InputWrong(f"{page}: {error.strerror}; name another file with --report") from None
    print(f"report    {page.with_suffix('.html')}")


# The command again ---------------------------------------------------------------------------------------------------


def _words(command: str, request: running.Request, options: Options, **own: object) -> str:
    """The command line that asks for the same again."""
    words = list(running.command_of(replace(request)))
    found = ["ptc", command, *words[1:]]
    for name, value in own.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif isinstance(value, list | tuple):
            for each in value:
                found += [option, each]
    if options.seeds is not None:
        found += ["--seeds", str(options.seeds)]
    if options.unmatched:
        found += ["--unmatched", options.unmatched]
    if options.report is not None:
        found += ["--report", options.report]
    return shlex.join(found)


def _asked(wish: Wish) -> dict[str, object]:
    return {
        "drop": list(wish.drop),
        "permute": [",".join(pair) for pair in wish.permute],
        "swap": ["=".join(pair) for pair in wish.swap],
        "random_reward": list(wish.random_reward),
        "all": wish.all,
        "no_match": not wish.matched,
    }
