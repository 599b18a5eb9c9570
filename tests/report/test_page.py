"""The page: one file, the same bytes for the same report, and nothing in it that a text could have put there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from attacks import ATTACKS
from reports import handmade

from ptc.report.document import Report
from ptc.report.page import page

TOGETHER = ["\n".join(ATTACKS[place::8]) for place in range(8)]
"""All attacks, in eight texts."""


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attributes)))
        self.links += [value or "" for name, value in attributes if name in ("href", "src", "xlink:href", "action")]
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


def test_the_policy_allows_one_script_by_its_digest_and_no_address() -> None:
    text = page(handmade())
    found = Structure(text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None and policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    own, *data = found.scripts
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1] and "unsafe-eval" not in policy[1]
    assert len(data) == 1 and "innerHTML" not in own and "eval(" not in own
    assert all(link.startswith("#") for link in found.links)
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]+"', "", text) and "https://" not in text


@pytest.mark.parametrize("state", ["done", "failed", "running"])
def test_no_text_becomes_markup(state: str) -> None:
    """A page full of attacks has exactly the elements and attributes of one that is full of a plain word."""
    plain = Structure(page(handmade("plain", state))).elements
    for attacks in TOGETHER if state == "done" else ["\n".join(ATTACKS)]:
        assert Structure(page(handmade(attacks, state))).elements == plain, attacks


def test_prompts_are_handed_over_as_they_are() -> None:
    for attacks in TOGETHER:
        (_, data) = Structure(page(handmade(attacks))).scripts
        assert json.loads(data)["prompts"][0][0] == f"{attacks} 0"


def test_the_same_report_gives_the_same_page() -> None:
    first, second = (re.sub(r"As of [^<]+", "", page(handmade())) for _ in range(2))
    assert first == second


def test_a_page_reloads_itself_only_while_its_run_goes_on() -> None:
    assert 'data-live="3000"' in page(handmade(state="running"), live=3.0)
    assert "data-live=" not in page(handmade())


def test_what_a_stage_undid_stands_below_its_eval() -> None:
    assert "undid</strong>" in page(handmade())


def test_a_figure_of_evidence_has_its_interval_or_the_reason_for_having_none() -> None:
    text = page(handmade("other vocabulary"))
    assert "0.19 <small>[0.16, 0.22]</small>" in text and "<small>– other vocabulary</small>" in text


def test_the_document_reads_back() -> None:
    made = handmade()
    assert Report.model_validate_json(made.model_dump_json()) == made


def test_what_is_empty_is_left_out() -> None:
    made = handmade()
    nothing = {
        "claims": made.claims.model_copy(update={"claims": (), "gates": ()}),
        "ledger": made.ledger.model_copy(update={"evals": ()}),
        "curves": made.curves.model_copy(update={"pairs": ()}),
        "evidence": made.evidence.model_copy(update={"evals": ()}),
        "prompts": made.prompts.model_copy(update={"evals": ()}),
        "training": made.training.model_copy(update={"stages": ()}),
        "attention": made.attention.model_copy(update={"remarks": ()}),
    }
    text = page(made.model_copy(update=nothing))
    assert "No stage of this program claims anything." in text and 'id="prompts"' not in text
    assert 'id="evidence"' not in text
