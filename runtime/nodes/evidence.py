"""The node kind `evidence`: what a checkpoint is like on a few prompts of an eval, beyond how often it is right.

One response per prompt is sampled, the first of the attempts that the eval itself draws, and read again by the models
that it is compared with: a handful of forward passes. `docs/evidence.md` says what each figure is and where it comes
from. Every figure has an interval over prompts, or a reason why there is none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json, Node
from ptc.runtime import reading
from ptc.runtime.artifacts import Artifact, Context, InputWrong, Progress
from ptc.runtime.engines.protocol import Completion
from ptc.runtime.intervals import MEAN, RATE, RATE_DIFFERENCE, Interval, Reals, interval
from ptc.runtime.measured import Measured
from ptc.runtime.nodes.chunks import write_summary
from ptc.runtime.nodes.evals import RIGHT
from ptc.runtime.nodes.opened import OpenedModels
from ptc.runtime.render import Prompt, fit_length, render_prompts, render_responses
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.tables import prompts_of
from ptc.runtime.rewards import Rewards
from ptc.runtime.rollouts import Rollout, greedy_of, rows_of, sample, sampling_of, seeds_for
from ptc.runtime.row_steps import identities
from ptc.runtime.statistics import informative_rate
from ptc.runtime.tables import COUNTS_FILE, column, read_rows, write_table
from ptc.stdlib import verifiers
from ptc.stdlib.verifiers import final_answer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

COMPARED = {"start": "kl_from_start", "root": "kl_from_root"}
"""The inputs that a model is compared with, and what the figure is called."""


@dataclass(frozen=True)
class Figure:
    """A number with its interval, over so many prompts."""

    found: Interval
    prompts: int


Finding = Figure | str
"""A figure, or why there is none."""


def evidence(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """`counts.parquet`, one row per prompt, and `summary.json` with each figure and its interval."""
    rows = read_rows(inputs["prompts"])
    written = _written(node, inputs, rows, context)
    texts = [(each.prompt_tokens, each.completions[0].tokens) for each in written.responses]
    model = reading.opened(inputs["model"].path, context.profile)
    table, findings = _Table(rows, written.responses), dict[str, Finding]()
    of_tokens = {"entropy": reading.entropies(model, texts), **_moved(model, texts, inputs, context)}
    for name, values in of_tokens.items():
        table.add(name, _means([] if isinstance(values, str) else values), [] if isinstance(values, str) else None)
        findings[name] = values if isinstance(values, str) else _mean(values)
    findings |= _referred(model, written, table)
    findings |= _answered(Measured.of(inputs["counts"]), int(node.settings["group"]), table)
    write_table(table.whole(), out / COUNTS_FILE)
    summary = {
        "prompts": rows.num_rows,
        "response_tokens": sum(len(tokens) for _, tokens in texts),
        "evidence": {name: _document(found) for name, found in findings.items()},
    }
    context.log({name: each.found.value for name, each in findings.items() if isinstance(each, Figure)})
    write_summary(summary, out)


@dataclass(frozen=True)
class _Written:
    """What the model wrote, and what it should have written."""

    tokenizer: PreTrainedTokenizerBase
    responses: Sequence[Rollout]
    """One per prompt."""
    references: Mapping[int, reading.Text]
    """The gold answers that are right responses, by the place of the prompt: tokens of the prompt and of the answer."""
    without: str
    """Why there are none, where there are none."""
    greedy: Mapping[int, Sequence[int]]
    """By the place of a prompt with a reference: the likeliest response, as far as references go."""


def _written(node: Node, inputs: Mapping[str, Artifact], rows: pa.Table, context: Context) -> _Written:
    with OpenedModels(inputs, context.profile) as models:
        model = models("model")
        sampling = sampling_of(node.settings)
        seeds = seeds_for(prompts_of(rows), 1, int(node.settings["seed"]))
        responses = sample(model.engine(0), model.tokenizer, rows, sampling, seeds)
        references, without = _references(node, rows, model.tokenizer, model.context, context)
        longest = max((len(answer) for _, answer in references.values()), default=0)
        short = sampling_of({**node.settings, "max_tokens": min(longest, sampling.max_tokens)})
        some, once = rows.take(pa.array(list(references), pa.int64())), [[0]] * len(references)
        alone = sample(model.engine(0), model.tokenizer, some, greedy_of(short), once) if references else []
        greedy = {place: one.completions[0].tokens for place, one in zip(references, alone, strict=True)}
        return _Written(model.tokenizer, responses, references, without, greedy)


def _references(
    node: Node, rows: pa.Table, tokenizer: PreTrainedTokenizerBase, longest: int, context: Context
) -> tuple[dict[int, reading.Text], str]:
    """The gold answers that the eval's own scorer takes for right responses, as token ids; or why there are none."""
    if "answer" not in rows.column_names:
        return {}, "its prompts have no column `.answer`"
    if not {"verifier", "scorers"} & set(node.settings):
        return {}, "a model is its scorer: of no answer it is known that it is right"
    answered = [place for place, answer in enumerate(column(rows, "answer")) if answer not in (None, "")]
    if not answered:
        return {}, "its prompts have no answer"
    some = rows.take(pa.array(answered))
    prompts, answers = prompts_of(some), [verifiers.spelled(answer) for answer in column(some, "answer")]
    try:
        asked, given = render_prompts(tokenizer, prompts), render_responses(tokenizer, prompts, answers)
    except InputWrong as wrong:  # a template may do for sampling, and not for what is read back
        return {}, f"no gold answer can be rendered as a response: {wrong}"
    with Rewards(node.settings, context.profile.threads) as rewards:
        scores = rewards(rows_of(some, list(map(_as_if_sampled, prompts, asked, given, answers)))).rewards
    right = {index for index, score in enumerate(scores) if score is not None and score >= RIGHT}
    if not right:
        return {}, "its scorer takes no bare `.answer` for a right response"
    kept = right & set(fit_length(asked, given, longest, "drop").kept)
    found: dict[int, reading.Text] = {answered[index]: (asked[index], given[index]) for index in sorted(kept)}
    return found, "" if found else "no gold answer fits into the model's context"


