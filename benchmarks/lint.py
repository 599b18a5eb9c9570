"""What the checker finds, and what it says without reason: `python benchmarks/lint.py`.

* The published recipes and the programs that must not be an error: their findings against the reviewed lists.
* The mutants of the catalogue of checks, one edit each, on every recipe where the edit applies: recall by kind.
* Mutants of generic operators, always the same: each one that nothing finds is listed, as harmless or as missed.

`--generic 0` leaves the last part out; `--survivors` prints every survivor with its reason. Exit code 1 if a limit of
`LIMITS` is not held.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutation.catalogue import MUTATIONS, Mutation, Recipe
from mutation.edits import Text, read
from mutation.generic import Mutant, mutants

from ptc import api
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.source import Source
from ptc.stand_ins import StandIns

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "examples" / "recipes"
STAND_INS = StandIns(RECIPES / "stand_ins")
SOUND_PAGE = ROOT / "tests" / "spec" / "must_not_be_an_error.md"
SURVIVORS = Path(__file__).with_name("survivors.toml")
RECALL = 0.95
"""Share of the mutants of kinds ``static`` and ``data`` that must be found."""


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant of the catalogue."""

    mutation: str
    program: str
    what: str
    caught: str | None
    """The code that found it; None where none of the named checks did."""
    others: tuple[str, ...]
    """New findings of other checks, at warning or above."""


Finding = tuple[str, str, str, str]
"""Severity, code, name and title of a diagnostic: what is compared with the same program before the edit."""


def findings(text: str, path: str, data: bool) -> list[Finding]:
    result = api.check_source(Source(path, text), data=data, stand_ins=STAND_INS)
    return [_finding(diagnostic) for diagnostic in result.diagnostics]


def _finding(diagnostic: Diagnostic) -> Finding:
    return (diagnostic.severity, diagnostic.code, diagnostic.name, diagnostic.title)


def recipes() -> dict[str, Path]:
    return {path.stem: path for path in sorted(RECIPES.glob("*.pt"))}


# The clean programs ---------------------------------------------------------------------------------------------------


