"""A folder with rows, models and a program, and what `ptc check --data` says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_tokenizers import chatml, model_folder
from transformers import PreTrainedTokenizerFast

from ptc import api
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.render import render

Row = Mapping[str, Any]

STAGE = """\
stage {name} {{
{body}
  optimizer = adamw(lr = 1e-5)
  batch     = {batch}
  budget    = {budget}
}}
"""


def stage(*body: str, name: str = "tuned", batch: str = "4 samples", budget: str = "1 epoch") -> str:
    """A stage of these lines, with what every stage needs."""
    return STAGE.format(name=name, body="\n".join(f"  {line}" for line in body), batch=batch, budget=budget)


SFT = stage("train policy = base", "minimize sft(rows, policy)")
DPO = stage("train policy = base", "freeze reference = base", "minimize dpo(rows, policy, reference)")


@dataclass
class Workshop:
    folder: Path

    def rows(self, name: str, rows: Sequence[Row]) -> str:
        (self.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return name

    def model(
        self, name: str = "model", tokenizer: PreTrainedTokenizerFast | None = None, context: int = 4096, more: str = ""
    ) -> str:
        model_folder(self.folder / name, tokenizer or chatml(), context, more)
        return name

    def check(self, program: str) -> tuple[Diagnostic, ...]:
        """What is said of a program, whose imports are added."""
        return self.result(program).diagnostics

    def result_of(self) -> api.CheckResult:
        """The same program once more, whatever lies beside it now."""
        return api.check_file(self.folder / "program.pt", data=True)

    def result(self, program: str) -> api.CheckResult:
        text = (
            "edition 2026\nfrom std.objectives import sft, dpo, grpo, reverse_kl, uld\n"
            f"from std.verifiers import exact, math, gym_scorer, format_tags\n\n{program}"
        )
        path = self.folder / "program.pt"
        path.write_text(text, encoding="utf-8")
        return api.check_file(path, data=True)

    def learned(
        self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast | None = None, body: str = SFT, **model: Any
    ) -> tuple[Diagnostic, ...]:
        """What is said of rows that a stage learns from, by a model with this tokenizer."""
        self.rows("rows.jsonl", rows)
        self.model(tokenizer=tokenizer, **model)
        return self.check(f'source rows = jsonl("rows.jsonl")\nmodel base = local.model("model")\n{body}')


def codes(found: Sequence[Diagnostic], notes: bool = False) -> list[str]:
    return [each.code for each in found if notes or each.severity != "note"]


def one(found: Sequence[Diagnostic], code: str) -> Diagnostic:
    """The only finding with a code."""
    matching = [each for each in found if each.code == code]
    assert len(matching) == 1, [f"{each.code} {each.title}" for each in found]
    return matching[0]


def printed(result: api.CheckResult) -> str:
    return "\n\n".join(render(each, result.source) for each in result.diagnostics)
