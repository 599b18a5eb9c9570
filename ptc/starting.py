"""`ptc new`: a folder with a program that checks, to be changed into one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

TEMPLATES = {
    "sft": "fine-tune on prompts and responses of your own",
    "dpo": "fine-tune, then prefer the chosen to the rejected",
    "grpo": "learn from one's own verified attempts",
    "distill": "a small model from a large one: imitate, then be corrected",
    "pipeline": "expand, reshape, consolidate: three stages, each claim measured",
}
COMMON = {"profile.toml": "profile.toml", "gitignore": ".gitignore", "gitattributes": ".gitattributes"}
"""What every template brings: its name in the package, and in the new folder."""


def new(template: str | None, folder: str | None) -> int:
    """`ptc new`: without a template, the list."""
    if template is None:
        width = max(len(name) for name in TEMPLATES)
        print("\n".join(f"{name:<{width}}  {about}" for name, about in TEMPLATES.items()))
        return 0
    if template not in TEMPLATES:
        from ptc.lang.suggest import closest

        near = closest(template, TEMPLATES)
        guess = f": did you mean `{near}`?" if near else f"; there are {', '.join(TEMPLATES)}"
        return _refuse(f"there is no template `{template}`{guess}")
    target = Path(folder or template)
    files = dict(_files(template))
    there = next((name for name in files if (target / name).exists()), None)
    if there is not None:
        return _refuse(f"{target / there} exists, and nothing is overwritten")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (target / name).write_text(text, encoding="utf-8")
    except OSError as error:
        return _refuse(f"{error.filename or target} cannot be written: {(error.strerror or 'refused').lower()}")
    print("\n".join(f"wrote {target / name}" for name in sorted(files)))
    print(f"\nnext:  cd {target}\n       ptc check program.pt\n       ptc run program.pt --profile profile.toml")
    return 0


def _files(template: str) -> Iterator[tuple[str, str]]:
    """The files of a new folder: name and text."""
    shelf = resources.files("ptc") / "templates"
    for entry in _plain_files(shelf / template):
        yield entry.name, entry.read_text(encoding="utf-8")
    for name, written in COMMON.items():
        yield written, (shelf / "common" / name).read_text(encoding="utf-8")


def _plain_files(folder: Traversable) -> list[Traversable]:
    return sorted((entry for entry in folder.iterdir() if entry.is_file()), key=lambda entry: entry.name)


def _refuse(why: str) -> int:
    print(f"ptc new: {why}", file=sys.stderr)
    return 2
