"""What stands in for the world in a smoke run: tiny models of a family, made-up rows, filters that leave some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nodes_world import Pieces

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InvariantBroken, ResourceMissing
from ptc.runtime.profile import Profile
from ptc.runtime.smoke import MARK, STANDING_IN, Outside, SmokeImplementations
from ptc.runtime.smoke.made_up import rows_of
from ptc.runtime.tables import from_records, read_rows, write_rows
from ptc.stdlib.verifiers import judge_one, reward_of

STAND_INS = Path(__file__).resolve().parents[2] / "examples" / "recipes" / "stand_ins"
MEANING = "ab" * 32


class Small:
    """Runs nodes of a smoke run by themselves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        self.places: dict[str, Path] = {}
        self.columns: dict[str, Mapping[str, str]] = {}

    def folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir()
        return path

    def rows(self, records: list[dict[str, Any]]) -> Artifact:
        folder = self.folder("rows")
        write_rows(from_records(records, list(records[0])), folder)
        return Artifact("rows", folder, {})

    def run(self, kind: str, settings: Mapping[str, Json], **inputs: Artifact) -> Path:
        node = Node(kind, 1, {**settings, MARK: MEANING}, {name: one.digest for name, one in inputs.items()})
        context = Context(
            node, Pieces(self.root / "pieces"), Profile(device="cpu", threads=1), lambda _: None, lambda _: None
        )
        out = self.folder(kind)
        outside = Outside(self.places, self.columns, self.said.append)
        SmokeImplementations(outside)[kind](node, inputs, out, context)
        return out

    def records(self, kind: str, settings: Mapping[str, Json], **inputs: Artifact) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = read_rows(Artifact("", self.run(kind, settings, **inputs), {})).to_pylist()
        return made


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_every_kind_that_is_carried_out_otherwise_has_its_function(small: Small) -> None:
    table = SmokeImplementations(Outside({}, {}, small.said.append))
    for kind in STANDING_IN:
        assert isinstance(table[kind], partial)
    assert not isinstance(table["train"], partial)


COLUMN = {"op": "column", "name": "reward"}
RIGHT = {"op": "eq", "args": [COLUMN, {"op": "constant", "value": 1}]}


@pytest.mark.parametrize("rewards", [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
def test_a_filter_leaves_two_rows_the_right_ones_among_them(small: Small, rewards: list[float]) -> None:
    rows = small.rows([{"prompt": str(row), "reward": reward} for row, reward in enumerate(rewards)])
    kept = small.records("keep", {"where": RIGHT}, rows=rows)
    assert len(kept) == 2
    assert sum(row["reward"] for row in kept) == sum(rewards)
    assert bool(small.said) == (not any(rewards))


def test_pairs_are_made_where_nothing_is_preferred(small: Small) -> None:
    rows = small.rows([{"prompt": "a", "group": 0, "response": text, "reward": 0.0} for text in "xy"])
    (pair,) = small.records("best_and_worst", {}, rows=rows)
    assert (pair["chosen"], pair["rejected"]) == ("x", "y")
    assert "rewards differ" in small.said[0]


def test_a_gate_that_does_not_hold_is_written_down_and_said(small: Small) -> None:
    rows = small.rows([{"prompt": "a", "group": 0, "reward": 0.0}, {"prompt": "a", "group": 0, "reward": 0.0}])
    gate = {"when": "require", "measure": "informative_rate", "op": "ge", "limit": 0.5, "text": "require … >= 0.5"}
    verdict = json.loads((small.run("gate", gate, rows=rows) / "verdict.json").read_text())
    assert verdict["verdict"] == "refuted"
    assert "goes on" in small.said[0]
    with pytest.raises(InvariantBroken):
        from ptc.runtime.nodes import implementation

        node = Node("gate", 1, gate, {"rows": "rows"})
        context = Context(node, Pieces(small.root / "p"), Profile(device="cpu"), lambda _: None, lambda _: None)
        implementation("gate")(node, {"rows": rows}, small.root, context)


def test_rows_from_outside_are_the_first_of_a_file_or_made_up_or_asked_for(small: Small) -> None:
    place = small.root / "set.jsonl"
    place.write_text("".join(json.dumps({"question": f"{row}?"}) + "\n" for row in range(40)))
    small.places[MEANING] = place
    assert len(small.records("hub_dataset", {"name": "org/set"})) == 16
    other = Small(small.folder("other"))
    with pytest.raises(ResourceMissing, match=r"stand_ins/datasets/org/set\.jsonl"):
        other.run("hub_dataset", {"name": "org/set"})


def test_made_up_rows_have_the_columns_and_their_types() -> None:
    kinds = {"prompt": "", "answer": "", "score": "Real", "safe": "Bool", "messages": "", "conversations": ""}
    table = rows_of({**kinds, "turns": "Messages"}, 16).to_pylist()
    assert len({row["prompt"] for row in table}) == 16
    assert all(row["answer"].isdecimal() for row in table)
    assert isinstance(table[0]["score"], float)
    assert {row["safe"] for row in table} == {True, False}
    assert [turn["role"] for turn in table[0]["turns"]] == ["user", "assistant"]
    assert [turn["from"] for turn in table[0]["conversations"]] == ["human", "gpt"]


def test_the_verifier_that_stands_in_says_one_thing_of_one_text_and_both_of_many() -> None:
    said = [reward_of(judge_one("made_up", {}, {"response": str(text)})) for text in range(200)]
    assert said == [reward_of(judge_one("made_up", {}, {"response": str(text)})) for text in range(200)]
    assert 60 < sum(reward or 0.0 for reward in said) < 140


FAMILIES = ("Qwen/Qwen3-8B", "google/gemma-7b-it", "mistralai/Mistral-7B-v0.1", "EleutherAI/gpt-j-6b")


@pytest.mark.parametrize("name", [*FAMILIES, "deepseek-ai/DeepSeek-V3", "weqweasdas/RM-Gemma-7B"])
def test_a_tiny_model_is_of_the_family_and_reads_the_same_tokens(small: Small, name: str) -> None:
    transformers = pytest.importorskip("transformers")
    folder = STAND_INS / "models" / name
    small.places[MEANING] = folder
    made = small.run("hub_model", {"name": name})
    whole, config = (json.loads((each / "config.json").read_text()) for each in (folder, made))
    assert config["model_type"] == whole["model_type"]
    assert config["architectures"] == whole["architectures"]
    assert config["ptc_smoke"] is True
    assert sum(path.stat().st_size for path in made.glob("*.safetensors")) < 2_000_000
    before, after = (transformers.AutoTokenizer.from_pretrained(each) for each in (folder, made))
    text = "Dear Ada – 12 kettles \\boxed{7}."
    assert before.convert_ids_to_tokens(before.encode(text)) == after.convert_ids_to_tokens(after.encode(text))
    assert after.decode(after.encode(text), skip_special_tokens=True) == before.decode(
        before.encode(text), skip_special_tokens=True
    )
    assert before.eos_token == after.eos_token
    assert config["eos_token_id"] == after.eos_token_id or after.eos_token_id in config["eos_token_id"]
    assert len(after) == config["vocab_size"]
    judges = config["architectures"][0].endswith("SequenceClassification")
    family = transformers.AutoModelForSequenceClassification if judges else transformers.AutoModelForCausalLM
    model = family.from_pretrained(made)
    answer = model(**after([text, text[:9]], return_tensors="pt", padding=True, return_token_type_ids=False)).logits
    assert answer.isfinite().all()
    assert answer.shape[-1] == (1 if judges else len(after))
