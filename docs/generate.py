"""Writes the pages that are made from the source: `python docs/generate.py`. A test fails when one is out of date."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from pathlib import Path

from ptc import api, checking, drawing
from ptc.compiler import evals, gates, names, scorers
from ptc.compiler.flows import signatures
from ptc.compiler.objective_names import OBJECTIVES as OBJECTIVE_NAMES
from ptc.compiler.unneeded import UNNEEDED

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = "examples/spelling.pt"
START, END = "<!-- the program: examples/spelling.pt -->", "<!-- the end of the program -->"

PLACES: dict[names.Place, str] = {
    "stage": "Settings of a stage",
    "adamw": "The optimizer, `adamw(…)`",
    "sample": "Sampling, `sample(model, …)`",
    "lora": "Adapters, `lora(base, …)`",
    "grpo": "`grpo(rollouts, policy, …)`",
    "dpo": "`dpo(pairs, policy, reference, …)`",
    "reverse_kl": "`reverse_kl(attempts, student, teacher)`",
    "model": "Models of a stage",
    "watch": "Measuring",
    "column": "Columns of rows",
    "profile": "Placement: in the profile, not in the program",
}

HEAD = """\
# From TRL

What a TRL user calls a thing, and what it is called in a program. This page is generated from
`compiler/names.py`, which the checker reads too: a program that says `epsilon_high` is told that
it is `clip_high` here. Defaults are those of TRL 1.16 unless the origin says otherwise; a test compares each row
with the installed TRL. `ptc plan` shows the value and the origin of every setting of a run.
"""

METRICS_HEAD = """\
## Metrics

`metrics.jsonl` uses TRL's names. What a loss lets one measure is read off its form, so an objective of your own is
measured like those of the library. Where a name is TRL's, its value is: a test compares them on the batches of
[against-trl.md](against-trl.md), and lists where they differ: `rewards/…` of losses that compare something else than
sums of log-ratios, `logps/…` of those that TRL shortens, averages or weighs. All that TRL 1.16's trainers log stands in
this table or in the one below it.
"""

LEFT_OUT_HEAD = """\
What is left out of TRL's:
"""


def from_trl() -> str:
    parts = [HEAD, runpy.run_path(str(ROOT / "docs" / "trl_scripts.py"))["scripts"]()]
    for place, title in PLACES.items():
        if place == "model":
            parts.append("## The other objectives\n\n" + other_objectives())
        parts.append(f"## {title}\n\n" + table(place))
    parts.append(STEPS_HEAD + "\n" + in_other_words())
    parts.append(UNNEEDED_HEAD + "\n" + without_a_word())
    meanings = [(f"`{m.name}`", m.meaning, "" if m.trl else "ptc's own") for m in names.METRICS]
    parts.append(METRICS_HEAD + "\n" + grid(("name", "meaning", ""), meanings))
    left_out = [(", ".join(f"`{name}`" for name in each.names), each.why) for each in names.LEFT_OUT]
    parts.append(LEFT_OUT_HEAD + "\n" + grid(("TRL's", "why"), left_out))
    return "\n".join(parts)


def table(place: names.Place) -> str:
    rows = names.rows(place)
    theirs = [", ".join(f"`{spelling}`" for spelling in row.trl) or "–" for row in rows]
    notes = [row.note.replace("|", "\\|") for row in rows]
    ours = [f"`{row.ours}`" for row in rows]
    if place in ("column", "model"):
        return grid(("here", "TRL", ""), zip(ours, theirs, notes, strict=True))
    values = ["" if row.required or row.default is None else f"`{names.spelled(row.default)}`" for row in rows]
    origins = [row.origin for row in rows]
    return grid(("here", "TRL", "default", "origin", ""), zip(ours, theirs, values, origins, notes, strict=True))


STEPS_HEAD = """\
## Words of other libraries

What TRL, datasets, verl and others call sources, steps, verifiers, evals and measures. Who writes one of these is told
what it is called here.
"""


UNNEEDED_HEAD = """\
## Words that are not needed

A program that says one of these is told why.
"""


def without_a_word() -> str:
    """What another library has a word for, and a program says otherwise or not at all; one row for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for word, reason in UNNEEDED.items():
        reasons.setdefault(reason, []).append(f"`{word}`")
    rows = (
        (", ".join(words), why, f"`{instead}`".replace("|", "\\|") if instead else "")
        for (why, instead), words in reasons.items()
    )
    return grid(("there", "here", "instead"), rows)


def in_other_words() -> str:
    """Our words, and theirs."""
    tables = (signatures.SYNONYMS, scorers.SYNONYMS, evals.SYNONYMS, gates.SYNONYMS)
    ours: dict[str, list[str]] = {}
    for word, name in (pair for table in tables for pair in table.items()):
        ours.setdefault(name, []).append(f"`{word}`")
    for each in names.ELSEWHERE:
        ours.setdefault(f"{each.where}: {each.ours}", []).append(f"`{each.word}` ({each.library})")
    return grid(("here", "elsewhere"), ((f"`{name}`", ", ".join(words)) for name, words in ours.items()))


