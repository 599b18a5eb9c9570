"""`ptc diagnose`: measures, decides, offers, shows."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ptc import api, checking, describing, progress, running
from ptc.compiler import core
from ptc.compiler.diagnosing import GOING_ON, Measurements, Wish, instrument, measurements
from ptc.compiler.graph import Graph
from ptc.diagnosis import document, remedies, showing, subjects
from ptc.diagnosis.decision import decide, instrument_fault
from ptc.diagnosis.evidence import Attempts, Evidence, epsilon, evidence, instrument_of
from ptc.diagnosis.subjects import Asked, Named, Subject
from ptc.lang.source import Source
from ptc.runtime.artifacts import Artifact, InputWrong, ResourceMissing
from ptc.runtime.executor import Outcome, execute
from ptc.runtime.forecast import forecast
from ptc.runtime.profile import Profile, load_profile
from ptc.runtime.rewards import spelled
from ptc.runtime.runs import INFO
from ptc.runtime.store import Store
from ptc.runtime.tables import COUNTS_FILE, column, read_table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    what: str
    """A program, or the folder of a run."""
    settings: Mapping[str, str]
    asked: Asked
    references: str | None = None
    prompts: int = 64
    samples: int = 64
    json: bool = False
    store: str | None = None
    profile: str | None = None
    allow_extern: bool = False


class Ended(Exception):
    """A measurement did not come to its end, for a reason that has been said."""

    def __init__(self, code: int) -> None:
        self.code = code


def diagnose(options: Options) -> int:
    """The exit code: 0 whatever is found."""
    running.quiet_libraries()
    try:
        workplace = _Workplace.of(options)
        found = [workplace.diagnosis(subject) for subject in workplace.subjects()]
    except running.Refused as refused:
        return refused.code
    except Ended as ended:
        return ended.code
    except tuple(running.EXIT_CODES) as error:
        return running.ended(error)
    whole = document.Diagnoses(program=workplace.checked.source.path, diagnoses=tuple(found))
    kept = whole.write(workplace.folder or workplace.last)
    if options.json:
        print(whole.model_dump_json(indent=2))
        return 0
    console = _console()
    for one in found:
        showing.show(console, one)
    console.print(f"\nkept      {os.path.relpath(kept)}", soft_wrap=True)
    return 0


@dataclass
class _Workplace:
    """A program that is sound, and where it is measured."""

    options: Options
    checked: api.CheckResult
    profile: Profile
    store: Store
    folder: Path | None
    """The run's folder, where one is diagnosed."""
    last: Path = Path()
    """The folder of the latest measurement."""

    @staticmethod
    def of(options: Options) -> _Workplace:
        folder = Path(options.what) if Path(options.what).is_dir() else None
        if folder is not None and options.store is None:
            options = replace(options, store=str(folder.absolute().parent.parent))
        profile = load_profile(None if options.profile is None else Path(options.profile), here=True)
        if options.store is not None:
            profile = profile.model_copy(update={"store": Path(options.store)})
        checked = _of_run(folder) if folder is not None else api.check_file(options.what, options.settings)
        if not checked.sound:
            checking.show(checked, sys.stderr)
            print(f"{checked.source.path}: {checking.verdict(checked)}", file=sys.stderr)
            raise running.Refused(checking.exit_code([checked]))
        if not options.allow_extern:
            running.refuse(checked, api.unallowed(checked, profile.allow_extern))
        running.refuse(checked, api.refused(checked))
        running.check_packages(profile)
        return _Workplace(options, checked, profile, running.open_store(profile.store), folder)

    @property
    def program(self) -> core.Program:
        assert self.checked.checked is not None
        return self.checked.checked.program

    def subjects(self) -> tuple[Subject, ...]:
        found = subjects.subjects(self.program, replace(self.options.asked, finished=self.folder is not None))
        return tuple(replace(one, model=self._written(one)) for one in found)

    def _written(self, subject: Subject) -> Named:
        """A model without a name, as the program makes it."""
        named = subject.model
        if named.text:
            return named
        span = named.model.span
        return replace(named, text=self.checked.source.text[span.start : span.end])

    def diagnosis(self, subject: Subject) -> document.Diagnosis:
        """One model on one eval: the instrument first, and the rest if it is sound."""
        held, file = subjects.reference_of(subject.eval, self.options.references)
        wish = Wish(
            self.program,
            subject.eval,
            subject.model.model,
            subject.model.name,
            {each.name: each.model for each in subject.earlier},
            self.options.prompts,
            self.options.samples,
            held,
            file,
        )
        self._refuse_untrained(measurements(wish).graph)
        model = None
        first = instrument(wish)
        tried = self._tables(first, self._measured(first.graph)) if first.informedness else {}
        found = _only_instrument(tried["informedness"], self.options.samples) if tried else None
        if found is None or found.instrument is None or instrument_fault(found.instrument) is None:
            whole = measurements(wish)
            outcome = self._measured(whole.graph)
            model = outcome.artifacts[whole.model]
            found = _evidence(self._tables(whole, outcome), self.options.samples)
            found = replace(found, untaught=subject.model.untaught)
        decision = decide(found)
        text = self.checked.source.text
        offered = remedies.remedy(decision, remedies.Names(subject, self.program, text, model), self._check)
        settings = subject.eval.settings
        temperature = float(settings["temperature"])
        about = document.About(subject.model.name, subject.eval.name, spelled(settings), temperature)
        return document.document(about, found, decision, offered)

    def _check(self, text: str) -> api.CheckResult:
        return api.check_source(Source(self.checked.source.path, text), self.options.settings)

    def _refuse_untrained(self, graph: Graph) -> None:
        """A diagnosis trains nothing: what is not in the store has to be run first."""
        fates = forecast(graph, self.store, self.profile, Path.cwd())
        for meaning, node in graph.nodes.items():
            if node.kind == "train" and fates[meaning].action == "run":
                raise ResourceMissing(
                    f"`{node.label}` is not in the store {self.store.root}: `ptc run` trains it, --store names another "
                    "store, and --model takes a folder with a checkpoint"
                )

    def _measured(self, graph: Graph) -> Outcome:
        """The graph, carried out; what the store has is not done again. Raises `Ended`."""
        path = self.checked.source.path
        with progress.listening(_console(stderr=True), len(graph.nodes)) as listener:
            outcome = execute(
                graph,
                self.store,
                self.profile,
                running.Implementations(),
                label=f"diagnose {Path(path).stem}",
                listener=listener,
                info=describing.described(self.checked, self.options.settings, self.profile, f"ptc diagnose {path}"),
            )
        self.last = outcome.folder
        if outcome.exit_code:
            print(f"ptc: {outcome.message}", file=sys.stderr)
            raise Ended(outcome.exit_code)
        return outcome

    def _tables(self, wanted: Measurements, outcome: Outcome) -> dict[str, pa.Table]:
        """The counts by what they are of; of earlier checkpoints under `earlier NAME`."""
        nodes = {
            "informedness": wanted.informedness,
            "own": wanted.own,
            "deployed": wanted.deployed,
            "probe": wanted.probe,
            **{f"earlier {name}": meaning for name, meaning in wanted.earlier.items()},
        }
        known: Mapping[str, Artifact] = outcome.artifacts
        return {name: read_table(known[meaning].path / COUNTS_FILE) for name, meaning in nodes.items() if meaning}


