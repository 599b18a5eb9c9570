"""The LALR parser for grammar.lark, built once per process and kept between processes in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from lark import Lark, Token

from ptc.lang.keywords import KEYWORDS
from ptc.lang.units import UNITS


def grammar_text() -> str:
    """grammar.lark with its two tables filled in."""
    words = sorted((name for name in UNITS if name != "%"), key=lambda name: (-len(name), name))
    text = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return text.replace("(?:UNITS)", f"(?:{'|'.join(words)})").replace("KEYWORDS)", f"{'|'.join(sorted(KEYWORDS))})")


def reserve(token: Token) -> Token:
    """A word of the language is one wherever a name could stand; the contextual lexer alone would call it a name."""
    if token.value in KEYWORDS:
        return Token.new_borrow_pos(token.value.upper(), token.value, token)
    return token


def build(strict: bool = False, cache_file: str | None = None) -> Lark:
    return Lark(
        grammar_text(),
        parser="lalr",
        start="program",
        strict=strict,
        keep_all_tokens=True,
        propagate_positions=True,
        maybe_placeholders=False,
        lexer_callbacks={"NAME": reserve},
        cache=cache_file or False,
    )


def _cache_file(text: str) -> str | None:
    """Where the tables are kept; None where nothing can be kept, or where others could exchange what is."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(home) / "ptc"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    about = folder.stat()
    if about.st_uid != os.getuid() or about.st_mode & 0o022 or not os.access(folder, os.W_OK):
        return None
    return str(folder / f"grammar-{hashlib.sha256(text.encode()).hexdigest()[:16]}.lark")


@cache
def parser() -> Lark:
    return build(cache_file=_cache_file(grammar_text()))
