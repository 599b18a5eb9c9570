"""Programs for the tests of the graph, what they compile to, and rewrites that must not change what they mean."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ptc import api
from ptc.compiler.graph import Graph, Node
from ptc.compiler.pipeline import check, compile_graph
from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.lang.render import render_all
from ptc.lang.source import Source

SPELLING = (Path(__file__).parent.parent / "examples" / "spelling.pt").read_text(encoding="utf-8")

HEAD = """edition 2026
from std.objectives import sft, grpo, dpo, reverse_kl
from std.verifiers import exact
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source problems = tasks |> slice(0%, 80%)
source demos = problems |> respond(.answer)
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))
eval skill = pass_rate(tasks |> slice(80%, 100%), exact, n = 4)
"""
SETTINGS = "optimizer = adamw(lr = 1e-3) batch = 32 prompts budget = 2 steps"


def stage(name: str, body: str, claims: str = "") -> str:
    return f"stage {name} {claims} {{\n{body}\n{SETTINGS}\n}}\n"


WARM = stage("warm", "train policy = base minimize sft(demos, policy)")


def graph(text: str, library: dict[str, Source] | None = None) -> Graph:
    """The graph of a program that checks; with another library of objectives if one is given."""
    catalogue = api.catalogue() if library is None else replace(api.catalogue(), library=library)
    source = Source("program.pt", text)
    checked = check(source, catalogue)
    assert checked.sound, render_all(checked.diagnostics, source)
    return compile_graph(checked.program)


def meanings(text: str) -> set[str]:
    return set(graph(text).nodes)


def of_kind(found: Graph, kind: str) -> list[Node]:
    return [node for node in found.nodes.values() if node.kind == kind]


def named(found: Graph, label: str) -> Node:
    """The one stage of a name."""
    (node,) = (node for node in of_kind(found, "train") if node.label == label)
    return node


# Rewrites -------------------------------------------------------------------------------------------------------------


def declared(text: str) -> tuple[str, ...]:
    """Every name that the program declares itself, roles and sources of stages included."""
    names = []
    for statement in parse(Source("program.pt", text))[0].statements:
        inside = statement.body.statements if isinstance(statement, ast.Stage) else ()
        for each in (statement, *inside):
            if isinstance(each, ast.Define | ast.Stage | ast.Role):
                names.append(each.name.id)
    return tuple(dict.fromkeys(names))


def renamed(text: str, rng: random.Random) -> str:
    """Every declared name replaced by a random word, where it stands as a name."""
    for name in declared(text):
        word = "".join(rng.choice("bcdfghjklmnpqrstvwxz") for _ in range(8))
        text = re.sub(rf'(?<![.\w"/-]){name}(?![\w"-])', word, text)
    return text


def respaced(text: str, rng: random.Random) -> str:
    """Blank lines, other margins and comments between the lines."""
    lines = []
    for line in text.split("\n"):
        if rng.random() < 0.3:
            lines.append(rng.choice(["", "# a remark", "  # another one: source x = 1"]))
        lines.append(line if line[:1].strip() else " " * rng.randrange(1, 6) + line.strip())
    return "\n".join(lines) + "\n"


def reordered(text: str, rng: random.Random) -> str:
    """The declarations in another order in which each still stands behind what it uses."""
    tree = parse(Source("program.pt", text))[0]
    heads = [s for s in tree.statements if isinstance(s, ast.Edition | ast.Import)]
    waiting = [s for s in tree.statements if s not in heads]
    pieces = {s: text[s.span.start : s.span.end] for s in tree.statements}
    names = {s: s.name.id for s in waiting if isinstance(s, ast.Define | ast.Stage | ast.Param)}
    done: list[ast.Statement] = []
    while waiting:
        ready = [s for s in waiting if not _uses(pieces[s], [names[o] for o in waiting if o is not s and o in names])]
        done.append(rng.choice(ready))
        waiting.remove(done[-1])
    return "\n".join(pieces[s] for s in (*heads, *done)) + "\n"


def _uses(piece: str, names: Sequence[str]) -> bool:
    bare = re.sub(r'"[^"\n]*"|#[^\n]*', "", piece)
    return any(re.search(rf"(?<![.\w]){name}\b", bare) for name in names)
