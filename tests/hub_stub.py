"""A local server that answers as the Hugging Face hub does, as far as `huggingface_hub` and `datasets` ask it.

Repositories are folders. A name may be gated, private or unauthorised, a file may break off in the middle.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

API = re.compile(
    r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/?]+)(?:/([^?]*))?)?(?:\?.*)?$"
)
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)(?:\?.*)?$")
REFUSALS: dict[str, tuple[int, str, str]] = {
    "gated": (403, "GatedRepo", "Access to this repository is restricted. Visit its page to ask for access."),
    "private": (401, "RepoNotFound", "Repository not found"),
    "missing": (404, "RepoNotFound", "Repository not found"),
    "unauthorised": (401, "", "Invalid credentials in Authorization header"),
    "busy": (503, "", "Service Unavailable"),
}
"""Status, code and message with which the hub refuses."""


@dataclass
class Hub:
    """What the server has."""

    models: dict[str, Path] = field(default_factory=dict)
    datasets: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Names that are answered with one of `REFUSALS`."""
    breaks: dict[str, int] = field(default_factory=dict)
    """File name to the number of times that its download ends in the middle."""
    asked: list[str] = field(default_factory=list)
    """Method and path of every request, with the range where one is asked for."""
    url: str = ""

    def folder(self, kind: str, name: str) -> Path | None:
        return (self.datasets if kind == "datasets" else self.models).get(name)


def commit(folder: Path) -> str:
    """What stands for a commit: a digest of everything in a folder."""
    found = hashlib.sha1(usedforsecurity=False)
    for path in files(folder):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


class Handler(BaseHTTPRequestHandler):
    """One request."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._note()
        if (found := API.match(self.path)) is not None:
            self._api(*found.groups())
        elif (found := RESOLVE.match(self.path)) is not None:
            self._file("datasets" if found[1] else "models", found[2], found[3], found[4])
        else:
            self._refuse(404, "", "Not Found")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = API.match(self.path)
        if found is None or found[3] != "paths-info":
            self._refuse(404, "", "Not Found")
            return
        wanted = json.loads(body)["paths"]
        folder = self._open(found[1], found[2], found[4])
        if folder is not None:
            self._json([entry for entry in entries(folder, folder, recursive=True) if entry["path"] in wanted])

    def _note(self) -> None:
        asked = f"{self.command} {self.path}"
        self.hub.asked.append(asked + (f" {self.headers['Range']}" if "Range" in self.headers else ""))

    def _api(self, kind: str, name: str, what: str | None, revision: str | None, path: str | None) -> None:
        folder = self._open(kind, name, revision or "main")
        if folder is None:
            return
        if what == "tree":
            below = folder / (path or "")
            if not below.is_dir():
                self._refuse(404, "EntryNotFound", f"{path} does not exist on this revision")
                return
            self._json(entries(folder, below, recursive="recursive=true" in self.path.lower()))
            return
        siblings = [{"rfilename": str(each.relative_to(folder))} for each in files(folder)]
        about = {"id": name, "sha": commit(folder), "private": False, "gated": False, "disabled": False}
        self._json({**about, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings})

    def _open(self, kind: str, name: str, revision: str) -> Path | None:
        """The folder of a repository; None after a refusal."""
        if name in self.hub.refused:
            self._refuse(*REFUSALS[self.hub.refused[name]])
            return None
        folder = self.hub.folder(kind, name)
        if folder is None:  # without a token the hub does not say whether a repository is private or not there
            self._refuse(*REFUSALS["private"])
            return None
        if revision not in ("main", commit(folder)):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return folder

    def _file(self, kind: str, name: str, revision: str, file: str) -> None:
        folder = self._open(kind, name, revision)
        if folder is None:
            return
        path = folder / file
        if not path.is_file():
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit(folder)})
            return
        content = path.read_bytes()
        first = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["", "0"])[1])
        self.send_response(206 if first else 200)
        self.send_header("X-Repo-Commit", commit(folder))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.breaks.get(path.name, 0):
            self.hub.breaks[path.name] -= 1
            self.wfile.write(content[first : first + (len(content) - first) // 2])
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(content[first:])

    def _json(self, document: Any) -> None:
        self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        named = {"X-Error-Code": code} if code else {}
        text = json.dumps({"error": message}).encode()
        self._answer(status, text, {**named, "X-Error-Message": message, **(headers or {})})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def entries(folder: Path, below: Path, recursive: bool) -> list[dict[str, Any]]:
    """What a listing says of files and folders."""
    found = files(below) if recursive else sorted(below.iterdir())
    return [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": str(path.relative_to(folder))}
        if path.is_dir()
        else {
            "type": "file",
            "oid": hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(),
            "size": path.stat().st_size,
            "path": str(path.relative_to(folder)),
        }
        for path in found
    ]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub, at `hub.url` while the context lasts."""
    handler = type("OfHub", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
