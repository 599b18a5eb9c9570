"""Conversations: what is learned of them, masks from prefixes, cuts that spare the template, the trainer's tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import loss_expressions as expressions
import pyarrow as pa
import pytest
import torch
from loss_cases import tiny_model
from small_tokenizers import CHATML, LLAMA, NO_END, THINKING, TWO_BEGINNINGS, chatml, glm, llama
from transformers import PreTrainedTokenizerFast

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import collate
from ptc.runtime.flows import FixedFlow
from ptc.runtime.forward import answers
from ptc.runtime.loss import Loss
from ptc.runtime.losses.needs import Needs
from ptc.runtime.rendering.conversations import (
    Conversation,
    NoConversation,
    conversation,
    pair,
    prompt_text,
    transcript,
)
from ptc.runtime.rendering.rows import Counts, RenderedRow, Rendering, histogram, render_rows, sides_of
from ptc.runtime.rendering.tables import rendered_rows
from ptc.runtime.rendering.turns import Fault, Mask, Problem, Rendered, render, roles
from ptc.runtime.samples import tokenised

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And 3 + 3?"},
    {"role": "assistant", "content": "It is 6."},
]
TOOLED = [
    {"role": "user", "content": "How warm is Paris?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}],
    },
    {"role": "tool", "content": "21 degrees"},
    {"role": "assistant", "content": "It is 21 degrees."},
]


def one(
    tokenizer: PreTrainedTokenizerFast, row: dict[str, Any], column: str = "response", mask: Mask = "assistant"
) -> Any:
    return render(tokenizer, [conversation(row, column)], mask)[0]


def borne(tokenizer: PreTrainedTokenizerFast, rendered: Rendered) -> str:
    """What bears loss, as text; ` … ` between pieces that do not touch."""
    pieces, held = [], list[int]()
    for token, bears in zip((*rendered.tokens, 0), (*rendered.loss_mask, False), strict=True):
        if bears:
            held.append(token)
        elif held:
            pieces.append(tokenizer.decode(held))
            held = []
    return " … ".join(pieces)


def fault(found: Any) -> Fault | None:
    return found.fault if isinstance(found, Problem) else None


# What is learned ------------------------------------------------------------------------------------------------------


def test_every_assistant_turn_bears_loss_with_its_end() -> None:
    tokenizer = chatml()
    rendered = one(tokenizer, {"messages": TALK})
    assert borne(tokenizer, rendered) == "It is 4.<|im_end|> … It is 6.<|im_end|>"
    assert tokenizer.decode(rendered.tokens) + "\n" == tokenizer.apply_chat_template(TALK, tokenize=False)


def test_the_last_turn_alone_or_everything() -> None:
    tokenizer = chatml()
    assert borne(tokenizer, one(tokenizer, {"messages": TALK}, mask="last")) == "It is 6.<|im_end|>"
    everything = one(tokenizer, {"messages": TALK}, mask="all")
    assert everything.loss_mask == (False, *[True] * (len(everything.tokens) - 1))


def test_messages_and_prompt_with_completion_are_the_same_conversation() -> None:
    tokenizer = chatml()
    split = one(tokenizer, {"prompt": TALK[:4], "completion": TALK[4:]})
    last = one(tokenizer, {"messages": TALK}, mask="last")
    assert split == last
    assert one(tokenizer, {"prompt": TALK[:4], "response": "It is 6."}) == last


def test_tool_turns_bear_no_loss_and_calls_do() -> None:
    tokenizer = chatml()
    rendered = one(tokenizer, {"messages": TOOLED, "tools": [{"name": "weather"}]})
    text = borne(tokenizer, rendered)
    assert "tool_call" in text and text.endswith(" … It is 21 degrees.<|im_end|>")
    assert "21 degrees<|im_end|>" not in text
    assert "# Tools" in tokenizer.decode(rendered.tokens)
    found = conversation({"messages": TOOLED}, "response")
    assert isinstance(found, Conversation)
    counted = roles(tokenizer, found, one(tokenizer, {"messages": TOOLED}))
    assert counted["tool"][0] == counted["user"][0] == 0 < counted["assistant"][0] < counted["assistant"][1]


def test_contents_may_be_lists_of_texts() -> None:
    tokenizer = chatml()
    parts = [{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in TALK]
    assert one(tokenizer, {"messages": parts}) == one(tokenizer, {"messages": TALK})


def test_a_text_without_turns_is_learned_whole() -> None:
    tokenizer = llama()
    rendered = one(tokenizer, {"text": "Paris is in France."}, "text")
    assert tokenizer.decode(rendered.tokens) == "<|begin_of_text|>Paris is in France.<|eot_id|>"
    assert rendered.trained == len(rendered.tokens) - 1


# Pairs ----------------------------------------------------------------------------------------------------------------


def test_the_implicit_prompt_is_what_both_sides_begin_with() -> None:
    other = [*TALK[:4], {"role": "assistant", "content": "No idea."}]
    chosen, rejected = pair({"chosen": TALK, "rejected": other})
    assert isinstance(chosen, Conversation) and isinstance(rejected, Conversation)
    assert chosen.prompt == rejected.prompt == tuple(TALK[:4])
    explicit = pair({"prompt": TALK[:4], "chosen": TALK[4:], "rejected": other[4:]})
    assert (chosen, rejected) == explicit
    assert pair({"prompt": TALK[:4], "chosen": TALK, "rejected": other}) == explicit


def test_texts_of_a_pair_are_split_between_words() -> None:
    chosen, rejected = pair({"chosen": "Ask: 2 + 2?\nIt is 4", "rejected": "Ask: 2 + 2?\nIt is 5"})
    assert isinstance(chosen, Conversation) and isinstance(rejected, Conversation)
    assert chosen.messages == ({"role": "user", "content": "Ask: 2 + 2?\nIt is"}, {"role": "assistant", "content": "4"})
    assert rejected.messages[1]["content"] == "5"


def test_transcripts_are_read_as_turns() -> None:
    text = "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: a pen?\n\nAssistant: no."
    turns = transcript(text)
    assert turns is not None and [turn["role"] for turn in turns] == ["user", "assistant"] * 2
    chosen, rejected = pair({"chosen": text, "rejected": text.replace("no.", "not today.")})
    assert isinstance(chosen, Conversation) and chosen.learned == 3 and chosen.messages[3]["content"] == "no."
    assert isinstance(rejected, Conversation) and rejected.prompt == chosen.prompt
    assert prompt_text({"chosen": text, "rejected": text.replace("no.", "yes.")}) == "hello\n\nhi\n\na pen?"


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ({"prompt": "a", "response": None}, "response", "has None for `.response`"),
        ({"prompt": "a", "response": 3}, "response", "has 3 for `.response`"),
        ({"messages": [{"content": "a"}]}, "response", "has no `role` in message 1"),
        ({"messages": [{"role": "user", "content": None}]}, "response", "has no text in message 1"),
        ({"chosen": "ab", "rejected": "cd"}, "chosen", "do not begin alike"),
    ],
)
def test_rows_that_say_nothing(row: dict[str, Any], column: str, said: str) -> None:
    found = conversation(row, column)
    assert isinstance(found, NoConversation) and said in found.said


# Templates ------------------------------------------------------------------------------------------------------------


def test_a_template_that_rewrites_history_is_found_out() -> None:
    tokenizer = chatml(THINKING)
    thought = [dict(turn) for turn in TALK]
    thought[2]["content"] = "<think>two and two</think>It is 4."
    problem = one(tokenizer, {"messages": thought})
    assert fault(problem) is Fault.NOT_PRESERVED and problem.turn == 3
    assert "renders turn 3 differently once others follow it" in problem.said
    assert borne(tokenizer, one(tokenizer, {"messages": thought}, mask="last")) == "It is 6.<|im_end|>"


def test_a_template_without_end_of_turn_is_found_out() -> None:
    assert fault(one(chatml(NO_END), {"messages": TALK})) is Fault.NO_END
    assert fault(one(glm(), {"messages": TALK[1:]})) is Fault.NO_END


def test_an_end_after_the_last_turn_alone_is_not_enough() -> None:
    template = NO_END + "{% if not add_generation_prompt %}{{ '<|im_end|>' }}{% endif %}"
    assert fault(one(chatml(template), {"prompt": "a", "response": "b"})) is None
    assert fault(one(chatml(template), {"messages": TALK})) is Fault.NOT_PRESERVED


def test_two_beginnings_are_found_out() -> None:
    assert fault(one(llama(TWO_BEGINNINGS), {"prompt": "a", "response": "b"})) is Fault.DOUBLE_BEGIN
    assert fault(one(llama(LLAMA.replace("{{ bos_token }}", "", 1)), {"prompt": "a", "response": "b"})) is None


def test_a_template_may_refuse() -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHATML
    problem = one(chatml(template), {"messages": TALK})
    assert fault(problem) is Fault.TEMPLATE_REFUSES and problem.said.endswith("no system turn")


def test_nothing_to_learn_from() -> None:
    assert fault(one(chatml(), {"messages": TALK[:2]})) is Fault.NOTHING_TRAINED


# Cuts -----------------------------------------------------------------------------------------------------------------

LONG = "one two three four five six seven eight nine ten " * 8


def cut(tokenizer: PreTrainedTokenizerFast, row: dict[str, Any], *columns: str, **settings: Any) -> RenderedRow:
    return render_rows(tokenizer, [sides_of(row, columns or ("response",))], Rendering(**settings))[0]


@pytest.mark.parametrize(("truncate", "which"), [("left", "prompt"), ("right", "response")])
@pytest.mark.parametrize("make", [chatml, llama])
def test_a_cut_takes_content_and_nothing_else(make: Any, truncate: str, which: str) -> None:
    tokenizer = make()
    row = {"prompt": LONG, "response": LONG}
    whole, short = cut(tokenizer, row), cut(tokenizer, {**row, which: "x"})
    limit = whole.length - 100
    found = cut(tokenizer, row, max_length=limit, truncate=truncate)
    assert found.cut == ("response",) and found.length == whole.length
    tokens = found.parts[0]["response"].tokens
    assert limit - 3 <= len(tokens) <= limit and tokens[-1] == tokenizer.eos_token_id
    special = set(tokenizer.all_special_ids)
    assert [t for t in tokens if t in special] == [t for t in short.parts[0]["response"].tokens if t in special]
    text = tokenizer.decode(tokens)
    kept = text.count("ten")
    assert kept < 16 and (LONG.strip() in text)


def test_left_drops_whole_exchanges_and_keeps_the_system() -> None:
    tokenizer = chatml()
    talk = [TALK[0], *[dict(turn, content=turn["content"] + LONG) for turn in TALK[1:3]], *TALK[3:]]
    short = cut(tokenizer, {"messages": [TALK[0], *TALK[3:]]}).length
    found = cut(tokenizer, {"messages": talk}, max_length=short + 4, truncate="left")
    assert found.parts[0]["response"] == one(tokenizer, {"messages": [TALK[0], *TALK[3:]]})


def test_right_ends_with_an_answer() -> None:
    tokenizer = chatml()
    talk = [*TALK[:3], dict(TALK[3], content=LONG), TALK[4]]
    found = cut(tokenizer, {"messages": talk}, max_length=60, truncate="right")
    assert found.parts[0]["response"] == one(tokenizer, {"messages": TALK[:3]})


def test_split_cuts_between_exchanges() -> None:
    tokenizer = chatml()
    found = cut(tokenizer, {"messages": TALK}, max_length=60, truncate="split")
    assert [part["response"] for part in found.parts] == [
        one(tokenizer, {"messages": TALK[:3]}),
        one(tokenizer, {"messages": [TALK[0], *TALK[3:]]}),
    ]
    assert fault(cut(tokenizer, {"messages": TALK}, max_length=20, truncate="split").problem) is Fault.TOO_LONG


def test_a_text_is_split_into_windows() -> None:
    tokenizer = llama()
    found = cut(tokenizer, {"text": LONG}, "text", max_length=50, truncate="split")
    windows = [part["text"] for part in found.parts]
    assert all(len(window.tokens) <= 50 and window.tokens[0] == tokenizer.bos_token_id for window in windows)
    assert tokenizer.decode([token for window in windows for token in window.tokens[1:]]) == LONG + "<|eot_id|>"


@pytest.mark.parametrize("truncate", ["left", "right"])
def test_both_sides_of_a_pair_lose_the_same(truncate: str) -> None:
    tokenizer = chatml()
    row = {"prompt": LONG, "chosen": LONG + "and so on " * 9, "rejected": LONG}
    whole = cut(tokenizer, row, "chosen", "rejected")
    found = cut(tokenizer, row, "chosen", "rejected", max_length=whole.length - 120, truncate=truncate)
    chosen, rejected = (found.parts[0][side] for side in ("chosen", "rejected"))
    assert chosen.prompt == rejected.prompt
    if truncate == "right":
        assert chosen == rejected and found.cut == ("chosen", "rejected")
    else:
        assert chosen.learned == whole.parts[0]["chosen"].learned and len(chosen.prompt) < len(
            whole.parts[0]["chosen"].prompt
        )


def test_what_cannot_be_cut_small_enough_is_a_problem() -> None:
    tokenizer = chatml()
    for truncate in ("left", "right", "split", "error"):
        found = cut(tokenizer, {"prompt": LONG, "response": LONG}, max_length=40, truncate=truncate)
        assert fault(found.problem) is Fault.TOO_LONG and not found.parts
    assert cut(tokenizer, {"prompt": LONG, "response": LONG}, max_length=40, truncate="drop").dropped


def test_counts() -> None:
    tokenizer = chatml()
    rows = [sides_of({"prompt": "a", "response": text}, ["response"]) for text in ("b", LONG, LONG)]
    counts = Counts.of(render_rows(tokenizer, rows, Rendering(60, "right")))
    assert (counts.rows, counts.cut, counts.dropped, counts.whole) == (3, {"response": 2}, 0, False)
    assert Counts.of(render_rows(tokenizer, rows, Rendering(60, "drop"))).dropped == 2
    assert histogram([10, 64, 65, 700], 100) == "up to 64: 2, up to 100: 1, up to 1,024: 1"


# What is trained ------------------------------------------------------------------------------------------------------


def trained(
    rows: pa.Table, needs: Needs, tokenizer: PreTrainedTokenizerFast, rendering: Rendering
) -> dict[str, list[Any]]:
    """By column: the tokens and the mask of each sample, read back from the trainer's tensors."""
    flow = FixedFlow(rows, "samples", needs, tokenizer, rendering)
    found: dict[str, list[Any]] = {name: [] for name in needs.texts}
    for unit in range(flow.size):
        for sample in flow.draw(0, [unit]).groups[0]:
            batch = collate([[sample]])
            for name, sequences in batch.sequences.items():
                last = [] if not len(sequences.tokens) else [int(sequences.tokens[-1])]
                tokens = (*sequences.inputs.tolist(), *last)
                mask = (False, *sequences.predicts.tolist())
                assert torch.equal(torch.tensor(tokens)[torch.tensor(mask)], sequences.tokens)
                found[name].append((tokens, mask))
    return found


