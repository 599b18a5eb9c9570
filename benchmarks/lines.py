"""Lines of code per method, beside TRL's: `python benchmarks/lines.py`.

Ours are the lines of the objective in `stdlib/objectives`, without blank lines, comments and the texts that describe
them. TRL's are those of its trainer's and its config's class, without blank lines, comments, docstrings and the help
texts of fields; *in a sibling* is how many of them stand in the trainer and config that share most with it, word by
word. `--write` makes `docs/lines-of-code.md` anew.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OBJECTIVES = ROOT / "stdlib" / "objectives"
PAGE = ROOT / "docs" / "lines-of-code.md"

METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "SFT": ("trainer/sft", ("sft", "dft")),
    "DPO": (
        "trainer/dpo",
        (
            *("dpo", "hinge", "ipo", "exo", "nca", "robust", "bco", "sppo", "apo_zero", "apo_down", "discopop"),
            *("dpo_norm", "dpo_forward_kl", "dpo_js", "dpo_alpha", "ld_dpo", "wpo"),
        ),
    ),
    "KTO": ("trainer/kto", ("kto_mismatched", "kto", "apo_zero_unpaired")),
    "GRPO": (
        "trainer/grpo",
        (
            *("grpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo", "gspo", "lite_ppo"),
            *("two_sided_grpo", "deepseek_grpo", "off_policy_grpo", "entropy_bonus"),
        ),
    ),
    "RLOO": ("trainer/rloo", ("rloo",)),
    "reward model": ("trainer/reward", ("bradley_terry",)),
    "distillation": ("trainer/distillation", ("gkd",)),
    "GKD": ("experimental/gkd/gkd", ("gkd",)),
    "ORPO": ("experimental/orpo/orpo", ("orpo",)),
    "CPO": ("experimental/cpo/cpo", ("cpo", "slic", "free_ipo", "simpo", "alphapo")),
    "online DPO": ("experimental/online_dpo/online_dpo", ("dpo", "ipo")),
}
"""The stem of TRL's two files, and the objectives that do what they do, the plainest first."""

HEAD = """\
# Lines of code

A method is an objective here, and a trainer with its config in TRL {version}. Ours are the lines of the file in
`stdlib/objectives`; TRL's are those of the two classes. Neither counts blank lines, comments and docstrings, nor the
help texts of TRL's fields. *All its losses* adds the objectives that stand beside the other loss types of that trainer
([Against TRL](against-trl.md)). *In a sibling* is how many of TRL's lines stand, word by word, in the trainer and
config that share most with it. What all methods need, one trainer, losses, batches, sampling, is written once, in
`runtime/`. This page is written by `python benchmarks/lines.py --write`.

"""


@dataclass(frozen=True)
class Row:
    method: str
    ours: int
    """Lines of its plainest objective."""
    losses: int
    """How many objectives stand beside its loss types, …"""
    all_ours: int
    """… and their lines."""
    theirs: int
    shared: int
    sibling: str

    @property
    def cells(self) -> tuple[str, ...]:
        share = f"{self.shared} ({self.shared / self.theirs:.0%}, {self.sibling})"
        return self.method, str(self.ours), f"{self.all_ours} ({self.losses})", str(self.theirs), share


def objective_lines(name: str) -> int:
    """Lines of an objective; its edition is one of them."""
    lines = (OBJECTIVES / f"{name}.pt").read_text(encoding="utf-8").splitlines()
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines)


def class_lines(path: Path) -> list[str]:
    """The lines of code of the trainer's or config's class in a file, stripped."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    kept = set[int]()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Trainer", "Config")):
            kept |= set(range(node.lineno, (node.end_lineno or 0) + 1)) - set(_said(node))
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        for line in range(token.start[0], token.end[0] + 1)
    }
    lines = text.splitlines()
    return [lines[number - 1].strip() for number in sorted(kept & code)]


def _said(node: ast.AST) -> Iterator[int]:
    """The lines of docstrings and of fields' help."""
    for part in ast.walk(node):
        if isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(part):
            yield from range(part.body[0].lineno, (part.body[0].end_lineno or 0) + 1)
        if isinstance(part, ast.keyword) and part.arg == "metadata":
            yield from range(part.lineno, (part.end_lineno or 0) + 1)


def rows() -> list[Row]:
    spec = find_spec("trl")
    assert spec is not None and spec.origin is not None, "TRL is not installed"
    package = Path(spec.origin).parent
    theirs = {
        method: [line for kind in ("trainer", "config") for line in class_lines(package / f"{stem}_{kind}.py")]
        for method, (stem, _) in METHODS.items()
    }
    found = []
    for method, (_, names) in METHODS.items():
        shares = {
            other: (Counter(theirs[method]) & Counter(lines)).total()
            for other, lines in theirs.items()
            if other != method
        }
        sibling = max(shares, key=lambda other: shares[other])
        sizes = [objective_lines(name) for name in names]
        found.append(Row(method, sizes[0], len(sizes), sum(sizes), len(theirs[method]), shares[sibling], sibling))
    return found


def longest() -> tuple[str, int]:
    """The longest objective of the library, and its lines."""
    sizes = {path.stem: objective_lines(path.stem) for path in OBJECTIVES.glob("*.pt")}
    name = max(sorted(sizes), key=lambda name: sizes[name])
    return name, sizes[name]


def table(found: list[Row]) -> str:
    head = ("method", "ours", "all its losses", "TRL", "in a sibling")
    lines = [head, tuple("---" for _ in head), *(row.cells for row in found)]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def summary(found: list[Row]) -> str:
    name, lines = longest()
    sizes = sorted(objective_lines(path.stem) for path in OBJECTIVES.glob("*.pt"))
    ours = sum(objective_lines(name) for name in {name for _, names in METHODS.values() for name in names})
    return (
        f"Together {ours} lines here and {sum(row.theirs for row in found)} in TRL. Of {len(sizes)} objectives the "
        f"longest is `{name}` with {lines} lines, the median has {sizes[len(sizes) // 2]}.\n"
    )


def page() -> str:
    from importlib.metadata import version

    found = rows()
    return HEAD.format(version=".".join(version("trl").split(".")[:2])) + table(found) + "\n" + summary(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    found = rows()
    print(table(found) + "\n" + summary(found), end="")


if __name__ == "__main__":
    main()
