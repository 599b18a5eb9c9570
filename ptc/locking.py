"""`ptc lock`: asks the hub once about everything that a program names there, and writes down what it says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ptc import api, checking, lockfile
from ptc.headers import hub_commit
from ptc.lang.reading import read
from ptc.lang.source import Source
from ptc.siblings import Siblings
from ptc.stand_ins import StandIns


def lock(file: str, settings: Mapping[str, str], stand_ins: StandIns | None) -> int:
    """0 if everything that the program names is locked, 2 if the program is wrong, 6 if something is not to be had."""
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
    return _ended(result)


def _ended(result: api.CheckResult) -> int:
    """The exit code, and what is to be said with it."""
    if any(diagnostic.severity == "error" for diagnostic in result.diagnostics):
        checking.show(result, sys.stderr)
        return 2
    assert result.checked is not None
    missing = dict.fromkeys(each.name for each in result.checked.absent if each.on_hub)
    for name in missing:
        print(f"ptc lock: {name} is not to be had from the hub", file=sys.stderr)
    return 6 if missing else 0


def _commit(what: str, name: str, stand_ins: StandIns | None) -> str | None:
    """The commit that a name means; none where a stand-in was looked at."""
    if stand_ins is not None and (stand_ins.rows(name) if what == "dataset" else stand_ins.checkpoint(name)):
        return None
    return hub_commit(what, name)


def _counted(found: Mapping[str, object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
