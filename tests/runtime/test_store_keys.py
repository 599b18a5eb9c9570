"""Keys hold what decides a result and nothing else, and a miss is explained field by field."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ptc.compiler.graph import Json, Node
from ptc.runtime.keys import difference, key_document, key_of, nearest, numerics


@dataclass(frozen=True)
class Profile:
    engine: str = "transformers"
    precision: str = "float32"
    engine_precision: str | None = None
    devices: int = 1
    threads: int = 2
    micro_batch: int | None = None


SETTINGS: dict[str, Json] = {
    "flows": {"s0": [{"op": "sample", "n": 8}, {"op": "score", "verifier": {"name": "math", "options": {}}}]},
    "budget": {"count": 100, "unit": "steps"},
    "optimizer": {"m0": {"lr": 1e-4, "betas": [0.9, 0.95]}},
}
TRAIN = Node("train", 1, SETTINGS, {"m0": "meaning-of-base"}, label="policy", place="a.pt:3")
INPUTS = {"m0": "digest-of-base"}
SMALLER_GROUP: dict[str, Json] = {"s0": [{"op": "sample", "n": 4}, SETTINGS["flows"]["s0"][1]]}


def key(node: Node = TRAIN, profile: Profile | None = None, **inputs: str) -> str:
    return key_of(key_document(node, {**INPUTS, **inputs}, numerics(node, profile or Profile())))


def with_setting(**changed: Json) -> Node:
    return replace(TRAIN, settings={**SETTINGS, **changed})


@pytest.mark.parametrize("profile", [Profile(devices=8), Profile(threads=64), Profile(micro_batch=4)])
def test_placement_is_no_part(profile: Profile) -> None:
    assert key(profile=profile) == key()


def test_names_places_and_the_meaning_of_inputs_are_no_part() -> None:
    other = replace(TRAIN, label="student", place="b.pt:9", names={"m0": "x"}, inputs={"m0": "another-meaning"})
    assert key(other) == key()


@pytest.mark.parametrize(
    ("node", "profile", "inputs"),
    [
        (with_setting(budget={"count": 101, "unit": "steps"}), Profile(), {}),
        (replace(TRAIN, semantics=2), Profile(), {}),
        (replace(TRAIN, kind="sample"), Profile(), {}),
        (TRAIN, Profile(engine="vllm"), {}),
        (TRAIN, Profile(precision="bfloat16"), {}),
        (TRAIN, Profile(engine_precision="bfloat16"), {}),
        (TRAIN, Profile(), {"m0": "another-digest"}),
        (TRAIN, Profile(), {"m1": "digest-of-base"}),
    ],
)
def test_what_decides_results_is_part(node: Node, profile: Profile, inputs: dict[str, str]) -> None:
    assert key(node, profile, **inputs) != key()


def test_numerics_are_those_that_the_node_uses() -> None:
    assert set(numerics(TRAIN, Profile())["libraries"]) == {"torch", "transformers", "math-verify"}
    assert set(numerics(TRAIN, Profile(engine="vllm"))["libraries"]) == {"torch", "transformers", "math-verify", "vllm"}
    fixed = with_setting(flows={"s0": []})
    assert numerics(fixed, Profile(engine="vllm")) == numerics(fixed, Profile())
    assert "engine" not in numerics(fixed, Profile())
    assert numerics(Node("slice", 1, {}, {}), Profile()) == {"libraries": {}}


def test_a_source_is_known_by_its_content() -> None:
    here = Node("file", 1, {"path": "a.jsonl", "format": "jsonl"}, {})
    there = Node("file", 1, {"path": "/data/b.jsonl", "format": "jsonl"}, {})
    document = key_document(here, {}, {}, "content")
    assert document == key_document(there, {}, {}, "content") and "path" not in document["settings"]
    assert document != key_document(here, {}, {}, "other content")
    assert key_document(Node("export", 1, {"path": "x"}, {}), {}, {})["settings"] == {}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (key_document(with_setting(budget={"count": 200, "unit": "steps"}), INPUTS, {}), "budget.count: 100 -> 200"),
        (key_document(TRAIN, {"m0": "other"}, {}), "inputs.m0 changed"),
        (key_document(TRAIN, INPUTS, {"engine": "vllm"}), "engine: (none) -> vllm"),
        (key_document(TRAIN, INPUTS, {"libraries": {"torch": "2.14"}}), "torch: (none) -> 2.14"),
        (key_document(TRAIN, INPUTS, {}, "0123"), "content changed"),
        (
            key_document(with_setting(optimizer={"m0": {"lr": 3e-4, "betas": [0.9, 0.95]}}), INPUTS, {}),
            "optimizer.m0.lr: 0.0001 -> 0.0003",
        ),
        (
            key_document(with_setting(optimizer={"m0": {"lr": 1e-4, "betas": [0.9, 0.99]}}), INPUTS, {}),
            "optimizer.m0.betas: [0.9, 0.95] -> [0.9, 0.99]",
        ),
        (key_document(with_setting(flows=SMALLER_GROUP), INPUTS, {}), "flows.s0[0].n: 8 -> 4"),
    ],
)
def test_differences_in_words(changed: dict[str, Json], line: str) -> None:
    assert difference(changed, key_document(TRAIN, INPUTS, {})) == [line]


def test_the_nearest_is_the_one_with_most_in_common() -> None:
    near = key_document(with_setting(budget={"count": 200, "unit": "steps"}), INPUTS, {})
    far = key_document(with_setting(budget={"count": 200, "unit": "epochs"}, seed=3), {"m0": "other"}, {})
    other_kind = key_document(replace(TRAIN, kind="sample"), INPUTS, {})
    assert nearest(key_document(TRAIN, INPUTS, {}), [other_kind, far, near]) == near
    assert nearest(key_document(TRAIN, INPUTS, {}), [other_kind]) is None
