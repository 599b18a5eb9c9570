"""Every published recipe becomes a graph in which every node stands behind what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptc import api
from ptc.stand_ins import StandIns

FOLDER = Path(__file__).parent.parent.parent / "examples" / "recipes"


@pytest.mark.parametrize("program", sorted(FOLDER.glob("*.pt")), ids=lambda path: path.stem)
def test_a_recipe_becomes_a_graph(program: Path) -> None:
    result = api.check_file(program, stand_ins=StandIns(FOLDER / "stand_ins"))
    assert result.sound
    graph = api.compiled(result)
    seen: set[str] = set()
    for meaning, node in graph.nodes.items():
        assert {*node.inputs.values(), *node.after} <= seen
        seen.add(meaning)
    assert result.checked is not None
    stages = {stage.name for stage in result.checked.program.stages}
    assert {node.label for node in graph.nodes.values() if node.kind == "train"} <= stages
