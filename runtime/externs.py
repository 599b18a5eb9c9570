"""Python outside of ptc that a program names by `extern`: looked up, loaded, and what its functions give.

A target is ``module:function``. Modules are looked for where Python looks, and last in the working directory. Whether a
run may load them at all is decided before it starts (`compiler.permissions`).
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from numbers import Real
from typing import Any

from ptc.runtime.artifacts import InputWrong
from ptc.stdlib.verifiers import PASS, WRONG, Error, Graded, Refused, Verdict


def load(target: str) -> Callable[..., Any]:
    """The function of a target. Raises `InputWrong` if the module cannot be imported, or has no such function."""
    module_name, _, name = target.partition(":")
    with _working_directory_on_path():
        try:
            module = import_module(module_name)
        except Exception as problem:  # a module may run into anything while it is imported
            raise InputWrong(f'"{target}" cannot be loaded: {type(problem).__name__}: {problem}') from problem
    function = getattr(module, name, None)
    if not callable(function):
        raise InputWrong(f'"{target}" cannot be loaded: the module {module_name} has no function `{name}`')
    return function  # type: ignore[no-any-return]


def call(target: str, arguments: Mapping[str, Any]) -> Any:
    """What the function of a target gives. Raises `InputWrong` with what it raised."""
    function = load(target)
    with _told_of(target):
        return function(**arguments)


def outside(target: str, items: Iterator[Any]) -> Iterator[Any]:
    """What a target's generator gives. Raises `InputWrong` with what it raised."""
    nothing = object()
    while True:
        with _told_of(target):
            item = next(items, nothing)
        if item is nothing:
            return
        yield item


@contextmanager
def _told_of(target: str) -> Iterator[None]:
    try:
        yield
    except Exception as problem:  # whatever the user's function raises is the user's to see
        raise InputWrong(f'"{target}" raised {type(problem).__name__}: {problem}') from problem


def verdict_of(value: Any) -> Verdict:
    """The verdict that a verifier's value is: a truth or a number; None where it has nothing to say."""
    if value is None:
        return Refused("no score was given")
    if isinstance(value, bool):
        return PASS if value else WRONG
    if isinstance(value, Real) and math.isfinite(value):
        return Graded(float(value))
    return Error("not a finite number" if isinstance(value, Real) else f"{type(value).__name__} instead of a number")


def digest_of(target: str) -> str | None:
    """SHA-256 of the file that a target's module is, found without running anything; None where there is none.

    It stands in keys: a function that was rewritten is another one.
    """
    path: Iterable[str] | None = [*sys.path, os.getcwd()]
    spec: ModuleSpec | None = None
    for part in _lineage(target.partition(":")[0]):
        spec = PathFinder.find_spec(part, list(path) if path is not None else None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
        return None
    with open(spec.origin, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _lineage(module: str) -> list[str]:
    """``a``, ``a.b``, … up to the module itself."""
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


@contextmanager
def _working_directory_on_path() -> Iterator[None]:
    """Last, so that no file there hides an installed module."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
