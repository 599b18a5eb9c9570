"""``--set NAME=V1,V2,…`` as a list of settings: every combination, or pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from ptc.runtime.artifacts import InputWrong

_OPENING, _CLOSING = "([{", ")]}"


def values(text: str) -> list[str]:
    """The values between commas; commas inside brackets and quotes belong to a value."""
    found, depth, quoted, start = [], 0, False, 0
    for place, char in enumerate(text):
        if char == '"' and text[place - 1 : place] != "\\":
            quoted = not quoted
        elif not quoted and char in _OPENING:
            depth += 1
        elif not quoted and char in _CLOSING:
            depth -= 1
        elif not quoted and depth == 0 and char == ",":
            found.append(text[start:place].strip())
            start = place + 1
    return [*found, text[start:].strip()]


def grid(settings: Mapping[str, str], paired: bool) -> list[dict[str, str]]:
    """All settings of a sweep. Raises `InputWrong`."""
    lists = {name: values(text) for name, text in settings.items()}
    for name, found in lists.items():
        twice = next((value for place, value in enumerate(found) if value in found[:place]), None)
        if "" in found:
            raise InputWrong(f"--set {name}={settings[name]}: there is no value between two commas")
        if twice is not None:
            raise InputWrong(f"--set {name}={settings[name]}: `{twice}` stands there twice")
    if not paired:
        return [dict(zip(lists, each, strict=True)) for each in product(*lists.values())]
    several = {name: found for name, found in lists.items() if len(found) > 1}
    lengths = {len(found) for found in several.values()}
    if len(lengths) > 1:
        counts = ", ".join(f"{name} has {len(found)}" for name, found in several.items())
        raise InputWrong(f"--zip pairs values, and there are not as many of each: {counts}")
    count = lengths.pop() if lengths else 1
    return [{name: found[place if len(found) > 1 else 0] for name, found in lists.items()} for place in range(count)]


def seeds(count: int | None, given: str | None, first: int) -> list[int]:
    """``--seeds 3`` are the default seed and the two after it; ``--set seed=0,1,2`` names them. Raises `InputWrong`."""
    if given is None:
        return [first + each for each in range(count or 1)]
    if count is not None:
        raise InputWrong("--seeds counts seeds, and --set seed=… names them: leave one of them out")
    found: Sequence[str] = values(given)
    wrong = next((each for each in found if not each.isdecimal()), None)
    if wrong is not None or len(set(found)) < len(found):
        raise InputWrong(f"--set seed={given}: seeds are different whole numbers")
    return [int(each) for each in found]
