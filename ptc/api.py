"""`import ptc` and the command line both come through here: the one place where the pure compiler meets the disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ptc import lockfile, stdlib
from ptc.checkpoints import checkpoint
from ptc.compiler import types as types_in_words
from ptc.compiler.catalogue import Catalogue, Checkpoint, Option, Placement, Rows, Template, Verifier
from ptc.compiler.overrides import overridden
from ptc.compiler.pipeline import Checked, check
from ptc.headers import OnDemand, hub_checkpoint, hub_rows, rows
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.reading import read
from ptc.lang.source import Source
from ptc.lockfile import UNLOCKED, Lock
from ptc.siblings import Siblings
from ptc.stand_ins import StandIns
from ptc.stdlib.signatures import VERIFIERS, VerifierSignature, task_columns
from ptc.stdlib.templates import ENDS, texts

if TYPE_CHECKING:
    from ptc.compiler.graph import Graph


@dataclass(frozen=True)
class CheckResult:
    """What the checker makes of one file."""

    source: Source
    diagnostics: tuple[Diagnostic, ...]
    types: tuple[str, ...] = ()
    """One aligned line per source: name, columns, who generated it."""
    type_of: Mapping[str, str] | None = None
    checked: Checked | None = None
    """The program itself; None for a file that is none."""
    regimes: tuple[str, ...] = ()
    """One aligned line per stage, source and learner: what the one is to the other."""
    looked: str = ""
    """What `--data` has looked at, in a line."""

    @property
    def sound(self) -> bool:
        """Whether it may run."""
        return self.checked is not None and not any(each.severity == "error" for each in self.diagnostics)


LIBRARY = Path(stdlib.__file__).parent
RECIPE = re.compile(r"^recipe\s+(\w+)", re.MULTILINE)


@cache
def standard() -> Catalogue:
    """The standard library: its objectives, tasks, verifiers and chat templates."""
    folder = LIBRARY / "objectives"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".pt"))
    library = {
        name: Source(f"std/objectives/{name}", folder.joinpath(name).read_text(encoding="utf-8")) for name in names
    }
    verifiers = {name: _verifier(signature) for name, signature in VERIFIERS.items()}
    templates = {name: Template(text, ENDS[name]) for name, text in texts().items()}
    return Catalogue(library, task_columns(), verifiers, templates=templates, recipes=_recipes())


def _recipes() -> dict[str, Source]:
    """The library's files with recipes, by the names of the recipes."""
    folder = LIBRARY / "recipes"
    found: dict[str, Source] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".pt"):
            text = Source(f"std/recipes/{entry.name}", entry.read_text(encoding="utf-8"))
            found |= dict.fromkeys(RECIPE.findall(text.text), text)
    return found


def _verifier(signature: VerifierSignature) -> Verifier:
    """What the compiler is told of a verifier of the library."""
    return Verifier(
        signature.name,
        signature.columns,
        signature.doc,
        signature.least,
        signature.most,
        tuple(Option(option.name, option.kind, option.default, option.least) for option in signature.options),
        signature.marker,
        signature.version,
        signature.tokens,
        (("entry", "Text"),) if "entry" in signature.columns else (),
    )


def catalogue(
    data: bool = False,
    stand_ins: StandIns | None = None,
    siblings: Mapping[str, Source | str] | None = None,
    lock: Lock = UNLOCKED,
    placement: Placement | None = None,
) -> Catalogue:
    """What may be known without running anything: the library, and headers; with `data` those on the hub too.

    What `stand_ins` hold stands for what the hub holds under the same name; what is locked need not be asked for.
    `placement` is where it would run.
    """

    def hub_dataset(name: str) -> Rows | None:
        known = (stand_ins and stand_ins.rows(name)) or lock.datasets.get(name)
        return known or hub_rows(name, fetch=data)

    def hub_model(name: str) -> Checkpoint | None:
        known = (stand_ins and stand_ins.checkpoint(name)) or lock.models.get(name)
        return known or hub_checkpoint(name, fetch=data)

    return replace(
        standard(),
        files=OnDemand(rows),
        models=OnDemand(checkpoint),
        modules=siblings or {},
        lock_problem=lock.problem,
        fetched=data,
        hub_datasets=OnDemand(hub_dataset),
        hub_models=OnDemand(hub_model),
        placement=placement,
    )


