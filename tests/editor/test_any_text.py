"""Whatever is written: no question of an editor raises, and none takes long."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import fences

from ptc.lsp import calling, completion, diagnostics, fixes, hover, navigation, renaming
from ptc.lsp.documents import Document

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1.0
"""Seconds of processor time for all questions about one place."""


def programs() -> list[str]:
    """Programs, right and wrong: examples, the library, the specification and the pages of the findings."""
    files = [*(ROOT / "examples").rglob("*.pt"), *(ROOT / "stdlib").rglob("*.pt")]
    pages = [*(ROOT / "tests" / "spec").glob("*.md"), *(ROOT / "docs" / "errors").glob("*.md")]
    texts = [path.read_text(encoding="utf-8") for path in sorted(files)]
    return texts + [
        fence.text
        for page in sorted(pages)
        for fence in fences(page.read_text(encoding="utf-8"))
        if fence.tag.startswith("pt")
    ]


def mutants(seed: int, count: int) -> Iterator[tuple[str, random.Random]]:
    """Programs with up to three wounds."""
    chance = random.Random(seed)
    texts = programs()
    words = re.findall(r"\S+", " ".join(texts))
    for _ in range(count):
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 3)):
            text = wounded(text, chance, chance.choice(texts)[:200], chance.choice(words))
        yield text, chance


def wounded(text: str, chance: random.Random, other: str, word: str) -> str:
    """A program cut off, cut out, doubled, with a sign or a word too many, or run together with another."""
    start = chance.randint(0, len(text))
    end = min(len(text), start + chance.randint(0, 30))
    before, middle, after = text[:start], text[start:end], text[end:]
    sign = chance.choice("(){}[]\"'.,|>=@:#\n\r\0🦜")
    ways = (
        before,
        middle + after,
        before + after,
        before + middle + middle + after,
        before + sign + middle + after,
        f"{before}{word} {middle}{after}",
        before + other + middle + after,
    )
    return chance.choice(ways)


def ask_everything(document: Document, offset: int) -> None:
    hover.hover(document, offset)
    completion.complete(document, offset)
    navigation.definition(document, offset)
    navigation.references(document, offset, declaration=True)
    calling.signature(document, offset)
    try:
        renaming.renamed(document, offset, "a_new_name", {})
    except renaming.CannotRename as refusal:
        assert str(refusal)


def survive(seed: int, count: int) -> None:
    for text, chance in mutants(seed, count):
        document = Document("file:///nowhere/program.pt", "/nowhere/program.pt", text)
        began = time.process_time()
        assert len(diagnostics.diagnostics(document)) == len(document.result.diagnostics)
        navigation.outline(document)
        for _ in range(3):
            ask_everything(document, chance.randint(0, len(document.source.text)))
        if document.result.diagnostics:
            list(fixes.fixes(document, chance.choice(document.result.diagnostics)))
        assert time.process_time() - began < LIMIT, text


def test_wounded_programs() -> None:
    survive(seed=1, count=200)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_wounded_programs(seed: int) -> None:
    survive(seed, count=2_500)


@pytest.mark.parametrize(
    "text", ["", "\n", "\ufeff", "\ud800", "{" * 100, '"""', "a" * 20_000, "PK\x03\x04", "\x80\x02}"]
)
def test_texts_that_are_no_programs(text: str) -> None:
    document = Document("untitled:1", "program.pt", text)
    diagnostics.diagnostics(document)
    for offset in (0, len(document.source.text) // 2, len(document.source.text)):
        ask_everything(document, offset)


def test_a_long_program_is_answered_at_once() -> None:
    """What an editor asks after each letter, of a program of a hundred stages."""
    stage = "stage s{n} {{\n  train policy = base\n  minimize sft(demos, policy)\n  optimizer = adamw(lr = 1e-3)\n"
    stage += "  batch     = 64 samples\n  budget    = 2 epochs\n}}\n"
    text = (ROOT / "examples" / "spelling.pt").read_text(encoding="utf-8")
    text += "".join(stage.format(n=number) for number in range(100)) + "model last = s9"
    Document("file:///warm.pt", "/warm.pt", text).result  # noqa: B018 - tables are built once
    document = Document("file:///long.pt", "/long.pt", text)
    began = time.process_time()
    diagnostics.diagnostics(document)
    completion.complete(document, len(text))
    assert time.process_time() - began < LIMIT