SFT = Loss([(1.0, expressions.sft())])
DPO = Loss([(1.0, expressions.dpo())])
ROWS: dict[str, tuple[Loss, list[dict[str, Any]], Rendering]] = {
    "texts": (SFT, [{"prompt": "a", "response": "b c"}, {"prompt": LONG, "response": "d"}], Rendering()),
    "messages": (SFT, [{"messages": TALK}, {"messages": TALK[1:3]}], Rendering()),
    "tools": (SFT, [{"messages": TOOLED}], Rendering(mask="all")),
    "last": (SFT, [{"messages": TALK}], Rendering(mask="last")),
    "pairs": (DPO, [{"prompt": "a", "chosen": "b", "rejected": LONG}], Rendering()),
    "implicit": (DPO, [{"chosen": TALK, "rejected": [*TALK[:4], dict(TALK[4], content="7")]}], Rendering()),
    "cut": (SFT, [{"prompt": "a", "response": LONG}, {"prompt": "a", "response": "b"}], Rendering(50, "right")),
    "split": (SFT, [{"messages": TALK}], Rendering(60, "split")),
    "cut pairs": (DPO, [{"prompt": LONG, "chosen": "b", "rejected": "c d"}], Rendering(60, "left")),
    "dropped": (SFT, [{"prompt": "a", "response": LONG}, {"prompt": "a", "response": "b"}], Rendering(50, "drop")),
}


