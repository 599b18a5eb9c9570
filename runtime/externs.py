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
from difflib import get_close_matches
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from numbers import Real
from traceback import walk_tb
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
            place = _place_in(module_name, problem)
            remedy = f"mend it at {place}" if place else _where_modules_are(module_name)
            raise InputWrong(f'"{target}" cannot be loaded: {_said(problem)}: {remedy}') from problem
    function = getattr(module, name, None)
    if not callable(function):
        there = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        near = get_close_matches(name, there, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else f"define it in {module.__file__ or module_name}"
        raise InputWrong(f'"{target}" cannot be loaded: the module {module_name} has no function `{name}`: {remedy}')
    return function  # type: ignore[no-any-return]


def refuse_missing(targets: Iterable[str]) -> None:
    """Raises `InputWrong` for a module that is nowhere, before anything has run."""
    for target in targets:
        module = target.partition(":")[0]
        if _spec_of(target) is None:
            raise InputWrong(f'"{target}" cannot be loaded: no module is called {module}: {_where_modules_are(module)}')


def call(target: str, arguments: Mapping[str, Any]) -> Any:
    """What the function of a target gives. Raises `InputWrong` with what it raised."""
    function = load(target)
    with told_of(target, function):
        return function(**arguments)


def outside(target: str, items: Iterator[Any]) -> Iterator[Any]:
    """What a target's generator gives. Raises `InputWrong` with what it raised."""
    nothing = object()
    while True:
        with told_of(target):
            item = next(items, nothing)
        if item is nothing:
            return
        yield item


@contextmanager
def told_of(target: str, function: Callable[..., Any] | None = None) -> Iterator[None]:
    """Whatever a target's function raises is its author's to see: one sentence, with the line that raised it."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as problem:
        if type(problem).__name__ == "OutOfMemoryError":  # torch's, for any device: nothing that the author did
            raise
        place = _place_in(target.partition(":")[0], problem) or _defined(function)
        where = f" ({place})" if place else ""
        raise InputWrong(f'"{target}" raised {_said(problem)}{where}: mend it, and run again') from problem


def named(target: str, function: Callable[..., Any]) -> str:
    """A function with the place of its definition."""
    place = _defined(function)
    return f'"{target}" ({place})' if place else f'"{target}"'


def _said(problem: BaseException) -> str:
    """What was raised, on one line."""
    return " ".join(f"{type(problem).__name__}: {problem}".split())


def _defined(function: Callable[..., Any] | None) -> str:
    code = getattr(function, "__code__", None)
    return f"{_shown(code.co_filename)}:{code.co_firstlineno}" if code is not None else ""


def _place_in(module: str, problem: BaseException) -> str:
    """The last line of a module that had a part in what was raised, ``loss.py:12``; nothing where none had."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{_shown(problem.filename)}:{problem.lineno}"
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(problem.__traceback__)
        if frame.f_globals.get("__name__") == module
    ]
    return f"{_shown(lines[-1][0])}:{lines[-1][1]}" if lines else ""


def _shown(file: str) -> str:
    """A path as one would name it from here."""
    here = os.getcwd()
    return os.path.relpath(file, here) if file.startswith(here + os.sep) else file


def _where_modules_are(module: str) -> str:
    file = module.replace(".", "/")
    return f"install it, put it on PYTHONPATH, or put {file}.py where the run is started"


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
    spec = _spec_of(target)
    if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
        return None
    with open(spec.origin, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _spec_of(target: str) -> ModuleSpec | None:
    """Where the module of a target is; None where there is none. Nothing of it is run."""
    first, *further = _lineage(target.partition(":")[0])
    with _working_directory_on_path():  # a package that is installed to be edited may have a finder of its own
        found = (finder.find_spec(first, None) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
    for part in further:
        spec = PathFinder.find_spec(part, spec.submodule_search_locations) if spec is not None else None
    return spec


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
