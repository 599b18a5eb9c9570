"""T102, T108, T110: what a source must bring for an objective to be taken of it."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core, losses
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import drawn
from ptc.compiler.objectives.call import Call, columns_of
from ptc.compiler.rows import said_by

STEP_COLUMNS = ("steps", "step_rewards", "step_labels")


@dataclass(frozen=True)
class Columns:
    """Checks that rows have the columns that an objective's signature names."""

    findings: Findings

    def fit(self, call: Call, parameter: str, source: core.Source) -> bool:
        """Whether the rows have what the signature names, as it names it."""
        wanted = columns_of(call.types[parameter])
        missing = [column for column in wanted if not source.type.has(column)]
        if missing:
            stepped = [column for column in missing if column in STEP_COLUMNS]
            if stepped and not source.type.has("steps"):
                self._no_steps(call, parameter, source, stepped)
            else:
                self._missing(call, parameter, source, missing)
            return False
        return self._types_fit(call, parameter, source, wanted)

    def grouped(self, call: Call, parameter: str, source: core.Source, loss: core.Expression, several: bool) -> bool:
        """Whether there is more than one attempt at a prompt where attempts are compared."""
        compared = "group" in columns_of(call.types[parameter])
        compared = compared or losses.compares_attempts(loss, source if several else None)
        alone = next((part for part in drawn(source) if part.type.sampling and part.type.sampling.n < 2), None)
        if not compared or alone is None:
            return True
        sample = sampled(alone)
        self.findings.add(
            "T102",
            f"`{call.name}` compares the attempts of a group, and each group has one",
            [
                at(sample.places.get("n", sample.span), "one attempt per prompt"),
                at(call.place(parameter), "needs at least two"),
            ],
            ["the advantage of a single attempt against itself is always 0: nothing would be learned"],
            ["sample(…, n = 8)"],
        )
        return False

    def _types_fit(self, call: Call, parameter: str, source: core.Source, wanted: dict[str, str | None]) -> bool:
        for column, stated in wanted.items():
            found = source.type.type_of(column)
            if stated is None or found is None or found == stated or {stated, found} == {"Real", "Int"}:
                continue
            self.findings.add(
                "T110",
                f"`{call.name}` reads `{column}` as {stated}, and here it is {found}",
                [
                    at(call.place(parameter), "given here"),
                    at(source.places.get(column, source.span), "the rows come from here"),
                ],
                [f"wanted: {column}: {stated}", f"   has: {column}: {found}"],
            )
            return False
        return True

    def _missing(self, call: Call, parameter: str, source: core.Source, missing: list[str]) -> None:
        wanted = columns_of(call.types[parameter])
        self.findings.add(
            "T110",
            f"`{call.name}` needs {listed(missing)}, which these rows do not have",
            [at(call.place(parameter), "given here"), at(source.span, "the rows come from here")],
            [
                f"wanted: Trajectories{{{', '.join(wanted)}}}",
                f"   has: Trajectories{{{', '.join(source.type.columns)}}}",
            ],
            remedies(source.type, missing),
        )

    def _no_steps(self, call: Call, parameter: str, source: core.Source, stepped: list[str]) -> None:
        helps = ['|> split_steps("\\n\\n")']
        if "step_rewards" in stepped:
            helps.append("then score the steps:  |> score(process_model)")
        self.findings.add(
            "T108",
            f"`{call.name}` works step by step, and these responses are not cut into steps",
            [at(call.place(parameter), f"needs {listed(stepped)}"), at(source.span, "no `step` axis here")],
            helps=helps,
        )


def listed(columns: list[str]) -> str:
    """Columns as a sentence names them, the last one after `and`."""
    words = [f"`{column}`" for column in columns]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def remedies(kind: core.Trajectories, missing: list[str]) -> list[str]:
    """Steps that bring the missing columns, as far as there are any."""
    if "response" in missing and kind.has("chosen"):
        if missing == ["response"]:
            return ["the chosen ones are demonstrations:  |> respond(.chosen)"]
        return ["these are pairs, and `dpo` learns from pairs:  minimize dpo(…, policy, reference)"]
    helps = _renamed(kind, missing)
    if {"chosen", "rejected"} & set(missing):
        if not kind.has("response"):
            helps.append("|> sample(policy, n = 8) |> score(exact) |> best_and_worst()")
        elif not kind.has("reward"):
            helps.append("|> score(exact) |> best_and_worst()")
        else:
            helps.append("|> best_and_worst()")
    if {"group", "logprobs"} & set(missing):
        helps.append("|> sample(policy, n = 8)")
    elif "response" in missing:
        helps.append(f"|> respond(.{said_by(kind)})")
    if "reward" in missing:
        helps.append("|> score(exact)")
    if "text" in missing and kind.has("response"):
        helps.append("to learn responses:  minimize sft(…, policy)")
    if "context" in missing:
        helps.append("|> prompts(.question, context = .demonstration)")
    return helps


ASKED = ("prompt", "question", "instruction", "query", "problem", "input")
"""What the column with the prompt is called elsewhere."""


def _renamed(kind: core.Trajectories, missing: list[str]) -> list[str]:
    """The step that names columns of a file, where there are some left over for those that are missing."""
    given = [column for column in missing if column in ("chosen", "rejected")]
    asked = next((column for column in ASKED if column in kind.columns), None)
    if not given or asked is None or kind.has("response") or len(kind.columns) <= len(given):
        return []
    return [f"|> prompts(.{asked}, {', '.join(f'{column} = .…' for column in given)})"]


def sampled(source: core.Source) -> core.Source:
    """The step that drew the responses of a source."""
    return next(step for step in source.upstream() if step.kind == "sample")
