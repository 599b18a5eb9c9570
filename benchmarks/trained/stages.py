"""Trains the stages by real programs, and puts each verdict beside what is so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from populations import Population, Reals

from ptc import api
from ptc.compiler.graph import Graph, Node
from ptc.running import Implementations
from ptc.runtime.artifacts import Artifact
from ptc.runtime.executor import execute
from ptc.runtime.profile import Profile
from ptc.runtime.store import Store
from ptc.runtime.tables import COUNTS_FILE, column, read_table
from trained.recipes import PROMPTS, Design, program
from trained.truths import Truth, did, truth
from trained.words import LESSONS, Row, chances, drawn

NAMES = {"=": "copied", "<": "mirrored", ">": "shifted"}
"""Files with what is to be learned from, by skill."""
MEASURED = re.compile(r"measured ([a-z ]+)")


@dataclass(frozen=True)
class Claimed:
    """A claim of a stage: what is so, and what `ptc` says of it."""

    design: Design
    place: int
    truth: Truth
    verdict: str
    did: str
    measured: str
    """Both in the words of a verdict: what the stage did, and what was measured."""
    solved: Mapping[str, Reals]
    """Whether each prompt was solved, in each measurement: `entry` or `carrier`, `again`, `exit`."""

    @property
    def right(self) -> bool:
        return self.verdict == ("supported" if self.truth.holds else "refuted")


@dataclass
class Laboratory:
    """A folder with rows, programs and the store that they share."""

    folder: Path
    known: dict[str, Reals] = field(default_factory=dict)
    """Chances by checkpoint."""

    def __post_init__(self) -> None:
        self.profile = Profile(store=self.folder / "store", device="cpu", threads=1, checkpoint_every=100_000)
        self.store = Store(self.profile.store)
        for skill, name in NAMES.items():
            _write(self.folder / f"{name}.jsonl", LESSONS[skill])

    def claims(self, place: int, designs: Sequence[Design]) -> Iterator[Claimed]:
        """Trains a stage of each design, in that dose, and judges each of its claims."""
        for number, design in enumerate(designs):
            _write(self.folder / f"asked-{design.name}.jsonl", drawn(PROMPTS, 1_000 * place + number))
        path = self.folder / f"stages-{place}.pt"
        path.write_text(program(place, designs), encoding="utf-8")
        checked = api.check_file(path, {})
        assert checked.sound, [each.title for each in checked.diagnostics if each.severity == "error"]
        graph = api.compiled(checked)
        done = execute(graph, self.store, self.profile, Implementations(), base=self.folder, out=self.folder)
        assert done.exit_code == 0, done.message
        by_name = {design.name: design for design in designs}
        for meaning, node in graph.nodes.items():
            if node.kind == "claim":
                design = by_name[node.names["stage"]]
                yield self._claimed(design, place, node, done.artifacts[meaning], graph, done.artifacts)

    def _claimed(
        self, design: Design, place: int, node: Node, judged: Artifact, graph: Graph, artifacts: dict[str, Artifact]
    ) -> Claimed:
        before, after = (
            self._chances(artifacts[graph.nodes[node.inputs[side]].inputs["model"]])
            for side in ("carrier" if "carrier" in node.inputs else "entry", "exit")
        )
        population = Population(before, after)
        document = json.loads((judged.path / "verdict.json").read_text(encoding="utf-8"))
        said = MEASURED.search(document["words"])
        assert said is not None, document["words"]
        measured = said[1].replace("no measurable change", "nothing")
        exact = truth(document["role"], population, PROMPTS)
        solved = {side: _solved(artifacts[meaning]) for side, meaning in node.inputs.items()}
        return Claimed(design, place, exact, document["verdict"], did(population, PROMPTS), measured, solved)

    def _chances(self, model: Artifact) -> Reals:
        if model.digest not in self.known:
            self.known[model.digest] = chances(model.path)
        return self.known[model.digest]


def _solved(counts: Artifact) -> Reals:
    """By prompt, in the order of their identities."""
    table = read_table(counts.path / COUNTS_FILE)
    found = sorted(zip(column(table, "prompt_id"), column(table, "correct"), strict=True))
    return np.array([correct > 0 for _, correct in found], dtype=np.float64)


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