def check_text(
    text: str,
    path: str = "program.pt",
    settings: Mapping[str, str] | None = None,
    siblings: Mapping[str, str] | None = None,
    placement: Placement | None = None,
) -> CheckResult:
    """Checks a program's text. Never raises. `siblings` are the texts of the files beside it, if they are no files."""
    source = Source(path, text)
    if siblings is None:
        return check_source(source, settings, placement=placement)
    return check_with(source, catalogue(siblings=Siblings(path, siblings), placement=placement), settings)


def check_file(
    path: str | Path,
    settings: Mapping[str, str] | None = None,
    data: bool = False,
    stand_ins: StandIns | None = None,
    placement: Placement | None = None,
    limits: Mapping[str, int] | None = None,
) -> CheckResult:
    """Checks a file, whatever is in it. Never raises for what it holds.

    With `data` raises `ResourceMissing` where nothing is installed that could render rows; `limits` are then those of
    `ptc.probes.drawing.Limits` that are not to be the usual ones.
    """
    found = read(Path(path))
    if isinstance(found, Source):
        return check_source(found, settings, data, stand_ins, placement, limits)
    return CheckResult(Source(str(path), ""), (found,))


def check_source(
    source: Source,
    settings: Mapping[str, str] | None = None,
    data: bool = False,
    stand_ins: StandIns | None = None,
    placement: Placement | None = None,
    limits: Mapping[str, int] | None = None,
) -> CheckResult:
    """Checks a text that stands in a file, with what lies beside it."""
    result = check_with(source, surroundings(source.path, data, stand_ins, placement), settings)
    return _looked_at(result, stand_ins, limits or {}) if data else result


def surroundings(
    path: str, data: bool = False, stand_ins: StandIns | None = None, placement: Placement | None = None
) -> Catalogue:
    """What may be known for a file at a path: the library, what lies beside it, and its lock."""
    return catalogue(data, stand_ins, Siblings(path), lockfile.read(lockfile.beside(path)), placement)


def check_with(source: Source, known: Catalogue, settings: Mapping[str, str] | None = None) -> CheckResult:
    """Checks a text with what is known of the outside; the result is about the text with what is set by path."""
    changed = overridden(source, settings or {})
    checked = check(changed.source, known, changed.settings)
    return CheckResult(
        changed.source,
        (*changed.diagnostics, *checked.diagnostics),
        types_in_words.lines(checked.program),
        types_in_words.types(checked.program),
        checked,
        types_in_words.regimes(checked.program),
    )


def _looked_at(result: CheckResult, stand_ins: StandIns | None, limits: Mapping[str, int]) -> CheckResult:
    """A result with what its data shows, if the program says well enough what it is about."""
    from ptc.probes import probe

    assert result.checked is not None
    if any(one.severity == "error" and one.code[0] in "SNTU" for one in result.diagnostics):
        return result
    probed = probe(result.checked, stand_ins, **limits)
    return replace(result, diagnostics=(*result.diagnostics, *probed.diagnostics), looked=probed.looked)


def refused(result: CheckResult) -> CheckResult | None:
    """What of a checked program cannot be run in this version; None if all of it can."""
    from ptc.compiler.executable import unsupported

    assert result.checked is not None
    found = unsupported(result.checked.program)
    return replace(result, diagnostics=found) if found else None


def unallowed(result: CheckResult, modules: Collection[str]) -> CheckResult | None:
    """What a checked program calls of Python outside of ptc, beyond these modules; None if it calls nothing."""
    from ptc.compiler.permissions import unallowed as beyond

    assert result.checked is not None
    found = beyond(result.checked.program, modules)
    return replace(result, diagnostics=found) if found else None


def compiled(result: CheckResult) -> Graph:
    """The graph of a checked program, passes run."""
    from ptc.compiler.pipeline import compile_graph

    assert result.checked is not None and result.checked.sound
    return compile_graph(result.checked.program)
