"""A real browser that looks at pages, and takes down what they do that they should not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Watched:
    """A page of the browser, and what it did that it should not."""

    page: Any
    problems: list[str] = field(default_factory=list)

    def open(self, path: Path) -> Watched:
        self.page.on("console", lambda said: self.problems.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda asked: self._asked(asked.url))
        self.page.goto(path.absolute().as_uri())
        return self

    def _asked(self, address: str) -> None:
        if not address.startswith(("file:", "data:")):
            self.problems.append(f"asked for {address}")

    def cells(self, column: int) -> list[str]:
        found: list[str] = self.page.locator(f".prompts tbody tr.row td:nth-child({column})").all_text_contents()
        return found

    @property
    def width(self) -> int:
        found: int = self.page.evaluate("document.documentElement.scrollWidth")
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, headless. The tests that want it are skipped where it, or playwright, is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(browser: Any, path: Path, width: int = 1440, scheme: str = "light") -> Watched:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    return Watched(context.new_page()).open(path)