@pytest.mark.parametrize(("make", "case"), [(chatml, case) for case in ROWS] + [(llama, "texts"), (llama, "messages")])
def test_what_is_probed_is_what_is_trained(make: Any, case: str) -> None:
    loss, rows, rendering = ROWS[case]
    needs = loss.needs()
    table, tokenizer = pa.Table.from_pylist(rows), make()
    probed = rendered_rows(table, needs.texts, tokenizer, rendering)
    expected = {
        name: [(part[name].tokens, part[name].loss_mask) for row in probed for part in row.parts]
        for name in needs.texts
    }
    assert trained(table, needs, tokenizer, rendering) == expected
    assert sum(map(len, expected.values())) > 0


def test_a_loss_over_turns_is_that_of_the_tokens_that_bear_it() -> None:
    tokenizer = chatml()
    model = tiny_model(0)
    rows = pa.Table.from_pylist([{"messages": TALK}, {"messages": TALK[:3]}])
    samples, _ = tokenised(rows, SFT.needs(), tokenizer, Rendering())
    # Tokens folded into the small model's vocabulary: which they are does not matter, where they stand does.
    size = model.config.vocab_size
    folded = [
        replace(sample, sequences={"response": tuple([t % size for t in ids] for ids in sample.sequences["response"])})
        for row in samples
        for sample in row
    ]
    prepared = SFT.prepare(collate([[sample] for sample in folded]))
    part = SFT.part(prepared, 0, 2, lambda _, names, batch: answers(model, [batch.sequences["response"]]))
    borne = []
    for rendered in render(tokenizer, [conversation(row, "response") for row in rows.to_pylist()]):
        assert isinstance(rendered, Rendered)
        tokens = torch.tensor([[t % size for t in rendered.tokens]])
        logps = model(input_ids=tokens).logits[0, :-1].log_softmax(-1).gather(-1, tokens[0, 1:, None])[:, 0]
        borne.append(logps[torch.tensor(rendered.loss_mask[1:])])
    assert float(part.loss.detach()) == pytest.approx(-float(torch.cat(borne).mean().detach()), abs=1e-5)


