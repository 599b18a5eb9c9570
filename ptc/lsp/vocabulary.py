"""What can be called where, with its head and its meaning: the compiler's own signatures, gathered for editors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from ptc import api
from ptc.compiler import glossary, monitors, rows
from ptc.compiler.arguments import Parameter, Signature
from ptc.compiler.derived import CHOICES
from ptc.compiler.evals import EVALS
from ptc.compiler.flows.signatures import MIX, ORIGINS, STEPS
from ptc.compiler.gates import MEASURES
from ptc.compiler.mathematics.functions import KNOWN
from ptc.compiler.models import MODELS, TOKENIZERS
from ptc.compiler.names import NAMES, Name, spelled
from ptc.compiler.optimizers import OPTIMIZERS
from ptc.compiler.roles import TRACKING
from ptc.compiler.scorers import JUDGE
from ptc.compiler.settings import SIMPLE
from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.lang.source import Source

ANNEAL = Signature(
    "anneal", (Parameter("start", "real"), Parameter("end", "real"), Parameter("over", "steps", least=1))
)


EVERYWHERE = (
    "source", "step", "model", "tokenizer", "eval", "optimizer", "tracking", "verifier", "number", "measure", "row",
    "loss", "series",
)  # fmt: skip
"""All kinds of functions, those first that stand in programs most."""


@dataclass(frozen=True)
class Function:
    """Something that can be called. `kind` is what it makes: ``source``, ``step``, ``model``, …"""

    name: str
    kind: str
    head: str
    doc: str
    signature: Signature | None = None
    """None for functions of a loss or a row, and for what the library writes in the language."""


def of(kind: str) -> Mapping[str, Function]:
    """The functions of one kind, by name."""
    return _by_kind().get(kind, {})


def find(name: str, kinds: tuple[str, ...]) -> Function | None:
    """The first function of a name among kinds."""
    return next((of(kind)[name] for kind in kinds if name in of(kind)), None)


@cache
def _by_kind() -> Mapping[str, Mapping[str, Function]]:
    found: dict[str, dict[str, Function]] = {}
    for function in _all():
        found.setdefault(function.kind, {})[function.name] = function
    return found


def _all() -> Iterator[Function]:
    tables: tuple[tuple[str, Mapping[str, Signature]], ...] = (
        ("source", {**ORIGINS, "mix": MIX}),
        ("step", STEPS),
        ("model", MODELS),
        ("tokenizer", TOKENIZERS),
        ("eval", EVALS),
        ("optimizer", OPTIMIZERS),
        ("tracking", TRACKING),
        ("checkpoint", CHOICES),
        ("verifier", {"judge": JUDGE}),
        ("number", {"anneal": ANNEAL}),
    )
    for kind, signatures in tables:
        for name, signature in signatures.items():
            known = glossary.CHECKPOINTS if kind == "checkpoint" else glossary.FUNCTIONS
            yield Function(name, kind, head(signature), known.get(name, ""), signature)
    for name, example in MEASURES.items():
        yield Function(name, "measure", example, glossary.FUNCTIONS.get(name, ""))
    for measure in monitors.MEASURES:
        yield Function(measure.name, "series", measure.example.removeprefix("guard "), measure.meaning)
    for name in (*rows.FUNCTIONS, *rows.REDUCTIONS):
        yield Function(name, "row", *glossary.ROWS.get(name, (f"{name}(…)", "")))
    for name in KNOWN:
        yield Function(name, "loss", *glossary.LOSS.get(name, (f"{name}(…)", "")))


def head(signature: Signature) -> str:
    """``sample(model, n = 1, temperature = 1, …)``."""
    parts = [parameter_head(parameter) for parameter in signature.parameters]
    return f"{signature.name}({', '.join(parts + ['…'] * (signature.others is not None))})"


def parameter_head(parameter: Parameter) -> str:
    return parameter.name if parameter.required else f"{parameter.name} = {default(parameter)}"


def default(parameter: Parameter) -> str:
    """The default of a parameter as a program spells it."""
    value = parameter.default
    assert value is None or isinstance(value, bool | int | float | str | tuple)
    if isinstance(value, str):
        return '"' + value.replace("\n", "\\n") + '"'
    text = spelled(value)
    return f"{text} steps" if parameter.kind == "steps" and value is not None else text


def row_of(function: str, argument: str) -> Name | None:
    """What the table of names has of an argument; evals have those of sampling."""
    places = {"pass_rate": "sample", "reward": "sample", "win_rate": "sample", "hf.model": "model"}
    wanted = (function, places.get(function))
    return next((row for row in NAMES if row.where in wanted and row.ours == argument), None)


# The library ---------------------------------------------------------------------------------------------------------


MODULES = ("std.objectives", "std.verifiers", "std.recipes")


@dataclass(frozen=True)
class Declared:
    """An objective or a recipe that the library writes in the language."""

    node: ast.Objective | ast.Recipe
    source: Source
    module: str

    @property
    def doc(self) -> str:
        lines = [line for line in self.node.comments if line.startswith("##")]
        return "\n".join(line.removeprefix("##").strip() for line in lines)


@cache
def declared() -> Mapping[str, Declared]:
    """What the library writes in the language, by name."""
    known = api.standard()
    texts = [(text, "std.objectives") for text in known.library.values()]
    texts += [(text, "std.recipes") for text in dict.fromkeys(known.recipes.values())]
    found = {}
    for text, module in texts:
        tree, _ = parse(text)
        for node in tree.statements:
            if isinstance(node, ast.Objective | ast.Recipe):
                found[node.name.id] = Declared(node, text, module)
    return found


def library(module: str) -> tuple[str, ...]:
    """The names that a module of the library gives."""
    if module == "std.verifiers":
        return tuple(sorted(api.standard().verifiers))
    return tuple(sorted(name for name, each in declared().items() if each.module == module))


def setting(name: str) -> Parameter | None:
    """A setting of a stage with one plain value."""
    return next((parameter for parameter in SIMPLE if parameter.name == name), None)
