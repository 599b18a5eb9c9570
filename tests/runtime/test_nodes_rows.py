"""Sources and steps from rows to rows."""

from __future__ import annotations

import json
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nodes_world import World
from row_expressions import column, constant, op

from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.expressions import columns_of, evaluate
from ptc.runtime.tables import read_rows


def prompted(world: World, count: int = 400) -> Any:
    rows = world.rows(question=[f"question {number}" for number in range(count)], number=list(range(count)))
    return world.run("prompts", {"columns": {"prompt": column("question")}}, rows=rows)


# Expressions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (op("add", column("n"), constant(2)), [3, 5]),
        (op("div", column("n"), constant(2)), [0.5, 1.5]),
        (op("neg", column("n")), [-1, -3]),
        (op("reverse", column("t")), ["6 #### ba", "7 #### dc"]),
        (op("strip", op("after", column("t"), constant("####"))), ["6", "7"]),
        (op("after", column("t"), constant("?")), [None, None]),
        (op("lower", constant("AB")), ["ab", "ab"]),
        (op("length", column("t")), [9, 9]),
        (op("concat", constant("n="), column("n"), constant("!")), ["n=1!", "n=3!"]),
        (op("concat", constant("of "), constant(["a", "b"])), ['of ["a", "b"]'] * 2),
        (op("ge", column("n"), constant(3)), [False, True]),
        (op("and", op("gt", column("n"), constant(0)), op("not", op("eq", column("n"), constant(3)))), [True, False]),
        (op("eq", column("gone"), constant(1)), [None, True]),
    ],
)
def test_expressions(expression: dict[str, Any], value: list[Any]) -> None:
    rows = pa.table({"n": [1, 3], "t": ["ab #### 6", "cd #### 7"], "gone": [None, 1]})
    assert evaluate(expression, rows) == value


def test_columns_of_an_expression() -> None:
    assert columns_of(op("concat", column("a"), op("reverse", column("b")), constant("c"))) == {"a", "b"}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (column("answr"), "no column `.answr`; they have `.n`, `.t`"),
        (op("gt", column("t"), constant(1)), "row 1: `gt` cannot be taken of"),
        (op("div", constant(1), column("n")), "row 2: `div` cannot be taken of 1, 0"),
        (op("reverse", column("n")), "row 1: `reverse` cannot be taken of 1"),
    ],
)
def test_expressions_that_cannot_be_taken_name_the_row(expression: dict[str, Any], message: str) -> None:
    with pytest.raises(InputWrong) as raised:
        evaluate(expression, pa.table({"n": [1, 0], "t": ["a", "b"]}))
    assert message in str(raised.value)


# Rows to rows


