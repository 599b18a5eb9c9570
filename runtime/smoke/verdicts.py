"""Gates in a smoke run: measured as in any, and whatever they say of random weights, the run goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InvariantBroken
from ptc.runtime.nodes import implementation
from ptc.runtime.nodes.verdicts import VERDICT_FILE
from ptc.runtime.smoke import Outside


def undecided(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The verdict; one that would have stopped a run is written down, and said."""
    try:
        implementation(node.kind)(node, inputs, out, context)
    except InvariantBroken as broken:
        document: dict[str, Json] = {
            "role": node.settings.get("when", node.kind),
            "verdict": "refuted",
            "words": str(broken),
            "prompts": 0,
            "numbers": {},
            "intervals": {},
        }
        (out / VERDICT_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        outside.say(f"{broken}; of random weights that means nothing: a smoke run goes on")
