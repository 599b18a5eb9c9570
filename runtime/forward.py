"""One forward pass of a model over packed sequences, with its head only where it is asked something.

Legend: N tokens that bear loss, H width of a hidden state, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from ptc.runtime import costs
from ptc.runtime.adapters import AdapterOff, answering
from ptc.runtime.arithmetic import arithmetic_of
from ptc.runtime.batches import Sequences
from ptc.runtime.packing import Layout, hidden_states, one_in_each

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Head = Literal["language", "value", "reward"]
Lay = Callable[[torch.Tensor], Layout]
"""How sequences of these lengths lie in the rows that a model reads."""
Run = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
"""Calls a function that runs a model's body."""


@dataclass(frozen=True)
class Predictions:
    """What a language model says of N tokens, before its head: whole logits (N, V) would be larger than the model."""

    hidden: torch.Tensor
    """(N, H) hidden states at the positions that predict the tokens."""
    head: Callable[[torch.Tensor], torch.Tensor]
    """Logits (n, V) of hidden states (n, H)."""
    vocabulary: int
    """V"""

    @staticmethod
    def of_logits(logits: torch.Tensor) -> Predictions:
        """Predictions that are there already (N, V)."""
        return Predictions(logits, lambda piece: piece, logits.shape[-1])


Answer = Predictions | torch.Tensor
"""Predictions of a language head; values (N,) of a value head; scores of a reward head, one per end of a sequence."""


def answers(
    model: torch.nn.Module, columns: Sequence[Sequences], lay: Lay = one_in_each, run: Run | None = None
) -> list[Answer]:
    """What a model says of each column, by the head that it has. Its body runs once for all of them, on rows that are
    laid out by `lay`; inside of `run`, where one is given, and then also where nothing is asked."""
    with answering(model) as plain:
        found = _answers(plain, columns, lay, run)
        _book(model, head_of(plain), columns)
    return [_asked_later(model, answer) for answer in found] if isinstance(model, AdapterOff) else found


def _answers(model: PreTrainedModel, columns: Sequence[Sequences], lay: Lay, run: Run | None) -> list[Answer]:
    head = head_of(model)
    places = [_places(sequences, head) for sequences in columns]
    if not any(len(place) for place in places):
        nothing = 0.0 if run is None else _ran(model, run, places[0].device)
        return [_nothing(head, place.device, nothing) for place in places]
    layout = lay(torch.cat([sequences.input_lengths for sequences in columns]))
    ids = torch.cat([sequences.inputs for sequences in columns])
    hidden = (run or _at_once)(lambda: hidden_states(model.base_model, ids, layout))
    sizes = [len(sequences.inputs) for sequences in columns]
    asked = [own[place] for own, place in zip(torch.split(hidden, sizes), places, strict=True)]
    return [_read(model, head, states) for states in asked]


def _book(model: torch.nn.Module, head: Head, columns: Sequence[Sequences]) -> None:
    """What was read goes to the cost of the node, unless nothing was asked of any of it."""
    if any(len(_places(sequences, head)) for sequences in columns):
        arithmetic = arithmetic_of(model)
        lengths: list[int] = torch.cat([sequences.whole_lengths for sequences in columns]).tolist()
        learns = torch.is_grad_enabled() and arithmetic.trained > 0
        (costs.trained if learns else costs.read)(arithmetic, lengths)


def _asked_later(model: AdapterOff, answer: Answer) -> Answer:
    """An answer whose head runs with the adapter off too, whenever it is asked: one may be over the head."""
    if isinstance(answer, torch.Tensor):
        return answer

    def head(states: torch.Tensor) -> torch.Tensor:
        with model.base():
            return answer.head(states)

    return replace(answer, head=head)


def head_of(model: torch.nn.Module) -> Head:
    """What a model ends in, by the class that transformers gives it."""
    name = type(model).__name__
    if name.endswith("ForSequenceClassification"):
        return "reward"
    return "value" if name.endswith("ForTokenClassification") else "language"


def _places(sequences: Sequences, head: Head) -> torch.Tensor:
    """The inputs at which a head is read; several times where several steps end at one."""
    if head == "reward":
        inputs = torch.arange(len(sequences.inputs), device=sequences.inputs.device)
        return inputs.repeat_interleave(sequences.ends)
    where = sequences.predicts.nonzero().squeeze(1)
    assert len(where) == len(sequences.tokens), "a token that bears loss has no token before it: its prompt is empty"
    return where


def _nothing(head: Head, device: torch.device, nothing: torch.Tensor | float) -> Answer:
    if head == "language":
        return Predictions.of_logits(torch.zeros(0, 1, device=device) + nothing)
    return torch.zeros(0, device=device) + nothing


def _ran(model: PreTrainedModel, run: Run, device: torch.device) -> torch.Tensor:
    """0, from the model's body: its backward pass runs where that of another process does."""
    one = torch.ones(1, dtype=torch.long, device=device)
    return 0 * run(lambda: hidden_states(model.base_model, one - one, one_in_each(one))).sum()


def _at_once(function: Callable[[], torch.Tensor]) -> torch.Tensor:
    return function()


def _read(model: PreTrainedModel, head: Head, states: torch.Tensor) -> Answer:
    match head:
        case "language":
            return Predictions(states, _behind_its_body(model), model.config.get_text_config().vocab_size)
        case "value":
            return _behind_its_body(model)(states).squeeze(-1)
        case "reward":
            score: Callable[[torch.Tensor], torch.Tensor] = model.get_submodule("score")
            return score(states).squeeze(-1)


def _behind_its_body(model: PreTrainedModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """What a model makes of hidden states (n, H): its head, and what it does to logits behind it (scaling, capping)."""

    def logits(states: torch.Tensor) -> torch.Tensor:
        with _instead(model.base_model, states):
            found: torch.Tensor = model(inputs_embeds=states.unsqueeze(0), use_cache=False).logits
        return found.squeeze(0)

    return logits


@contextmanager
def _instead(body: torch.nn.Module, states: torch.Tensor) -> Iterator[None]:
    """A body that has run already and gives what it gave."""
    from transformers.modeling_outputs import MoeModelOutputWithPast  # what any body gives, and what mixtures do

    def given(*args: Any, **named: Any) -> MoeModelOutputWithPast:
        return MoeModelOutputWithPast(last_hidden_state=states.unsqueeze(0))  # type: ignore[arg-type]

    vars(body)["forward"] = given
    try:
        yield
    finally:
        del vars(body)["forward"]