def _console(stderr: bool = False) -> Console:
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = 120
    return console


def _of_run(folder: Path) -> api.CheckResult:
    """The program as it was when a run began. Raises `InputWrong` for a folder that keeps none."""
    try:
        info = json.loads((folder / INFO).read_bytes())
        program, *others = info["files"].items()
    except (FileNotFoundError, KeyError, ValueError):
        raise InputWrong(
            f"{folder}: not the folder of a run that keeps its program; `ptc runs` lists them, and a checkpoint's "
            "folder is named by --model behind its program"
        ) from None
    beside = Path(program[0]).parent
    siblings = {Path(os.path.relpath(path, beside)).as_posix(): text for path, text in others}
    return api.check_text(program[1], program[0], info["settings"], siblings)


def _only_instrument(counts: pa.Table, samples: int) -> Evidence:
    return Evidence(counts.num_rows, samples, epsilon(samples), instrument_of(counts))


def _evidence(tables: Mapping[str, pa.Table], samples: int) -> Evidence:
    tried = tables.get("informedness")
    golds = dict(zip(*(column(tried, name) for name in ("prompt_id", "reference")), strict=True)) if tried else {}
    earlier = {
        name.removeprefix("earlier "): Attempts(table, samples)
        for name, table in tables.items()
        if name.startswith("earlier ")
    }
    return evidence(
        Attempts(tables["own"], samples),
        Attempts(tables["deployed"], samples),
        None if tried is None else instrument_of(tried),
        golds,
        tables.get("probe"),
        GOING_ON,
        earlier,
    )
