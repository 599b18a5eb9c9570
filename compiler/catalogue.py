"""What the compiler knows of the outside: one value, filled by whoever may look (`ptc.api`), read by the checker.

The compiler opens no file. A thing the catalogue does not hold is *unknown*, which is never an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptc.compiler.shapes import Shape
from ptc.lang.source import Source


@dataclass(frozen=True)
class Rows:
    """The header of a data file: its columns, and the SHA-256 of its bytes where they were read."""

    columns: tuple[str, ...]
    sha256: str | None = None
    problem: str | None = None
    """What keeps it from being read."""
    types: tuple[tuple[str, str], ...] = ()
    """The types of columns, as far as they are known."""
    revision: str | None = None
    """The commit that is meant, for a dataset on the hub that is locked."""


@dataclass(frozen=True)
class Checkpoint:
    """A model folder as its `config.json` and tokenizer files describe it."""

    context: int | None
    parameters: int | None
    tokenizer: str | None
    """Digest of the vocabulary: what makes two models read one text as the same tokens."""
    sha256: str | None = None
    problem: str | None = None
    template: str | None = None
    """Digest of the chat template; None where it has none, or its files have not been read."""
    end_of_sequence: tuple[str, ...] | None = None
    """The tokens that end a completion, as `generation_config.json` and the tokenizer name them."""
    architecture: str | None = None
    vocabulary: int | None = None
    shape: Shape | None = None
    dropout: float | None = None
    """The largest dropout that `config.json` asks for."""
    revision: str | None = None
    """The commit that is meant, for a model on the hub that is locked."""


@dataclass(frozen=True)
class Option:
    """An argument of a verifier; `kind` is one of a constant's (`compiler.arguments`)."""

    name: str
    kind: str
    default: object = ...
    least: float | None = None


@dataclass(frozen=True)
class Verifier:
    """What a verifier reads of a row, what it may be told, and what it can say."""

    name: str
    columns: tuple[str, ...]
    doc: str
    least: float = 0.0
    most: float = 1.0
    options: tuple[Option, ...] = ()
    marker: str | None = None
    """What a response must hold for it to be read, with its options in braces: ``<{tags[0]}>``."""
    version: int = 1
    """Raised when it judges otherwise than before."""
    sampled: bool = False
    """Whether it reads the tokens of a response, which only sampled rows have."""
    column_types: tuple[tuple[str, str], ...] = ()
    """The types that its columns must have, where not any will do."""


@dataclass(frozen=True)
class Library:
    """A library that running needs, against the one that is installed."""

    name: str
    wanted: str
    """``>=2.8``"""
    found: str | None
    """Its version; None where it is not installed."""


@dataclass(frozen=True)
class Placement:
    """Where a program would run, in plain values: what a profile says, as far as checks ask for it."""

    engine: str = "transformers"
    """What generates: ``transformers``, ``vllm``, ``fake``."""
    precision: str = "float32"
    """``float32`` or ``bfloat16``, of training."""
    engine_precision: str = "float32"
    """The same of what generates."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    devices: int = 1
    sharded: bool = False
    """Whether each device holds a part of every model of a stage, not the whole."""
    memory: int | None = None
    """Bytes of each device; None where nobody knows."""
    micro_batch: int | None = None
    """Rows in one forward pass; None: as many as fit a fixed number of tokens."""
    copies: bool = False
    """Whether the engine holds weights of its own besides those that are trained."""
    honoured: frozenset[str] | None = None
    """The arguments of `sample` that the engine carries out; None: all."""
    outdated: tuple[Library, ...] = ()
    """Libraries that are missing, or not of a version that fits."""
    place: str = "the profile"
    """What a message calls it: the path of the profile."""


@dataclass(frozen=True)
class Template:
    """A chat template of the library."""

    text: str
    end: str | None
    """The token that ends a turn of it; None: the one that the tokenizer names."""


@dataclass(frozen=True)
class Catalogue:
    """All that the compiler knows of the world outside the text; who puts it together reads disk and network."""

    library: Mapping[str, Source] = field(default_factory=dict)
    """Text of each library module that is written in the language, by its name (``std.objectives``)."""
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns of each task generator."""
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    """The library's chat templates, by name (``chatml``)."""
    recipes: Mapping[str, Source] = field(default_factory=dict)
    """Text of each library file with recipes, by the recipe's name."""
    modules: Mapping[str, Source | str] = field(default_factory=dict)
    """The files beside the program, by their path from its folder (``sub/other.pt``): the text, or what keeps it from
    being read. Going through it lists the files that are there."""
    files: Mapping[str, Rows] = field(default_factory=dict)
    models: Mapping[str, Checkpoint] = field(default_factory=dict)
    lock_problem: str | None = None
    """What keeps the lock of the program from being read."""
    fetched: bool = False
    """Whether the hub was asked for what it is about: then there is no point in telling the user to."""
    hub_datasets: Mapping[str, Rows] = field(default_factory=dict)
    """By ``org/set:config@revision``, the last two only where they are given."""
    placement: Placement | None = None
    """Where the program would run; None as long as nobody has said."""
    hub_models: Mapping[str, Checkpoint] = field(default_factory=dict)
    """By ``org/model@revision``, the last only where it is given."""
