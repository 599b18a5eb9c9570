"""What the run ran on, and under which profile."""

from __future__ import annotations

from typing import Any

from ptc.report.section import Section
from ptc.runtime.history import History


class Environment(Section):
    ptc: str
    python: str
    system: str
    cores: int
    gpus: tuple[str, ...]
    libraries: dict[str, str]
    profile: dict[str, Any]
    files: dict[str, str]
    """The program's text, file by file."""


def environment(history: History) -> Environment:
    found = history.info["environment"]
    return Environment(
        ptc=found["ptc"] or "",
        python=found["python"],
        system=found["system"],
        cores=found["cores"],
        gpus=tuple(found["gpus"]),
        libraries=found["libraries"],
        profile=history.info.get("profile", {}),
        files=history.info.get("files", {}),
    )
