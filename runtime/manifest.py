"""What the store writes about itself: manifests, actions, seals. Any bytes read give a value or `Damage`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler.graph import Json, canonical, digest
from ptc.runtime.fsio import FileDigest

SCHEMA = 1
_HEX = re.compile(r"[0-9a-f]{64}")


class Damage(ValueError):
    """Something in the store is not what it was when it was sealed. The message names the file and what is wrong."""


@dataclass(frozen=True)
class Manifest:
    """The files of an artifact, and nothing about time, path or host: its digest is the artifact's name."""

    type: str
    files: Mapping[str, FileDigest]

    @property
    def document(self) -> dict[str, Json]:
        return {"schema": SCHEMA, "type": self.type, "files": files_document(self.files)}

    @property
    def content(self) -> bytes:
        """The bytes of ``manifest.json``: canonical, so that their SHA-256 is the artifact's digest."""
        return canonical(self.document).encode()

    @property
    def digest(self) -> str:
        return digest(self.document)

    @staticmethod
    def parse(content: bytes) -> Manifest:
        document = _canonical_object(content, "schema", "type", "files")
        if document["schema"] != SCHEMA or not isinstance(document["type"], str):
            raise Damage("manifest of an unknown schema")
        return Manifest(document["type"], _parse_files(document["files"]))


@dataclass(frozen=True)
class Action:
    """That a key's result is an artifact, and where that came from."""

    key_document: Mapping[str, Json]
    artifact: str
    provenance: Mapping[str, Json]

    @property
    def content(self) -> bytes:
        body = self._body()
        return canonical({**body, "sum": digest(body)}).encode()

    def _body(self) -> dict[str, Json]:
        return {
            "schema": SCHEMA,
            "key": dict(self.key_document),
            "artifact": self.artifact,
            "provenance": dict(self.provenance),
        }

    @staticmethod
    def parse(content: bytes) -> Action:
        document = _canonical_object(content, "schema", "key", "artifact", "provenance", "sum")
        if document.pop("sum") != digest(document):
            raise Damage("action whose sum does not fit")
        if document["schema"] != SCHEMA:
            raise Damage("action of an unknown schema")
        if not isinstance(document["key"], dict) or not isinstance(document["provenance"], dict):
            raise Damage("action without key document or provenance")
        return Action(document["key"], _parse_digest(document["artifact"]), document["provenance"])


def seal_content(files: Mapping[str, FileDigest]) -> bytes:
    """The bytes of ``SEAL.json``."""
    body: dict[str, Json] = {"schema": SCHEMA, "files": files_document(files)}
    return canonical({**body, "sum": digest(body)}).encode()


def parse_seal(content: bytes) -> dict[str, FileDigest]:
    document = _canonical_object(content, "schema", "files", "sum")
    if document.pop("sum") != digest(document):
        raise Damage("seal whose sum does not fit")
    return _parse_files(document["files"])


def files_document(files: Mapping[str, FileDigest]) -> dict[str, Json]:
    return {name: [file.sha256, file.size] for name, file in files.items()}


def _canonical_object(content: bytes, *fields: str) -> dict[str, Json]:
    """A JSON object with exactly these fields in exactly the canonical spelling: no byte of it can change unseen."""
    try:
        document = json.loads(content.decode("utf-8"))
        same = isinstance(document, dict) and canonical(document).encode() == content
    except (ValueError, RecursionError) as error:
        raise Damage("not JSON as ptc writes it") from error
    if not same or set(document) != set(fields):
        raise Damage("not as ptc writes it")
    return dict(document)


def _parse_files(value: Json) -> dict[str, FileDigest]:
    if not isinstance(value, dict):
        raise Damage("no list of files")
    return {_parse_name(name): _parse_file(entry) for name, entry in value.items()}


def _parse_file(entry: Json) -> FileDigest:
    if not isinstance(entry, list) or len(entry) != 2 or type(entry[1]) is not int or entry[1] < 0:
        raise Damage("a file without digest and size")
    return FileDigest(_parse_digest(entry[0]), entry[1])


def _parse_digest(value: Json) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise Damage("a digest that is none")
    return value


def _parse_name(name: str) -> str:
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Damage("a file name that leaves its folder")
    return name
