"""A graph as a picture in text (mermaid, dot), as a picture by Graphviz (svg), and as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping

from ptc.compiler.graph import Graph, Node
from ptc.compiler.graph_document import to_document
from ptc.runtime.artifacts import ResourceMissing


def mermaid(graph: Graph) -> str:
    """A mermaid flowchart, as Markdown renderers draw it."""
    names = _names(graph)
    lines = ["flowchart TD"]
    for meaning, node in graph.nodes.items():
        opening, closing = _MERMAID.get(node.kind, ("[", "]"))
        lines.append(f'  {names[meaning]}{opening}"{_text(node, "<br/>")}"{closing}')
    lines += [f"  {names[source]} {'-.->' if gate else '-->'} {names[to]}" for source, to, gate in edges(graph)]
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    """A Graphviz digraph."""
    names = _names(graph)
    lines = ["digraph {", "  node [fontname=Helvetica]"]
    for meaning, node in graph.nodes.items():
        shape = _DOT.get(node.kind, "ellipse")
        label = _text(node, "\n").replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f'  {names[meaning]} [label="{label}", shape={shape}]')
    for source, to, gate in edges(graph):
        lines.append(f"  {names[source]} -> {names[to]}" + (" [style=dashed]" if gate else ""))
    return "\n".join([*lines, "}"])


def as_json(graph: Graph) -> str:
    """The whole graph: every node's document with its labels, and the roots."""
    return json.dumps(to_document(graph), indent=2)


def svg(graph: Graph) -> str:
    """The digraph as Graphviz draws it. Raises `ResourceMissing` where Graphviz is not there or does not draw."""
    program = shutil.which("dot")
    if program is None:
        raise ResourceMissing("--format svg needs `dot` of Graphviz, which is not installed; --format dot does not")
    done = subprocess.run([program, "-Tsvg"], input=dot(graph), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it left with {done.returncode}"]
        raise ResourceMissing(f"the `dot` of Graphviz did not draw: {said[0]}")
    return done.stdout.rstrip()


FORMATS: Mapping[str, Callable[[Graph], str]] = {"mermaid": mermaid, "dot": dot, "svg": svg, "json": as_json}

_MERMAID = {
    "train": ("[[", "]]"),
    "new_model": ("([", "])"),
    "claim": ("{{", "}}"),
    "gate": ("{{", "}}"),
    "export": ("[/", "/]"),
}
_DOT = {"train": "box", "new_model": "box", "claim": "diamond", "gate": "diamond", "export": "folder"}


def edges(graph: Graph) -> Iterator[tuple[str, str, bool]]:
    """From, to, and whether the second only waits for the first (a gate)."""
    for meaning, node in graph.nodes.items():
        for source in dict.fromkeys(node.inputs.values()):
            yield source, meaning, False
        for source in node.after:
            yield source, meaning, True


def _names(graph: Graph) -> dict[str, str]:
    return {meaning: f"n{number}" for number, meaning in enumerate(graph.nodes)}


def _text(node: Node, line_end: str) -> str:
    label = node.label.replace('"', "'")
    return f"{label}{line_end}{node.kind}" if label and label != node.kind else node.kind