def other_objectives() -> str:
    """The arguments of the objectives that have no table of their own."""
    rows = [row for row in OBJECTIVE_NAMES if row.where not in PLACES]
    cells = [
        (
            f"`{row.where}`",
            f"`{row.ours}`",
            ", ".join(f"`{spelling}`" for spelling in row.trl) or "–",
            "" if row.required or row.default is None else f"`{names.spelled(row.default)}`",
            row.origin,
            row.note,
        )
        for row in rows
    ]
    return grid(("objective", "here", "TRL", "default", "origin", ""), cells)


def grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


DEMO_HEAD = """\
# The demo, taken apart

`examples/spelling.pt` as each phase sees it. This page is generated; `ptc check --types`, `ptc plan --emit graph` and
the files in `stdlib/objectives/` are where its parts are from.
"""

OBJECTIVES = ("sft", "grpo", "dpo", "reverse_kl")


def demo() -> str:
    """Program, types, graph, and the objectives of the standard library."""
    result = api.check_file(ROOT / EXAMPLE)
    assert result.sound, f"{EXAMPLE} has errors"
    bodies = [(ROOT / "stdlib" / "objectives" / f"{name}.pt").read_text(encoding="utf-8") for name in OBJECTIVES]
    parts = [
        DEMO_HEAD,
        "## What the checker infers\n\n" + fenced("text", "\n".join(checking.inferred(result))),
        "## The graph\n\nBoxes train, hexagons judge; a dashed arrow waits for a gate.\n\n"
        + fenced("mermaid", drawing.mermaid(api.compiled(result))),
        "## The objectives\n\nAs they stand in `stdlib/objectives/`: the trainer knows none of their names.\n\n"
        + "\n".join(fenced("pt", body) for body in bodies),
    ]
    return "\n".join(parts)


LIBRARY_HEAD = """\
# The objectives of the library

Each as it stands in `stdlib/objectives/`, to be read beside its paper. What a loss may hold is said in
[losses](../tests/spec/losses.md), what a head may ask in [signatures](../tests/spec/signatures.md); a program may
contain objectives of its own. This page is generated.
"""

FAMILIES = {
    "Token targets": ("sft", "pretrain", "dft", "proximal_sft", "anchored_sft", "chord"),
    "Preferences": (
        *("dpo", "dpo_norm", "cdpo", "robust", "ipo", "hinge", "rpo", "wpo", "ld_dpo", "exo", "nca", "bco", "sppo"),
        *("apo_zero", "apo_down", "discopop", "dpo_forward_kl", "dpo_js", "dpo_alpha", "kto"),
        *("kto_mismatched", "apo_zero_unpaired"),
        *("orpo", "simpo", "alphapo", "cpo", "slic", "free_ipo"),
    ),
    "Reward models": ("bradley_terry", "prm"),
    "Rewards": (
        *("reinforce", "reinforce_pp", "rloo", "grpo", "dr_grpo", "dapo", "gspo", "cispo", "lite_ppo", "ppo"),
        *("sapo", "luspo", "vespo", "two_sided_grpo", "deepseek_grpo", "off_policy_grpo"),
        *("process_sum", "process_min", "entropy_bonus"),
    ),
    "Rewards and demonstrations": ("luffy",),
    "Teachers": (
        *("forward_kl", "reverse_kl", "gkd", "uld", "on_policy_distillation", "mopd", "g_opd", "minillm"),
        *("context_distillation", "self_distillation"),
    ),
}


def library() -> str:
    """Every objective of the library, by what it learns from."""
    files = {path.stem for path in (ROOT / "stdlib" / "objectives").glob("*.pt")}
    listed = [name for names_ in FAMILIES.values() for name in names_]
    assert sorted(listed) == sorted(files), f"not in a family: {files.symmetric_difference(listed)}"
    parts = [LIBRARY_HEAD]
    for family, members in FAMILIES.items():
        parts.append(f"## {family}\n")
        for name in members:
            body = (ROOT / "stdlib" / "objectives" / f"{name}.pt").read_text(encoding="utf-8")
            parts.append(f"### {name}\n\n{fenced('pt', body)}")
    return "\n".join(parts)


def readme() -> str:
    """README.md with the demo's program between its marks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = (ROOT / EXAMPLE).read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{fenced('pt', program)}{END}{after}"


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def words() -> str:
    """The page of all words of the language."""
    made: str = runpy.run_path(str(ROOT / "docs" / "words.py"))["words"]()
    return made


def monitors() -> str:
    """The page of monitors."""
    made: str = runpy.run_path(str(ROOT / "docs" / "monitors.py"))["monitors"]()
    return made


PAGES = {
    "docs/monitors.md": monitors,
    "docs/from-trl.md": from_trl,
    "docs/demo.md": demo,
    "docs/objectives.md": library,
    "tests/spec/words.md": words,
    "README.md": readme,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")
