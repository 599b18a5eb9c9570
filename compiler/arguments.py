"""Calls: which argument fills which parameter, and the values that arguments may have.

A signature says for each parameter what *kind* of thing fills it. Binding reports unknown, missing and surplus
arguments with what the user probably meant, TRL's names included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ptc.compiler.findings import Findings, at
from ptc.compiler.names import Place, hint, known_elsewhere, lookup
from ptc.compiler.translation import as_setting, assigned, text_of
from ptc.compiler.unneeded import answer
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

BOUND_BY = {"Trained": "train", "Anchor": "freeze", "Frozen": "freeze"}
"""The words that bind a model to a role, by the type that an objective asks for."""


@dataclass(frozen=True)
class Parameter:
    """`kind` is what may fill it: ``real``, ``int``, ``share``, ``text``, ``tokens``, ``steps``, ``row``, ``source``,
    ``model``, ``tokenizer``, ``verifier``, ``flag``, ``reals``, ``warmup``; `choices` close a ``text``."""

    name: str
    kind: str
    default: object = ...
    """``...`` where an argument must be given."""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    optional: bool = False
    """Whether `none` fills it too."""

    @property
    def required(self) -> bool:
        return self.default is ...


@dataclass(frozen=True)
class Signature:
    """What may be given to a step, a constructor or a setting, in order and by name."""

    name: str
    parameters: tuple[Parameter, ...]
    others: str | None = None
    """The kind of further named arguments, where any name is welcome."""
    example: str = ""
    """A call as a program writes it, for those who have left something out."""


@dataclass(frozen=True)
class Bound:
    """The arguments of one call by parameter name; what was not given is not in it."""

    given: Mapping[str, ast.Expr]
    others: Mapping[str, ast.Expr]
    spans: Mapping[str, Span]
    whole: bool
    """False if something about the arguments was wrong and has been reported."""


@dataclass
class _Binding:
    """A signature as it is being filled."""

    signature: Signature
    given: dict[str, ast.Expr] = field(default_factory=dict)
    others: dict[str, ast.Expr] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    by_name: set[str] = field(default_factory=set)
    meant: set[str] = field(default_factory=set)
    """Parameters that a misspelled argument probably meant: they are not reported as missing as well."""
    unknown: int = 0
    """Arguments that are not there, and resemble none that are."""
    whole: bool = True


def bind(signature: Signature, arguments: Sequence[ast.Argument], call: Span, findings: Findings) -> Bound:
    """Fills the parameters of `signature` in order, then by name."""
    binding = _Binding(signature)
    positional = [argument for argument in arguments if argument.name is None]
    for parameter, argument in zip(signature.parameters, positional, strict=False):
        binding.given[parameter.name] = argument.value
        binding.spans[parameter.name] = argument.span
    for extra in positional[len(signature.parameters) :]:
        binding.whole = False
        _too_many(signature, extra, findings)
    for argument in arguments:
        if argument.name is not None:
            _bind_named(binding, argument, argument.name, findings)
    missing = [one for one in signature.parameters if one.required and one.name not in binding.given]
    binding.whole &= not missing
    unexplained = [parameter for parameter in missing if parameter.name not in binding.meant]
    if len(unexplained) > binding.unknown:  # otherwise they have been given under names that are not theirs
        for parameter in unexplained:
            _missing(signature, parameter, call, findings)
    return Bound(binding.given, binding.others, binding.spans, binding.whole)


def _bind_named(binding: _Binding, argument: ast.Argument, name: ast.Name, findings: Findings) -> None:
    known = {parameter.name for parameter in binding.signature.parameters}
    if name.id in binding.given or name.id in binding.others:
        binding.whole = False
        if name.id not in binding.by_name:  # twice by name is a mistake of spelling, which the parser reports
            findings.add(
                "N102",
                f"argument `{name.id}` is given twice",
                [at(name.span, "given again by name"), at(binding.spans[name.id], f"given here as `{name.id}`")],
                helps=["leave one of them out"],
            )
    elif name.id in known:
        binding.given[name.id] = argument.value
        binding.spans[name.id] = argument.span
        binding.by_name.add(name.id)
    elif binding.signature.others is not None:
        binding.others[name.id] = argument.value
        binding.spans[name.id] = argument.span
        binding.by_name.add(name.id)
    else:
        binding.whole = False
        meant = _unknown(binding.signature, argument, name, findings)
        binding.meant |= meant
        binding.unknown += not meant


def listed(
    where: Place,
    name: str,
    kind: str,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    optional: bool = False,
) -> Parameter:
    """A parameter whose default stands in the table of names."""
    row = lookup(where, name)
    assert row is not None, f"{where}.{name} is not in the table of names"
    return Parameter(name, kind, ... if row.required else row.default, choices, least, most, optional)


def _unknown(signature: Signature, argument: ast.Argument, name: ast.Name, findings: Findings) -> set[str]:
    """Reports an argument that is not there; the parameters that it probably meant."""
    known = [parameter.name for parameter in signature.parameters]
    row, said = known_elsewhere(name.id, signature.name), answer(name.id, text_of(argument.value))
    meant, helps = closest(name.id, known), list[str]()
    title = f"`{signature.name}` has no argument `{name.id}`"
    if row is not None:
        title, meant = hint(name.id, signature.name) or title, row.ours
        around = {name.id: argument.value}
        helps = [assigned(row, name.id, argument.value)] if meant in known else as_setting(row, name.id, around)
    elif said is not None:
        title, helps = said
    elif meant:
        helps = [f"did you mean `{meant}`?"]
    notes = [f"its arguments are {', '.join(f'`{word}`' for word in known)}"] if known else []
    findings.add("N103", title, [at(name.span, f"not an argument of `{signature.name}`")], notes, helps)
    return {meant} if meant else set()


def _too_many(signature: Signature, extra: ast.Argument, findings: Findings) -> None:
    count = len(signature.parameters)
    takes = {0: "no arguments", 1: "one argument"}.get(count, f"{count} arguments")
    findings.add(
        "N109",
        f"`{signature.name}` takes {takes} by position",
        [at(extra.span, "one too many")],
        [f"they are {', '.join(f'`{p.name}`' for p in signature.parameters)}"] if count else [],
    )


def _missing(signature: Signature, parameter: Parameter, call: Span, findings: Findings) -> None:
    verb = BOUND_BY.get(parameter.kind)
    bound = [f"{verb} {parameter.name} = …", f"{signature.name}(…, {parameter.name})"] if verb is not None else []
    findings.add(
        "N104",
        f"`{signature.name}` needs `{parameter.name}`",
        [at(call, f"`{parameter.name}` is not given")],
        helps=bound or [signature.example or f"{parameter.name} = …"],
    )