def sound_programs() -> dict[str, str]:
    """The programs of the page that says what must not be an error, by their line."""
    page = SOUND_PAGE.read_text(encoding="utf-8")
    found = re.finditer(r"^```pt\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return {f"{SOUND_PAGE.stem}:{page.count(chr(10), 0, match.start()) + 2}": match[1] for match in found}


def clean() -> int:
    """Prints what is found on right programs; the number of findings that nobody has reviewed."""
    print("right programs")
    false = errors = 0
    for name, path in recipes().items():
        found = api.check_file(path, data=True, stand_ins=STAND_INS).diagnostics
        expected = _reviewed(name)
        unexpected = Counter(f"{d.severity} {d.code}" for d in found) - expected
        missing = expected - Counter(f"{d.severity} {d.code}" for d in found)
        errors += sum(d.severity == "error" for d in found)
        false += sum(count for key, count in unexpected.items() if not key.startswith("note"))
        kinds = Counter(d.severity for d in found)
        notes = ", ".join(f"{kinds[kind]} {kind}s" for kind in ("error", "warning", "note"))
        print(f"  {name:<24} {notes}" + _listed("  not reviewed: ", unexpected) + _listed("  gone: ", missing))
        false += sum(missing.values())
    programs = sound_programs()
    wrong = [
        name for name, text in programs.items() if any(f[0] == "error" for f in findings(text, "program.pt", False))
    ]
    right = len(programs) - len(wrong)
    print(f"  {len(programs)} programs that must not be an error: {right} without an error {wrong or ''}")
    errors += len(wrong)
    print(f"errors {errors}, unreviewed findings {false}\n")
    return errors + false


def _reviewed(name: str) -> Counter[str]:
    """``warning V705`` and how often, from the reviewed list beside the recipe."""
    lists = tomllib.loads((ROOT / "tests" / "recipes" / "findings.toml").read_text(encoding="utf-8"))
    return Counter(entry["finding"].rpartition(" ")[0] for entry in lists.get(name, ()))


def _listed(title: str, counted: Counter[str]) -> str:
    return title + ", ".join(f"{key} x{count}" for key, count in sorted(counted.items())) if counted else ""


# Mutants of the catalogue ---------------------------------------------------------------------------------------------


def catalogued() -> int:
    """Prints recall by mutation; 0 if it is high enough."""
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    with ProcessPoolExecutor() as pool:
        for found in pool.map(mutated, recipes()):
            for verdict in found:
                verdicts[verdict.mutation].append(verdict)
    print("mutants of the catalogue of checks        kind    caught")
    caught = total = 0
    for mutation in MUTATIONS:
        if mutation.when not in ("static", "data"):
            print(f"  {mutation.name:<38}  {mutation.when:<6}  deferred: {', '.join(mutation.checks)}")
            continue
        those = verdicts[mutation.name]
        hit = sum(verdict.caught is not None for verdict in those)
        caught, total = caught + hit, total + len(those)
        print(f"  {mutation.name:<38}  {mutation.when:<6}  {hit:>3} of {len(those)}")
        for verdict in those:
            if verdict.caught is None:
                others = ", ".join(verdict.others) or "–"
                print(f"      missed in {verdict.program}: {verdict.what}; found instead: {others}")
    for family in sorted({mutation.family for mutation in MUTATIONS}):
        those = [v for m in MUTATIONS if m.family == family for v in verdicts[m.name]]
        hit = sum(verdict.caught is not None for verdict in those)
        print(f"  family {family}: {hit} of {len(those)}" if those else f"  family {family}: deferred")
    recall = caught / total if total else 0.0
    print(f"recall {caught} of {total} = {recall:.1%} (limit {RECALL:.0%})\n")
    return 0 if recall >= RECALL else 1


def mutated(name: str, looks: tuple[str, ...] = ("static", "data")) -> list[Verdict]:
    """Every mutant of one recipe that these kinds of look can find."""
    path = recipes()[name]
    text = read(str(path), path.read_text(encoding="utf-8"))
    checked = api.check_file(path, stand_ins=STAND_INS).checked
    assert checked is not None
    recipe = Recipe(text, checked.program)
    before = {when: Counter(findings(text.text, str(path), when == "data")) for when in looks}
    made = {
        (mutation.name, edit.apply(text.text)): (mutation, edit)
        for mutation in MUTATIONS
        if mutation.when in looks
        for edit in mutation.edits(recipe)
    }
    return [
        _verdict(mutation, name, edit.what, changed, str(path), before[mutation.when])
        for (_, changed), (mutation, edit) in made.items()
        if changed != text.text or not edit.changes
    ]


def _verdict(mutation: Mutation, name: str, what: str, text: str, path: str, before: Counter[Finding]) -> Verdict:
    with mutation.fault():
        after = Counter(findings(text, path, mutation.when == "data"))
    new = [finding for finding in (after - before) if finding[0] != "note"]
    caught = next((code for _, code, check, _ in new if check in mutation.checks), None)
    return Verdict(mutation.name, name, what, caught, tuple(sorted({code for _, code, _, _ in new})))


# Mutants of generic operators -----------------------------------------------------------------------------------------


def generic(count: int, seed: int, show: bool) -> int:
    """Prints how many mutants are found; 0 if every survivor has a reason."""
    texts = {name: read(str(path), path.read_text(encoding="utf-8")) for name, path in recipes().items()}
    made = mutants(texts, count, seed)
    before = {name: Counter(findings(text.text, text.path, False)) for name, text in texts.items()}
    with ProcessPoolExecutor() as pool:
        after = pool.map(_after, [(mutant, texts[mutant.program]) for mutant in made], chunksize=8)
        killed = {index: Counter(found) - before[made[index].program] for index, found in enumerate(after)}
    reasons = _reasons()
    rows: Counter[tuple[str, str]] = Counter()
    unexplained: list[Mutant] = []
    for index, mutant in enumerate(made):
        if any(finding[0] != "note" for finding in killed[index]):
            rows[mutant.operator, "found"] += 1
            continue
        noted = bool(killed[index])
        verdict, reason = ("noted", "a note says so") if noted else _reason(mutant, reasons)
        rows[mutant.operator, verdict] += 1
        if verdict == "unexplained":
            unexplained.append(mutant)
        if show or verdict in ("missed", "unexplained"):
            print(f"  {verdict:<9} {mutant.program}: {mutant.edit.what} [{mutant.about}] – {reason}")
    print(f"{len(made)} generic mutants, seed {seed}")
    _table(rows)
    return len(unexplained)


def _after(case: tuple[Mutant, Text]) -> list[Finding]:
    mutant, text = case
    return findings(mutant.edit.apply(text.text), text.path, False)


def _reasons() -> list[Mapping[str, str]]:
    """The reviewed reasons, the most particular first."""
    return list(tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivor"])


def _reason(mutant: Mutant, reasons: Iterable[Mapping[str, str]]) -> tuple[str, str]:
    for row in reasons:
        places = (row.get("program", mutant.program) == mutant.program, row["operator"] == mutant.operator)
        if (
            all(places)
            and re.fullmatch(row["about"], mutant.about)
            and re.search(row.get("what", ""), mutant.edit.what)
        ):
            return row["verdict"], row["reason"]
    return "unexplained", "no reason is written down"


def _table(rows: Counter[tuple[str, str]]) -> None:
    verdicts = ("found", "noted", "harmless", "missed", "unexplained")
    print("  " + f"{'operator':<24}" + "".join(f"{verdict:>12}" for verdict in verdicts))
    for operator in sorted({operator for operator, _ in rows}):
        print("  " + f"{operator:<24}" + "".join(f"{rows[operator, verdict]:>12}" for verdict in verdicts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generic", type=int, default=300, metavar="N", help="mutants of generic operators")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--survivors", action="store_true", help="print all survivors with their reasons")
    found = parser.parse_args()
    wrong = clean() + catalogued()
    if found.generic:
        wrong += generic(found.generic, found.seed, found.survivors)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
