"""Tokenizers: `characters`, `bpe`, `tokenizer_of`. Made from scratch, deterministically, as Hugging Face folders.

Both kinds have four special tokens and one chat template. The assistant's header is a special token of its own, so that
no token ever joins a prompt with its response, and padding is not the end of sequence, so that masking the one cannot
hide the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.rendering.conversations import content_text
from ptc.runtime.tables import read_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, USER, ASSISTANT, END, UNKNOWN = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<|unknown|>"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
"""``<|user|>…<|end|><|assistant|>…<|end|>``."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
)
"""Files of a model folder that are its tokenizer."""

NOT_TEXT = frozenset({"entry", "prompt_id"})
"""Columns of texts that no model reads or writes."""


def characters(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """One token for each character of every text column of the rows; any other character is `<|unknown|>`."""
    write_characters(read_rows(inputs["rows"]), out)


def write_characters(rows: pa.Table, out: Path) -> None:
    """Fills a folder with the tokenizer that `characters` makes of rows."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted({character for text in texts(rows) for character in text})
    special = [PAD, USER, ASSISTANT, END, UNKNOWN, *other_roles(rows)]
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    _write_folder(tokenizer, out, special)


def bpe(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """Byte-level BPE (Radford et al., 2019) of `vocabulary` tokens, special ones and the 256 bytes among them."""
    write_bpe(read_rows(inputs["rows"]), node.settings["vocabulary"], out)


def write_bpe(rows: pa.Table, size: int, out: Path) -> None:
    """Fills a folder with the tokenizer that `bpe` makes of rows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    special = [PAD, USER, ASSISTANT, END, *other_roles(rows)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if size < len(special) + len(alphabet):
        raise InputWrong(
            f"a byte-level vocabulary has at least {len(special) + len(alphabet)} tokens, not {size}: raise "
            "`vocabulary`"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts(rows), trainer=trainer)
    _write_folder(tokenizer, out, special)


def tokenizer_of(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The tokenizer of a model, byte by byte."""
    model = inputs["model"].path
    names = [name for name in TOKENIZER_FILES if (model / name).is_file()]
    if not names:
        raise InputWrong(f"the model {model} has no tokenizer: name one that has")
    for name in names:
        (out / name).write_bytes((model / name).read_bytes())


def texts(rows: pa.Table) -> Iterator[str]:
    """All texts of the rows that a model may read or write, column by column; of messages what they say."""
    for name in rows.column_names:
        kind = rows.schema.field(name).type
        if name not in NOT_TEXT and pa.types.is_string(kind):
            yield from (text for text in rows.column(name).to_pylist() if text is not None)
        elif _are_messages(kind):
            yield from (content_text(turn) for turns in rows.column(name).to_pylist() for turn in turns or ())


def other_roles(rows: pa.Table) -> list[str]:
    """Tokens for the headers of turns that are neither the user's nor the assistant's."""
    found = {"system"} if "system" in rows.column_names else set[str]()
    for name in rows.column_names:
        if _are_messages(rows.schema.field(name).type):
            found |= {turn["role"] for turns in rows.column(name).to_pylist() for turn in turns or ()}
    return [f"<|{role}|>" for role in sorted(found - {"user", "assistant"})]


def _are_messages(kind: pa.DataType) -> bool:
    structs: bool = pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)
    return structs and bool(kind.value_type.get_field_index("role") >= 0)


def _write_folder(tokenizer: Tokenizer, out: Path, special: list[str]) -> None:
    """A folder from which `AutoTokenizer` loads a fast tokenizer; its bytes depend on the vocabulary alone."""
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": UNKNOWN if UNKNOWN in special else None,
        "additional_special_tokens": [token for token in special if token not in (PAD, END, UNKNOWN)],
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
    }
    text = json.dumps({name: value for name, value in settings.items() if value is not None}, indent=2)
    (out / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