def _as_if_sampled(prompt: Prompt, asked: Sequence[int], given: Sequence[int], answer: str) -> Rollout:
    """The gold answer as a scorer sees what a model writes."""
    completion = Completion(tuple(given), (0.0,) * len(given), finished=True)
    return Rollout(prompt, tuple(asked), (completion,), (answer,))


# What it is compared with ---------------------------------------------------------------------------------------------


def _moved(
    model: PreTrainedModel, texts: Sequence[reading.Text], inputs: Mapping[str, Artifact], context: Context
) -> dict[str, list[Reals] | str]:
    """How far the model has moved from others, at each token of what it writes itself; or why nobody can say. What it
    is compared with twice is asked once."""
    known: dict[str, list[Reals] | str] = {inputs["model"].digest: [np.zeros(len(tokens)) for _, tokens in texts]}
    for name in COMPARED:
        if inputs[name].digest not in known:
            context.heartbeat(Progress(len(known), 1 + len(COMPARED), "models", {}))
            known[inputs[name].digest] = _divergences(model, texts, inputs["model"].path, inputs[name].path, context)
    return {figure: known[inputs[name].digest] for name, figure in COMPARED.items()}


def _divergences(
    model: PreTrainedModel, texts: Sequence[reading.Text], folder: Path, other: Path, context: Context
) -> list[Reals] | str:
    from ptc.runtime.engines.open import load_tokenizer

    if load_tokenizer(other).get_vocab() != load_tokenizer(folder).get_vocab():
        return "it began with another tokenizer"
    return reading.divergences_of(model, reading.opened(other, context.profile), texts)


# What it should have written ------------------------------------------------------------------------------------------


def _referred(model: PreTrainedModel, written: _Written, table: _Table) -> dict[str, Finding]:
    """What the gold answers cost, where they are least likely, and how much is lost when the model goes by itself."""
    names = ("reference_logp", "bottleneck_logp", "exposure_gap")
    places, texts = list(written.references), list(written.references.values())
    costs, hits = reading.forced(model, texts)
    narrowest = [int(values.argmin()) for values in costs]
    costliest = [values[narrow : narrow + 1] for values, narrow in zip(costs, narrowest, strict=True)]
    tokens = [answer[narrow] for (_, answer), narrow in zip(texts, narrowest, strict=True)]
    taught = _means(hits)
    alone = np.array([_agreement(written.references[place][1], written.greedy[place]) for place in places], np.float64)
    table.add("reference_logp", _means(costs), places)
    table.add("bottleneck_logp", _means(costliest), places)
    table.add("bottleneck_place", np.array(narrowest, np.int64), places)
    table.texts("bottleneck_token", [str(written.tokenizer.decode([token])) for token in tokens], places)
    table.add("teacher_forced", taught, places)
    table.add("free_running", alone, places)
    if not places:
        return dict.fromkeys(names, written.without)
    found = (_mean(costs), _mean(costliest), Figure(interval(RATE_DIFFERENCE, alone, taught), len(places)))
    return dict(zip(names, found, strict=True))


