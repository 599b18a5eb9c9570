"""`ptc report --live`: writes a run's page anew every few seconds until the run ends."""

from __future__ import annotations

import time
import webbrowser
from pathlib import Path

from ptc.report.command import shown, write_page
from ptc.report.document import Report, report
from ptc.runtime.history import history
from ptc.runtime.store import Store

PACE = 3.0
"""Seconds between two looks at a run, and after which the page loads itself again."""


def follow(store: Store, folder: Path, page: Path, opens: bool = False, pace: float = PACE) -> int:
    """Returns when the run has ended, or on Ctrl-C; either leaves a page that stands still. The exit code."""
    made = _written(store, folder, page, pace)
    follows = f"  follows {folder.name}; Ctrl-C stops that, and leaves the page" if _goes_on(made) else ""
    print(f"{shown(page)}{follows}", flush=True)
    if opens:
        webbrowser.open(page.absolute().as_uri())
    try:
        while _goes_on(made):
            time.sleep(pace)
            made = _written(store, folder, page, pace)
    except KeyboardInterrupt:
        write_page(made, page)
        return 130
    return 0


def _written(store: Store, folder: Path, page: Path, pace: float) -> Report:
    made = report(history(store, folder))
    write_page(made, page, pace if _goes_on(made) else None)
    return made


def _goes_on(made: Report) -> bool:
    return made.run.state == "running"
