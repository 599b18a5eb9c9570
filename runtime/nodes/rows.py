"""The kinds of nodes that make rows of rows: `row_steps` as nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.row_steps import STEPS
from ptc.runtime.tables import read_rows, write_rows


def step(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The rows that the step named by the node's kind makes of its inputs."""
    tables = {name: read_rows(artifact) for name, artifact in inputs.items()}
    write_rows(STEPS[node.kind](node.settings, tables), out)
