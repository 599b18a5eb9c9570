"""What a run keeps of its program, so that it can be read when the program has changed: ``run.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ptc.compiler.graph import Json
from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.siblings import Siblings

if TYPE_CHECKING:
    from ptc.api import CheckResult
    from ptc.lang.source import Source
    from ptc.runtime.profile import Profile


def described(checked: CheckResult, settings: Mapping[str, str], profile: Profile, command: str) -> dict[str, Json]:
    """The program's path and every file that it is made of, its settings, the profile, and what the checker found."""
    assert checked.checked is not None
    return {
        "schema": 1,
        "path": str(Path(checked.source.path).absolute()),
        "files": {source.path: source.text for source in _files(checked.source, Siblings(checked.source.path))},
        "settings": dict(settings),
        "profile": profile.model_dump(mode="json"),
        "findings": [each.to_json(checked.source) for each in checked.diagnostics],
        "accepted": [each.to_json(checked.source) for each in checked.checked.accepted],
        "regimes": list(checked.regimes),
        "command": command,
    }


def _files(program: Source, beside: Siblings) -> Iterator[Source]:
    """The program, and the files beside it that it imports, and that those import."""
    waiting, seen = [("", program)], {""}
    while waiting:
        path, source = waiting.pop(0)
        yield source
        for imported in _imported(source, str(Path(path).parent)):
            found = beside.get(imported)
            if imported not in seen and found is not None and not isinstance(found, str):
                waiting.append((imported, found))
            seen.add(imported)


def _imported(source: Source, folder: str) -> Iterator[str]:
    for statement in parse(source)[0].statements:
        if isinstance(statement, ast.Import) and statement.relative:
            yield Path(folder, *(part.id for part in statement.module)).as_posix() + ".pt"
