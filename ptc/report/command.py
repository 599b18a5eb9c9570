"""`ptc report`: writes the page of a run, and with it the document and the figures."""

from __future__ import annotations

import os
import webbrowser
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ptc import running
from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.history import find, history
from ptc.runtime.store import Store

if TYPE_CHECKING:
    from ptc.report.document import Report

PAGE, DOCUMENT = "report.html", "report.json"
NEEDED = ("jinja2", "matplotlib", "networkx", "numpy", "pyarrow")


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    run: str | None = None
    """An id or its beginning, a folder, or a program's file; None: the newest run."""
    out: str | None = None
    """A folder, or a file that ends in ``.html``; None: the run's folder."""
    json: bool = False
    figures: str | None = None
    live: bool = False
    open: bool = False
    profile: str | None = None
    store: str | None = None


def command(wish: Wish) -> int:
    """The exit code."""
    try:
        _check_packages()
        store = Store(running.profile_of(wish.profile, wish.store).store, create=False)
        folder = find(store, wish.run)
        page = _place(wish.out, folder)
        if wish.live:
            from ptc.report.live import follow

            return follow(store, folder, page, opens=wish.open)
        written = write(store, folder, page, wish)
    except tuple(running.EXIT_CODES) as error:
        return running.ended(error)
    for path in written:
        print(shown(path))
    if wish.open:
        webbrowser.open(page.absolute().as_uri())
    return 0


def write(store: Store, folder: Path, page: Path, wish: Wish) -> list[Path]:
    """Everything that is asked for; what was written, figures as their folder."""
    from ptc.report.document import report

    made = report(history(store, folder))
    written = [write_page(made, page)]
    if wish.json:
        written.append(replace(page.parent / DOCUMENT, made.model_dump_json(indent=1) + "\n"))
    if wish.figures is not None:
        from ptc.report.drawings import save

        save(made, Path(wish.figures))
        written.append(Path(wish.figures))
    return written


def write_page(made: Report, path: Path, live: float | None = None) -> Path:
    """The page, whole at every moment for those who look at it."""
    from ptc.report.page import page

    return replace(path, page(made, live))


def replace(path: Path, text: str) -> Path:
    """Writes a file beside it, and then renames."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputWrong(f"{path} cannot be written: {error.strerror}; name another place with --out") from None
    return path


def shown(path: Path) -> str:
    """Relative where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _place(out: str | None, folder: Path) -> Path:
    if out is None:
        return folder / PAGE
    return Path(out) if out.endswith((".html", ".htm")) else Path(out) / PAGE


def _check_packages() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ResourceMissing(f"a report needs {', '.join(missing)}: pip install 'ptc[run]'")
