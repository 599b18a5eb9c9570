"""The commands that only read programs: `ptc check` and `fmt`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ptc.api import CheckResult


def check(
    files: Sequence[str],
    settings: Mapping[str, str],
    types: bool,
    data: bool,
    strict: bool,
    as_json: bool,
    stand_ins: str | None = None,
    profile: str | None = None,
    limits: Mapping[str, int] | None = None,
) -> int:
    """`ptc check`: 0 if every program is right, 6 if they, or what looks at data, lack what they need, else 2."""
    from ptc import api
    from ptc.runtime.artifacts import InputWrong, ResourceMissing
    from ptc.stand_ins import StandIns

    placement = None
    if profile is not None:
        from ptc import placing

        try:
            placement = placing.placement(profile)
        except InputWrong as error:
            print(f"ptc: {error}", file=sys.stderr)
            return 2
    known = StandIns(Path(stand_ins)) if stand_ins is not None else None
    try:
        results = [api.check_file(file, settings, data, known, placement, limits) for file in files]
    except ResourceMissing as missing:
        print(f"ptc: {missing}", file=sys.stderr)
        return 6
    wrong = [result for result in results if is_wrong(result, strict)]
    if as_json:
        print(json.dumps({"schema": 1, "files": [_document(r, not is_wrong(r, strict)) for r in results]}, indent=2))
    else:
        for result in results:
            show(result, sys.stdout)
            if types and result.types:
                print("\n".join(inferred(result)))
            if result.looked:
                print(f"{result.source.path}: {result.looked}")
            print(f"{result.source.path}: {verdict(result)}")
    return exit_code(wrong, strict) if wrong else 0


def exit_code(wrong: Sequence[CheckResult], strict: bool = False) -> int:
    """2 for what is wrong, 6 if all that is wrong is that resources are missing."""
    from ptc.compiler.findings import RESOURCES

    severities = {"error", "warning"} if strict else {"error"}
    codes = {each.code for result in wrong for each in result.diagnostics if each.severity in severities}
    return 6 if codes <= RESOURCES else 2


def inferred(result: CheckResult) -> list[str]:
    """The types of the sources, and behind an empty line what each is to the learner of a stage."""
    return [*result.types, *(["", *result.regimes] if result.regimes else [])]


def is_wrong(result: CheckResult, strict: bool = False) -> bool:
    severities = {"error", "warning"} if strict else {"error"}
    return any(diagnostic.severity in severities for diagnostic in result.diagnostics)


def show(result: CheckResult, out: TextIO) -> None:
    """All diagnostics, rendered, a blank line after each."""
    from ptc.lang.render import render

    for diagnostic in result.diagnostics:
        print(render(diagnostic, result.source, colour=coloured(out)), file=out, end="\n\n")


def verdict(result: CheckResult) -> str:
    """``ok``, or ``2 errors, 1 warning``."""
    from ptc.lang.render import summary

    counts = summary(result.diagnostics)
    if not counts:
        return "ok"
    return counts if is_wrong(result) else f"ok, {counts}"


def coloured(out: TextIO) -> bool:
    """On terminals, unless NO_COLOR or a dumb terminal says otherwise."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _document(result: CheckResult, ok: bool) -> dict[str, Any]:
    return {
        "path": result.source.path,
        "ok": ok,
        "diagnostics": [diagnostic.to_json(result.source) for diagnostic in result.diagnostics],
        "types": list(result.types),
        **({"looked": result.looked} if result.looked else {}),
        "regimes": list(result.regimes),
    }
