"""Whether a verifier tells right from wrong: what it says of reference solutions, and of what is wrong for certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context
from ptc.runtime.nodes.chunks import write_summary
from ptc.runtime.nodes.evals import RIGHT
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.references import references
from ptc.runtime.rewards import Rewards, spelled
from ptc.runtime.row_steps import identities
from ptc.runtime.tables import COUNTS_FILE, read_rows, write_table
from ptc.stdlib.known_wrong import known_wrong

_COUNTS = pa.schema(
    {
        "prompt_id": pa.string(),
        "reference": pa.string(),
        "reference_verdict": pa.string(),
        "reference_right": pa.bool_(),
        "wrong": pa.int64(),
        "wrong_right": pa.int64(),
        "passed": pa.string(),
    }
)


def informedness(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet`: by prompt whether its reference is found right (null where it cannot be judged), how many wrong
    responses were tried and found right, and one that passed; `summary.json` with J = TPR - FPR."""
    rows = read_rows(inputs["prompts"])
    golds = references(rows, node.settings, inputs)
    asked = [(row, gold) for row, gold in enumerate(golds) if gold is not None]
    wrong = list(known_wrong(asked, tried=len(asked)))
    with (
        OpenedModels(inputs, context.profile) as models,
        Rewards(node.settings, context.profile.threads, models, self_test=False) as rewards,
    ):
        worth = rewards(_answered(rows, [*asked, *wrong]))
    right = {
        row: None if reward is None else reward >= RIGHT for (row, _), reward in zip(asked, worth.rewards, strict=False)
    }
    verdicts = {row: verdict for (row, _), verdict in zip(asked, worth.verdicts, strict=False)}
    passed: dict[int, list[str]] = {}
    for (row, response), reward in zip(wrong, worth.rewards[len(asked) :], strict=True):
        if reward is not None and reward >= RIGHT:
            passed.setdefault(row, []).append(response)
    known = identities(rows)
    records = [
        {
            "prompt_id": known[row],
            "reference": gold,
            "reference_verdict": verdicts[row],
            "reference_right": right[row],
            "wrong": sum(1 for other, _ in wrong if other == row),
            "wrong_right": len(passed.get(row, ())),
            "passed": next(iter(passed.get(row, ())), None),
        }
        for row, gold in asked
    ]
    counts = pa.Table.from_pylist(records, schema=_COUNTS)
    read = [value for value in right.values() if value is not None]
    true = sum(read) / len(read) if read else 0.0
    false = sum(map(len, passed.values())) / len(wrong) if wrong else 0.0
    summary = {
        "prompts": len(records),
        "true_positive_rate": true,
        "false_positive_rate": false,
        "informedness": true - false,
        "not_judged": len(records) - len(read),
        "verifier": spelled(node.settings),
    }
    context.log(summary)
    write_table(counts, out / COUNTS_FILE)
    write_summary(summary, out)


def _answered(rows: pa.Table, responses: Sequence[tuple[int, str]]) -> pa.Table:
    """Rows with these responses. They were not sampled and have no tokens: nothing is said of their length."""
    table = rows.take([row for row, _ in responses])
    kept = [name for name in table.column_names if name not in ("response", "response_tokens")]
    table = table.select(kept).append_column("response", pa.array([text for _, text in responses], pa.string()))
    return table.append_column("response_tokens", pa.array([[] for _ in responses], pa.list_(pa.int32())))
