"""What a run would do, without doing it: which nodes the store has, which run, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ptc.compiler.graph import Graph, Json, Node
from ptc.runtime.executor import content_of
from ptc.runtime.keys import difference, key_document, key_of, nearest, numerics
from ptc.runtime.manifest import Action, Damage
from ptc.runtime.naming import name
from ptc.runtime.store import Store


@dataclass(frozen=True)
class Forecast:
    """What becomes of one node. `reasons`: lines for the user; empty for `reuse`."""

    action: Literal["reuse", "run"]
    reasons: tuple[str, ...] = ()
    artifact: str | None = None
    """Digest of the artifact that is reused."""
    resumes: str | None = None
    """The sealed piece that a run goes on from."""


def forecast(graph: Graph, store: Store, profile: Any, base: Path | None = None) -> dict[str, Forecast]:
    """By meaning, in the graph's order. Reads and hashes the store and the files that sources name; changes nothing.

    A node's key is known as long as all its inputs are reused. Behind a node that runs, everything counts as running,
    although equal bytes may stop the cascade then. `InputWrong` and `PlanDrift` as in a run.
    """
    earlier = list(store.actions())
    fates: dict[str, Forecast] = {}
    for meaning, node in graph.nodes.items():
        waits = [role for role, source in node.inputs.items() if fates[source].action == "run"]
        if waits:
            names = [_input_name(graph, node, role) for role in waits]
            fates[meaning] = Forecast("run", tuple(f"its input {label} runs" for label in names))
        else:
            digests = {role: str(fates[source].artifact) for role, source in node.inputs.items()}
            content = content_of(node, base or Path.cwd())
            document = key_document(node, digests, numerics(node, profile), content)
            fates[meaning] = _fate(node, document, store, [action for _key, action in earlier])
    return fates


def _fate(node: Node, document: Mapping[str, Json], store: Store, earlier: Iterable[Action]) -> Forecast:
    key = key_of(document)
    pieces = store.piece_names(key)
    resumes = pieces[-1] if pieces else None
    try:
        artifact = store.peek(key)
    except Damage as damage:
        return Forecast("run", (f"what the store has of it is damaged ({damage})",), resumes=resumes)
    if artifact is not None:
        return Forecast("reuse", artifact=artifact.digest)
    return Forecast("run", _why(node, document, earlier), resumes=resumes)


def _why(node: Node, document: Mapping[str, Json], earlier: Iterable[Action]) -> tuple[str, ...]:
    """The difference to the nearest earlier node of the same kind: one of the same label, if there is one."""
    of_kind = [action for action in earlier if action.key_document.get("kind") == node.kind]
    same_label = [action for action in of_kind if node.label and action.provenance.get("label") == node.label]
    old = nearest(document, [action.key_document for action in same_label or of_kind])
    if old is None:
        return ("it has not run yet",)
    lines = [_in_words(node, line) for line in difference(document, old)]
    return tuple(lines) if same_label or len(lines) <= _FEW else ("it has not run yet",)


_FEW = 3
"""A node under another name counts as an earlier form of this one only if no more fields than these differ."""


def _in_words(node: Node, line: str) -> str:
    """Inputs under the user's names."""
    if not line.startswith("inputs."):
        return line
    role = line.removeprefix("inputs.").removesuffix(" changed")
    return f"its input {node.names.get(role, role)} changed"


def _input_name(graph: Graph, node: Node, role: str) -> str:
    """What the user calls the input of a role."""
    return node.names.get(role) or name(graph.nodes[node.inputs[role]])
