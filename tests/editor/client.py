"""A client of the language server: JSON-RPC over the pipes of a child process, one message at a time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PATIENCE = 60
"""Seconds to wait for an answer."""


class Refusal(Exception):
    """The server answered with an error."""


class Client:
    """Starts `ptc lsp` and talks to it."""

    def __init__(self, root: Path, encodings: list[str] | None = None, snippets: bool = True) -> None:
        self.root = root
        command = [sys.executable, "-X", "importtime", "-m", "ptc", "lsp"]
        self.log = root / "stderr.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=os.environ | {"TERM": "dumb"}
            )
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._ids = 0
        self.published: list[dict[str, Any]] = []
        self.shown: list[dict[str, Any]] = []
        completion = {"completionItem": {"snippetSupport": snippets}}
        capabilities: dict[str, Any] = {"textDocument": {"completion": completion}}
        if encodings is not None:
            capabilities["general"] = {"positionEncodings": encodings}
        asked = {"processId": None, "rootUri": root.as_uri(), "capabilities": capabilities}
        self.capabilities: dict[str, Any] = self.request("initialize", asked)["capabilities"]
        self.notify("initialized", {})

    # Talking ---------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        out = self.process.stdout
        assert out is not None
        while head := out.readline():
            length = int(head.split(b":")[1]) if head.lower().startswith(b"content-length") else 0
            while line := out.readline().strip():
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            self._messages.put(json.loads(out.read(length)))

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        message = self._messages.get(timeout=PATIENCE)
        if message.get("method") == "textDocument/publishDiagnostics":
            self.published.append(message["params"])
        elif message.get("method") in ("window/showMessage", "window/logMessage"):
            self.shown.append(message["params"])
        return message

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        self._ids += 1
        self._send({"id": self._ids, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._ids and "method" not in message:
                if "error" in message:
                    raise Refusal(message["error"]["message"])
                return message["result"]

    def leave(self) -> int:
        """Says good-bye; the exit code of the server."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(timeout=PATIENCE)

    # Files -----------------------------------------------------------------------------------------------------------

    def open(self, name: str, text: str) -> File:
        return File(self, name, text)


class File:
    """A file that is open in the editor. Every change waits for its diagnostics."""

    def __init__(self, client: Client, name: str, text: str) -> None:
        self.client, self.name, self.text, self.version = client, name, text, 1
        self.uri = (client.root / name).as_uri()
        item = {"uri": self.uri, "languageId": "ptc", "version": 1, "text": text}
        self.forget()
        client.notify("textDocument/didOpen", {"textDocument": item})
        self.diagnostics = self.diagnosed()

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """The diagnostics that are no notes."""
        return [each for each in self.diagnostics if each["severity"] < 3]

    def write(self, text: str) -> list[dict[str, Any]]:
        """The whole text anew; what is wrong with it."""
        self.text, self.version = text, self.version + 1
        changed = {"textDocument": {"uri": self.uri, "version": self.version}, "contentChanges": [{"text": text}]}
        self.forget()
        self.client.notify("textDocument/didChange", changed)
        self.diagnostics = self.diagnosed()
        return self.wrong

    def replace(self, old: str, new: str) -> list[dict[str, Any]]:
        assert self.text.count(old) == 1, (old, self.text.count(old))
        return self.write(self.text.replace(old, new))

    def close(self) -> None:
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": self.uri}})

    def forget(self) -> None:
        """Leaves out of account what was published before."""
        self.client.published = [each for each in self.client.published if each["uri"] != self.uri]

    def diagnosed(self) -> list[dict[str, Any]]:
        """What the server publishes next of this version."""
        while True:
            for published in self.client.published:
                if published["uri"] == self.uri and published.get("version") == self.version:
                    found: list[dict[str, Any]] = published["diagnostics"]
                    return found
            self.client._next()

    # Places ----------------------------------------------------------------------------------------------------------

    def position(self, mark: str, shift: int = 0) -> dict[str, int]:
        """Where a part of the text begins, which must be in it once (``shift`` characters on)."""
        assert self.text.count(mark) == 1, (mark, self.text.count(mark))
        before = self.text[: self.text.index(mark) + shift]
        line = before.count("\n")
        return {"line": line, "character": len(before) - (before.rfind("\n") + 1)}

    def end(self) -> dict[str, int]:
        return {"line": self.text.count("\n"), "character": len(self.text) - (self.text.rfind("\n") + 1)}

    def at(self, place: dict[str, Any]) -> str:
        """The text in a range."""
        return self.text[self._offset(place["start"]) : self._offset(place["end"])]

    def _offset(self, position: dict[str, int]) -> int:
        lines = self.text.split("\n")
        return sum(len(line) + 1 for line in lines[: position["line"]]) + position["character"]

    def edited(self, edits: list[dict[str, Any]]) -> str:
        """The text after some edits, which may not overlap."""
        text = self.text
        for edit in sorted(edits, key=lambda edit: self._offset(edit["range"]["start"]), reverse=True):
            start, end = self._offset(edit["range"]["start"]), self._offset(edit["range"]["end"])
            text = text[:start] + edit["newText"] + text[end:]
        return text

    # Asking ----------------------------------------------------------------------------------------------------------

    def ask(self, feature: str, position: dict[str, int] | None = None, **more: Any) -> Any:
        params: dict[str, Any] = {"textDocument": {"uri": self.uri}, **more}
        if position is not None:
            params["position"] = position
        return self.client.request(f"textDocument/{feature}", params)

    def hover(self, mark: str, shift: int = 0) -> str | None:
        found = self.ask("hover", self.position(mark, shift))
        return None if found is None else str(found["contents"]["value"])

    def proposals(self, position: dict[str, int] | None = None, typed: str | None = None) -> dict[str, dict[str, Any]]:
        context = {"triggerKind": 2, "triggerCharacter": typed} if typed else {"triggerKind": 1}
        found = self.ask("completion", position or self.end(), context=context)
        return {item["label"]: item for item in sorted(found, key=lambda item: str(item["sortText"]))}

    def fixes(self, diagnostic: dict[str, Any]) -> dict[str, str]:
        """The quick fixes of a finding: the text after each, by its title."""
        actions = self.ask("codeAction", range=diagnostic["range"], context={"diagnostics": [diagnostic]})
        return {action["title"]: self.edited(action["edit"]["changes"][self.uri]) for action in actions}
