"""The shape of a transformer: what its parameters, its activations and its cache are counted from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler.graph import Json

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""What `config.json` calls the number of experts of a layer."""


@dataclass(frozen=True)
class Shape:
    """A decoder with gated feed-forward layers, grouped attention and two norms per layer."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    """Width of a feed-forward layer, or of one expert."""
    vocabulary: int | None = None
    """None where the tokenizer is made later."""
    tied: bool = False
    """Whether input and output embeddings are one."""
    experts: int = 1

    @property
    def blocks(self) -> int:
        """Parameters of the layers and the last norm, without embeddings."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        feed_forward = 3 * self.hidden * self.intermediate * self.experts
        return self.layers * (attention + feed_forward + 2 * self.hidden) + self.hidden

    @property
    def embeddings(self) -> int | None:
        if self.vocabulary is None:
            return None
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All parameters; without embeddings while the vocabulary is not known."""
        return self.blocks + (self.embeddings or 0)

    @property
    def layout(self) -> tuple[int, ...]:
        """What two models must have in common for their layers to be compared number by number."""
        return (self.hidden, self.layers, self.heads, self.kv_heads, self.head_dim, self.intermediate, self.experts)

    @property
    def words(self) -> str:
        """``2 layers of width 64``."""
        return f"{self.layers} layers of width {self.hidden}"

    def adapter(self, rank: int) -> int:
        """Parameters of a low-rank adapter on every linear layer of the blocks."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * (self.hidden + queries) + 2 * (self.hidden + keys)
        feed_forward = 3 * (self.hidden + self.intermediate) * self.experts
        return self.layers * rank * (attention + feed_forward)

    @property
    def cached_per_token(self) -> int:
        """Numbers that the cache of keys and values holds for each token."""
        return 2 * self.layers * self.kv_heads * self.head_dim


def from_config(config: Mapping[str, Json]) -> Shape | None:
    """The shape that a `config.json` describes; None if it names no transformer of this kind."""
    text = config.get("text_config")
    if isinstance(text, dict):  # a model of pictures and text describes its text half there
        config = {**config, **text}
    numbers = {name: config.get(name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    hidden, layers, heads = (value if isinstance(value, int) and value > 0 else 0 for value in numbers.values())
    if not (hidden and layers and heads):
        return None
    experts = next((config[name] for name in EXPERTS if isinstance(config.get(name), int)), 1)
    width = config.get("moe_intermediate_size") if experts > 1 else None
    return Shape(
        hidden,
        layers,
        heads,
        config.get("num_key_value_heads") or heads,
        config.get("head_dim") or hidden // heads,
        width or config.get("intermediate_size") or 4 * hidden,
        config.get("vocab_size"),
        bool(config.get("tie_word_embeddings", False)),
        experts,
    )


def from_settings(settings: Mapping[str, Json]) -> Shape:
    """The shape of a ``new.model``."""
    return Shape(
        settings["hidden"],
        settings["layers"],
        settings["heads"],
        settings["kv_heads"],
        settings["head_dim"],
        settings["intermediate"],
        tied=settings["tied"],
    )
