"""`ptc lock`: asks the hub once about everything that a program names there, and writes down what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ptc import api, checking, lockfile
from ptc.headers import hub_commit, hub_problem, missing
from ptc.lang.reading import read
from ptc.lang.source import Source
from ptc.runtime.artifacts import InputWrong
from ptc.siblings import Siblings
from ptc.stand_ins import StandIns


def lock(file: str, settings: Mapping[str, str], stand_ins: StandIns | None) -> int:
    """0 if all is locked, 2 if the program is wrong or names what the hub refuses, 6 if the hub is not reached."""
    found = read(Path(file))
    if not isinstance(found, Source):
        checking.show(api.CheckResult(Source(file, ""), (found,)), sys.stderr)
        return 2
    known = api.catalogue(True, stand_ins, Siblings(file))
    result = api.check_with(found, known, settings)
    models = {
        name: replace(header, revision=_commit("model", name, stand_ins)) for name, header in known.hub_models.items()
    }
    datasets = {
        name: replace(header, revision=_commit("dataset", name, stand_ins))
        for name, header in known.hub_datasets.items()
    }
    path = lockfile.beside(file)
    lockfile.write(path, lockfile.Lock(models, datasets))
    print(f"{path}: {_counted(models, 'model')}, {_counted(datasets, 'dataset')}")
    return _ended(result, (("model", missing(known.hub_models)), ("dataset", missing(known.hub_datasets))))


def _ended(result: api.CheckResult, absent: Iterable[tuple[str, Iterable[str]]]) -> int:
    """The exit code, and what is to be said with it. `absent`: ``model`` or ``dataset``, and the names not found."""
    if any(diagnostic.severity == "error" for diagnostic in result.diagnostics):
        checking.show(result, sys.stderr)
        return 2
    problems = [hub_problem(what, name) for what, names in absent for name in names]
    for problem in problems:
        print(f"ptc lock: {problem}", file=sys.stderr)
    if any(isinstance(problem, InputWrong) for problem in problems):
        return 2
    return 6 if problems else 0


def _commit(what: str, name: str, stand_ins: StandIns | None) -> str | None:
    """The commit that a name means; none where a stand-in was looked at."""
    if stand_ins is not None and (stand_ins.rows(name) if what == "dataset" else stand_ins.checkpoint(name)):
        return None
    return hub_commit(what, name)


def _counted(found: Mapping[str, object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