def _agreement(reference: Sequence[int], written: Sequence[int]) -> float:
    """The share of the reference's tokens that stand at their places in what was written."""
    return sum(one == other for one, other in zip(reference, written, strict=False)) / len(reference)


# What its attempts say ------------------------------------------------------------------------------------------------


def _answered(measured: Measured, group: int, table: _Table) -> dict[str, Finding]:
    """How many different answers a prompt gets, and how often a group of attempts would teach anything."""
    attempts = dict(zip(measured.prompts, column(measured.counts, "attempts"), strict=True))
    answers = [Counter(final_answer(one["response"]).strip() for one in attempts[name]) for name in table.prompts]
    spread = [np.array([_entropy(list(each.values()))]) for each in answers]
    table.add("answer_entropy", _means(spread))
    table.add("answers", np.array([len(each) for each in answers]))
    table.add("attempts", np.array([each.total() for each in answers]))
    return {"answer_entropy": _mean(spread), "informative_rate": _informative(measured, group)}


def _entropy(counts: Sequence[int]) -> float:
    """-Σ p log p of the shares of these counts, in nats: at most the logarithm of how many there are."""
    total = sum(counts)
    return -math.fsum(count / total * math.log(count / total) for count in counts)


def _informative(measured: Measured, group: int) -> Finding:
    """Of all prompts of the eval: the chance that a group of so many attempts holds both right and wrong ones."""
    if measured.kind != "pass_rate":
        return "only a pass rate tells right from wrong"
    enough = measured.attempts >= group
    if not enough.any():
        return f"no prompt has {group} judged attempts"
    rates = informative_rate(measured.attempts[enough], measured.right[enough], group)
    return Figure(interval(RATE, rates), len(rates))


# What is written down -------------------------------------------------------------------------------------------------

Column = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass
class _Table:
    """Figures by prompt; what a prompt lacks is null."""

    rows: pa.Table
    responses: Sequence[Rollout]
    columns: dict[str, pa.Array] = field(default_factory=dict)

    @cached_property
    def prompts(self) -> list[str]:
        return identities(self.rows)

    def add(self, name: str, values: Column, places: Sequence[int] | None = None) -> None:
        kind = pa.float64() if values.dtype.kind == "f" else pa.int64()
        self.columns[name] = self._laid_out(values.tolist(), places, kind)

    def texts(self, name: str, values: Sequence[str], places: Sequence[int]) -> None:
        self.columns[name] = self._laid_out(values, places, pa.string())

    def _laid_out(self, values: Sequence[Json], places: Sequence[int] | None, kind: pa.DataType) -> pa.Array:
        every = range(len(self.prompts))
        found = dict(zip(every if places is None else places, values, strict=True))
        return pa.array([found.get(place) for place in every], kind)

    def whole(self) -> pa.Table:
        own = {
            "prompt_id": pa.array(self.prompts, pa.string()),
            "prompt": pa.array([prompt_text({"prompt": each.prompt}) for each in self.responses], pa.string()),
            "response": pa.array([each.responses[0] for each in self.responses], pa.string()),
            "tokens": pa.array([len(each.completions[0].tokens) for each in self.responses], pa.int64()),
        }
        return pa.table({**own, **self.columns})


def _means(values: Sequence[Reals]) -> Reals:
    """The mean of each prompt."""
    return np.array([each.mean() for each in values], dtype=np.float64)


def _mean(values: Sequence[Reals]) -> Figure:
    """The mean over prompts, with its interval."""
    return Figure(interval(MEAN, _means(values)), len(values))


def _document(found: Finding) -> Json:
    if isinstance(found, str):
        return {"value": None, "why": found}
    return {**asdict(found.found), "prompts": found.prompts}
