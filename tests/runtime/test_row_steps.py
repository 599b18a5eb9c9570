"""Steps from rows to rows as functions: conventions, adapters, dedup, decontamination, the place of a row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.expressions import evaluate
from ptc.runtime.nodes import STEPS as NODES
from ptc.runtime.nodes.tokenizers import other_roles, texts
from ptc.runtime.row_steps import PLACE, STEPS, identities, prompt_id
from ptc.runtime.tables import column

USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


def col(name: str) -> dict[str, Any]:
    return {"op": "column", "name": name}


def op(name: str, *args: Any, **more: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args), **more}


def text(value: str) -> dict[str, Any]:
    return {"op": "constant", "value": value}


def test_every_step_is_a_node() -> None:
    assert set(NODES) == set(STEPS)


def test_columns_are_found_under_their_other_names() -> None:
    talks = pa.Table.from_pylist([{"messages": [USER, ANSWER]}, {"messages": [USER, ANSWER, USER]}])
    assert column(talks, "response") == ["b", None]
    assert column(talks, "prompt") == [[USER], [USER, ANSWER, USER]]
    assert column(pa.table({"completion": ["x"]}), "response") == ["x"]
    pairs = pa.Table.from_pylist([{"chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "c"}]}])
    assert column(pairs, "prompt") == [[USER]]
    assert column(pa.table({"completions": [["s"]], "labels": [[True]]}), "step_labels") == [[True]]
    with pytest.raises(InputWrong, match=r"they have `\.completion`"):
        column(pa.table({"completion": ["x"]}), "reward")


def test_a_single_turn_is_the_prompt_that_its_text_is() -> None:
    assert prompt_id([USER]) == prompt_id("a")
    assert prompt_id([USER, ANSWER]) != prompt_id([USER])
    assert identities(pa.Table.from_pylist([{"messages": [USER, ANSWER]}])) == [prompt_id("a")]


def test_the_place_of_a_row_goes_through_every_step() -> None:
    rows = pa.table({"question": ["a", "b", "a"], PLACE: [7, 8, 9]})
    made = STEPS["prompts"]({"columns": {"prompt": col("question")}}, {"rows": rows})
    assert column(made, PLACE) == [7, 8]
    other = STEPS["prompts"]({"columns": {"prompt": text("b")}}, {"rows": rows})
    left = STEPS["without"]({}, {"rows": made, "other": other})
    assert column(left, PLACE) == [7]
    both = STEPS["concat"]({}, {"0": made, "1": left})
    assert column(STEPS["unique"]({"column": "prompt"}, {"rows": both}), PLACE) == [7, 8]


def test_without_all_of_them() -> None:
    rows = pa.table({"prompt": ["a"]})
    with pytest.raises(InputWrong, match="all 1 rows have a prompt of the other source"):
        STEPS["without"]({}, {"rows": rows, "other": rows})


def test_layouts_of_other_trainers() -> None:
    verl = pa.Table.from_pylist(
        [{"data_source": "d", "prompt": [USER], "ability": "m", "reward_model": {"ground_truth": "4"}, "extra_info": 1}]
    )
    assert STEPS["from_verl"]({}, {"rows": verl}).drop_columns(["prompt_id"]).to_pylist() == [
        {"prompt": [USER], "answer": "4", "data_source": "d", "ability": "m"}
    ]
    rows = pa.Table.from_pylist([{"messages": [USER], "ground_truth": "5", "dataset": "gsm"}])
    made = STEPS["from_open_instruct"]({}, {"rows": rows})
    assert made.drop_columns(["prompt_id"]).to_pylist() == [{"prompt": [USER], "answer": "5", "dataset": "gsm"}]


def test_system_turns_and_steps() -> None:
    rows = pa.table({"prompt": ["a"], "response": ["x\n\ny"]})
    assert column(STEPS["chat"]({"system": text("s")}, {"rows": rows}), "system") == ["s"]
    assert column(STEPS["split_steps"]({"separator": "\n\n"}, {"rows": rows}), "steps") == [["x", "y"]]


def test_texts_and_roles_of_messages_reach_the_tokenizer() -> None:
    rows = pa.Table.from_pylist([{"messages": [{"role": "system", "content": "s"}, USER, ANSWER]}])
    assert list(texts(rows)) == ["s", "a", "b"]
    assert other_roles(rows) == ["<|system|>"]
    assert other_roles(pa.table({"prompt": ["a"]})) == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (op("before", col("t"), text(" =")), ["1,5", None]),
        (op("replace", col("t"), text(" "), text("")), ["1,5=x", "2"]),
        (op("contains", col("t"), text("=")), [True, False]),
        (op("starts_with", col("t"), text("2")), [False, True]),
        (op("ends_with", col("t"), text("x")), [True, False]),
        (op("number", op("before", col("t"), text(" ="))), [15.0, None]),
        (op("number", col("t")), [None, 2.0]),
        (op("distance", col("t"), col("t")), [0.0, 0.0]),
        (op("max", col("n"), over=["group"]), [3, 3]),
        (op("count", op("gt", col("n"), {"op": "constant", "value": 1}), over=["group"]), [1, 1]),
        (op("count", over=["group"]), [2, 2]),
    ],
)
def test_functions_of_a_row_and_of_its_attempts(expression: dict[str, Any], value: list[Any]) -> None:
    assert evaluate(expression, pa.table({"t": ["1,5 = x", "2"], "n": [1, 3], "group": [0, 0]})) == value


def test_sharegpt_turns_become_messages() -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    made = STEPS["from_sharegpt"]({}, {"rows": pa.table({"conversations": [turns], "domain": ["math"]})})
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert made.to_pylist() == [{"domain": "math", "messages": said}]
