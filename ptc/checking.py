"""The commands that only read programs: `ptc check`, `fmt`, `explain`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ptc.api import CheckResult


def check(
    files: Sequence[str], settings: Mapping[str, str], types: bool, data: bool, strict: bool, as_json: bool
) -> int:
    """`ptc check`: 0 if every program is right, else 2."""
    from ptc import api

    results = [api.check_file(file, settings, data=data) for file in files]
    wrong = [result for result in results if is_wrong(result, strict)]
    if as_json:
        print(json.dumps({"schema": 1, "files": [_document(r, not is_wrong(r, strict)) for r in results]}, indent=2))
    else:
        for result in results:
            show(result, sys.stdout)
            if types and result.types:
                print("\n".join(result.types))
            print(f"{result.source.path}: {verdict(result)}")
    return 2 if wrong else 0


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
    counts = []
    for severity in ("error", "warning", "note"):
        count = sum(1 for diagnostic in result.diagnostics if diagnostic.severity == severity)
        if count:
            counts.append(f"{count} {severity}{'' if count == 1 else 's'}")
    if not counts:
        return "ok"
    return ", ".join(counts) if is_wrong(result) else "ok, " + ", ".join(counts)


def coloured(out: TextIO) -> bool:
    return out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _document(result: CheckResult, ok: bool) -> dict[str, Any]:
    return {
        "path": result.source.path,
        "ok": ok,
        "diagnostics": [diagnostic.to_json(result.source) for diagnostic in result.diagnostics],
        "types": list(result.types),
    }


def fmt(files: Sequence[str], only_check: bool) -> int:
    """`ptc fmt`: rewrites files in place. 2 if one cannot be parsed, or would change under `--check`."""
    from ptc import api

    code = 0
    for file in files:
        result = api.format_file(file)
        if result.text is None:
            show(result.checked, sys.stderr)
            print(f"{file}: not formatted", file=sys.stderr)
            code = 2
        elif result.text != result.checked.source.text:
            if only_check:
                print(f"{file}: would be reformatted")
                code = 2
            else:
                api.rewrite(file, result.text)
                print(f"{file}: reformatted")
    return code


def explain(code: str | None) -> int:
    """`ptc explain`: the page of a code or of a kebab-case name; without one, the list."""
    titles = _titles()
    if code is None:
        for known, title in titles.items():
            print(f"{known}  {title}")
        return 0
    by_name = {_name(title): known for known, title in titles.items()}
    found = code.upper() if code.upper() in titles else by_name.get(code.lower())
    if found is None:
        import difflib

        close = difflib.get_close_matches(code.upper(), titles, n=1) or difflib.get_close_matches(code, by_name, n=1)
        guess = f": did you mean `{close[0]}`?" if close else "; `ptc explain` lists all"
        print(f"ptc explain: there is no code `{code}`{guess}", file=sys.stderr)
        return 2
    print(_pages().joinpath(f"{found}.md").read_text(encoding="utf-8").rstrip())
    return 0


def _pages() -> Any:
    return resources.files("ptc").joinpath("errors")


def _titles() -> dict[str, str]:
    """Code to the first line of its page, without its number signs and the code."""
    pages = {}
    for page in sorted(_pages().iterdir(), key=lambda each: str(each.name)):
        code, suffix = page.name.rsplit(".", 1) if "." in page.name else (page.name, "")
        if suffix == "md" and code[:1].isupper() and code[1:].isdigit():
            first = page.read_text(encoding="utf-8").lstrip().split("\n", 1)[0]
            pages[code] = first.lstrip("# ").removeprefix(code).lstrip(": -–—")
    return pages


def _name(title: str) -> str:
    """The first word of a title, where pages give the kebab-case name."""
    return title.split()[0].strip("`:,") if title.split() else ""
