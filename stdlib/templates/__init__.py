"""Chat templates by name: what `retemplate(model, template = "chatml")` writes turns with.

Each is written here in the manner of a family of models; none is any model's own. Pure: only the standard library is
imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

ENDS: Mapping[str, str | None] = MappingProxyType(
    {
        "chatml": "<|im_end|>",
        "deepseek": None,
        "gemma": "<end_of_turn>",
        "llama2": None,
        "llama3": "<|eot_id|>",
        "plain": None,
        "tulu": None,
        "zephyr": None,
    }
)
"""The token that ends a turn, by template; None: the one that the tokenizer names as its end of sequence."""


@cache
def texts() -> Mapping[str, str]:
    """The Jinja text of each template."""
    folder = Path(__file__).parent
    return MappingProxyType({name: folder.joinpath(f"{name}.jinja").read_text(encoding="utf-8") for name in ENDS})