def test_a_row_with_a_problem_stops_the_stage() -> None:
    table = pa.table({"prompt": ["a", "b"], "response": ["c", None]})
    with pytest.raises(InputWrong, match=r"row 2 has None for `\.response`"):
        tokenised(table, SFT.needs(), chatml(), Rendering())
    with pytest.raises(InputWrong, match="row 1: the chat template writes no end-of-sequence token"):
        tokenised(table.slice(0, 1), SFT.needs(), chatml(NO_END), Rendering())
    with pytest.raises(InputWrong, match=r"row 1 has .* more than max_length = 4: raise max_length"):
        tokenised(table.slice(0, 1), SFT.needs(), chatml(), Rendering(4))
    with pytest.raises(InputWrong, match="all 1 rows are longer than max_length = 4"):
        FixedFlow(table.slice(0, 1), "samples", SFT.needs(), chatml(), Rendering(4, "drop"))


def test_sampled_rows_beside_messages_keep_their_own_tokens() -> None:
    tokenizer = chatml()
    talk = TALK[1:3]
    whole = one(tokenizer, {"messages": talk})
    first = whole.border
    sampled = {"prompt": "What is 2 + 2?", "response": "It is 4.", "messages": None}
    tokens = {"prompt_tokens": list(whole.tokens[:first]), "response_tokens": list(whole.tokens[first:-1])}
    nothing = {"prompt": None, "response": None, "prompt_tokens": None, "response_tokens": None}
    mixed = pa.Table.from_pylist([{**sampled, **tokens}, {**nothing, "messages": talk}])
    own, written = rendered_rows(mixed, ["response"], tokenizer, Rendering())
    assert written.parts[0]["response"].tokens == whole.tokens
    assert own.parts[0]["response"].tokens == whole.tokens[:-1]