def test_prompts_have_identities_and_no_duplicates(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(question=["a", "b", "a"], answer=["1", "2", "3"])
    columns = {"prompt": column("question"), "answer": op("reverse", column("answer"))}
    result = world.records("prompts", {"columns": columns}, rows=rows)
    assert [(row["prompt"], row["answer"]) for row in result] == [("a", "1"), ("b", "2")]
    assert result[0]["prompt_id"] == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_prompts_refuse_what_is_no_prompt(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(InputWrong, match="row 2 has the prompt ''"):
        world.run("prompts", {"columns": {"prompt": column("question")}}, rows=world.rows(question=["a", ""]))


def test_slices_share_no_prompt_and_lose_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = prompted(world)
    bounds = [0.0, 0.8, 0.9, 1.0]
    parts = [
        [row["prompt"] for row in world.records("slice", {"from": low, "to": high}, rows=rows)]
        for low, high in pairwise(bounds)
    ]
    assert len(parts[0]) == pytest.approx(320, abs=30)
    assert sorted(chain(*parts)) == sorted(row["prompt"] for row in read_rows(rows).to_pylist())


def test_slices_of_overlapping_seeds_share_no_prompt(tmp_path: Path) -> None:
    """Row i of seed s is row i - 1 of seed s + 1: disjoint by seed would not be disjoint."""
    world = World(tmp_path)
    sources = [world.run("gym", {"task": "chain_sum", "size": 300, "seed": seed, "options": {}}) for seed in (1, 2)]
    asked = [world.run("prompts", {"columns": {"prompt": column("question")}}, rows=rows) for rows in sources]
    whole = [{row["prompt"] for row in read_rows(rows).to_pylist()} for rows in asked]
    assert len(whole[0] & whole[1]) > 250
    train = world.records("slice", {"from": 0.0, "to": 0.8}, rows=asked[0])
    test = world.records("slice", {"from": 0.8, "to": 0.9}, rows=asked[1])
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in test}


def test_attempts_at_one_prompt_stay_together(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(prompt_id=["11" * 32, "11" * 32, "ee" * 32], attempt=[0, 1, 0])
    assert len(world.records("slice", {"from": 0.0, "to": 0.5}, rows=rows)) == 2
    assert [row["attempt"] for row in world.records("take", {"count": 2}, rows=rows)] == [0, 1]


def test_an_empty_slice_and_rows_without_prompts_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(InputWrong, match="from 0% to 10% of 1 rows holds none"):
        world.run("slice", {"from": 0.0, "to": 0.1}, rows=world.rows(prompt_id=["ff" * 32]))
    with pytest.raises(InputWrong, match="prompts"):
        world.run("slice", {"from": 0.0, "to": 0.1}, rows=world.rows(text=["a"]))


def test_take_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = prompted(world, 50)
    table = read_rows(rows)
    backwards = world.rows(**{name: table.column(name).to_pylist()[::-1] for name in table.column_names})
    assert world.records("take", {"count": 7}, rows=rows) == world.records("take", {"count": 7}, rows=backwards)


def test_respond_and_keep(tmp_path: Path) -> None:
    world = World(tmp_path)
    rows = world.rows(answer=["work #### 6", "work #### 7"], reward=[1.0, None])
    response = op("strip", op("after", column("answer"), constant("####")))
    assert [row["response"] for row in world.records("respond", {"response": response}, rows=rows)] == ["6", "7"]
    assert len(world.records("keep", {"where": op("eq", column("reward"), constant(1))}, rows=rows)) == 1
    with pytest.raises(InputWrong, match="none of 2 rows"):
        world.run("keep", {"where": op("gt", column("reward"), constant(1))}, rows=rows)
    with pytest.raises(InputWrong, match="has the response None"):
        world.run("respond", {"response": op("after", column("answer"), constant("?"))}, rows=rows)


def test_concat_keeps_all_columns_and_renumbers_groups(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.rows(a=[1], group=[0]), world.rows(a=[2, 3], group=[0, 1], b=["x", "y"])
    assert world.records("concat", {}, **{"0": first, "1": second}) == [
        {"a": 1, "group": 0, "b": None}, {"a": 2, "group": 1, "b": "x"}, {"a": 3, "group": 2, "b": "y"}
    ]  # fmt: skip
    with pytest.raises(InputWrong, match="two types"):
        world.run("concat", {}, **{"0": world.rows(a=[1]), "1": world.rows(a=["x"])})


def test_texts_join_conversations_as_one_turn_each(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = [{"role": "user", "content": "one?"}]
    tables = {"0": world.rows(prompt=[asked]), "1": world.rows(prompt=["two?"], response=["two"])}
    prompts = [row["prompt"] for row in world.records("concat", {}, **tables)]
    assert prompts == [asked, [{"role": "user", "content": "two?"}]]


# Sources


def test_gym_brings_the_fields_of_its_tasks_and_equal_bytes(tmp_path: Path) -> None:
    world = World(tmp_path)
    settings = {"task": "chain_sum", "size": 20, "seed": 7, "options": {"min_terms": 2, "max_terms": 2}}
    first, second = world.run("gym", settings), world.run("gym", settings)
    assert (first.path / "rows.parquet").read_bytes() == (second.path / "rows.parquet").read_bytes()
    rows = read_rows(first).to_pylist()
    assert list(rows[0]) == ["question", "answer", "expression", "num_digits", "num_terms", "entry"]
    assert all(row["num_terms"] == 2 for row in rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "chain_sums", "options": {}}, "has no task `chain_sums`"),
        ({"task": "chain_sum", "options": {"terms": 2}}, "refuses the arguments of `chain_sum`"),
        ({"task": "chain_sum", "options": {"min_terms": 9, "max_terms": 2}}, "refuses the arguments of `chain_sum`"),
    ],
)
def test_gym_refuses(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputWrong, match=message):
        World(tmp_path).run("gym", {"size": 3, "seed": 1, **settings})


def from_file(world: World, content: bytes, name: str = "rows.jsonl") -> list[dict[str, Any]]:
    path = world.root / name
    path.write_bytes(content)
    return world.records("file", {"path": str(path), "format": path.suffix[1:], "sha256": None})


def test_json_lines(tmp_path: Path) -> None:
    lines = b'\xef\xbb\xbf{"q": "\xc3\xa9", "n": 1}\n\n{"q": "b", "list": [1, 2]}\r\n'
    assert from_file(World(tmp_path), lines) == [
        {"q": "é", "n": 1, "list": None}, {"q": "b", "n": None, "list": [1, 2]}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', "rows.jsonl:2: not one JSON object on one line"),
        (b'{"a": 1}\n[1]\n', "rows.jsonl:2: a row is a JSON object, not a list"),
        (b'{"a": "\xff"}\n', "rows.jsonl:1: not UTF-8 at byte 8"),
        (b'{"a": NaN}\n', "rows.jsonl:1: .*NaN is not JSON"),
        (b'{"a": 1}\n{"a": "x"}\n', "rows.jsonl: the values of column `.a` are of several types"),
        (b"[" * 100_000, "rows.jsonl:1: not one JSON object"),
        (b"\n\n", "holds no rows"),
        (b"", "holds no rows"),
        (b"PK\x03\x04\x80\x02", "rows.jsonl:1: not"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputWrong, match=message):
        from_file(World(tmp_path), content)


def test_parquet_of_other_writers(tmp_path: Path) -> None:
    world = World(tmp_path)
    table = pa.table({"a": pa.array(["x", "x"]).dictionary_encode(), "b": pa.array(["y", None], pa.large_string())})
    pq.write_table(table.replace_schema_metadata({"pandas": "{}"}), tmp_path / "rows.parquet")
    artifact = world.run("file", {"path": str(tmp_path / "rows.parquet"), "format": "parquet"})
    assert read_rows(artifact).to_pylist() == [{"a": "x", "b": "y"}, {"a": "x", "b": None}]
    assert read_rows(artifact).schema.field("a").type == pa.string()


def test_files_that_are_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(InputWrong, match="there is no file"):
        world.run("file", {"path": str(tmp_path / "absent.jsonl"), "format": "jsonl"})
    with pytest.raises(InputWrong, match="not a regular file"):
        world.run("file", {"path": str(tmp_path), "format": "jsonl"})
    with pytest.raises(InputWrong, match="not a Parquet file"):
        from_file(world, json.dumps({}).encode(), "rows.parquet")


@pytest.mark.slow
def test_a_dataset_comes_as_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of files stands for a repository of the hub: the same library reads both."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(
        '{"question": "a", "answer": "1"}\n{"question": "b", "answer": "2"}\n'
    )
    settings = {"name": str(tmp_path / "data"), "config": None, "split": "train", "revision": None}
    rows = World(tmp_path).records("hub_dataset", settings)
    assert rows == [{"question": "a", "answer": "1"}, {"question": "b", "answer": "2"}]
    with pytest.raises(InputWrong, match="cannot be used: Unknown split"):
        World(tmp_path / "data").run("hub_dataset", {**settings, "split": "test"})


@pytest.mark.slow
def test_a_dataset_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    settings = {"name": "nobody/nothing", "config": None, "split": "train", "revision": None}
    with pytest.raises(ResourceMissing, match="`nobody/nothing` is not in the cache"):
        World(tmp_path).run("hub_dataset", settings)


def test_an_object_without_fields_is_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "options": [{}], "more": {}}\n{"prompt": "b", "options": [{}], "more": {}}\n')
    world = World(tmp_path)
    rows = world.records("file", {"path": str(path), "format": "jsonl"})
    assert rows == [{"prompt": each, "options": [None], "more": None} for each in "ab"]
