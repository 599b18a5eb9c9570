"""Quick fixes, over the wrong programs of the pages: what is offered helps, and what is unsure is not offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import fences

from ptc.lang.diagnostic import Diagnostic
from ptc.lsp.documents import Document
from ptc.lsp.fixes import Fix, applied, fixes

PAGES = Path(__file__).resolve().parents[2] / "docs" / "errors"
WRONG = {path.stem: found[0].text for path in sorted(PAGES.glob("*.md")) if (found := fences(path.read_text("utf-8")))}


def offered(code: str) -> list[tuple[Document, Diagnostic, Fix]]:
    document = Document("file:///program.pt", "program.pt", WRONG[code])
    own = [each for each in document.result.diagnostics if each.code == code]
    return [(document, diagnostic, fix) for diagnostic in own for fix in fixes(document, diagnostic)]


@pytest.mark.parametrize(
    "code",
    ["L501", "L502", "L503", "L505", "N101", "N103", "N106", "N108", "N112", "N120", "P201", "P202", "P203", "R302",
     "R305", "R309", "R311", "S102", "S105", "S107", "S111", "S118", "T106", "T110", "U101", "U201", "U202", "U204"],
)  # fmt: skip
def test_a_page_that_knows_better_has_a_fix(code: str) -> None:
    assert offered(code)


@pytest.mark.parametrize("code", WRONG)
def test_what_is_offered_helps(code: str) -> None:
    for document, diagnostic, fix in offered(code):
        text = applied(document.source.text, fix.edits)
        after = Document("file:///program.pt", "program.pt", text).result.diagnostics
        assert (diagnostic.code, diagnostic.title) not in {(each.code, each.title) for each in after}, fix
        assert diagnostic.code[0] == "S" or not [each for each in after if each.code[0] == "S"], fix
        assert fix.title and "\n" not in fix.title


@pytest.mark.parametrize("code", ["P204", "R301", "N102", "D402"])
def test_what_is_unsure_is_not_offered(code: str) -> None:
    """Two places to change, a name to choose, another command to run: nobody can press a key for that."""
    assert not offered(code)


def edit(program: str, wrong: str, fixed: str, title: str) -> None:
    document = Document("file:///program.pt", "program.pt", program + wrong)
    found = {fix.title: fix for each in document.result.diagnostics for fix in fixes(document, each)}
    assert applied(document.source.text, found[title].edits) == program + fixed


HEAD = """\
edition 2026
from std.objectives import grpo
from std.verifiers  import exact
source tasks = gym("chain_sum", size = 1_000) |> prompts(.question, answer = .answer)
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))
"""
STAGE = """\
stage warm {
  train policy = base
  source rollouts = tasks
    |> sample(base, n = 4, temperature = 0.9, max_tokens = 64)
    |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-6)
  batch     = 32 prompts
}
"""


def test_a_step_keeps_the_arguments_that_nobody_spoke_of() -> None:
    wrong = STAGE.replace("}\n", "  budget    = 10 steps\n}\n")
    fixed = wrong.replace("sample(base, n = 4, temperature = 0.9", "sample(policy, n = 4, temperature = 0.9")
    edit(HEAD, wrong, fixed, "Write `|> sample(policy, n = 4)`")


def test_a_setting_stands_under_the_others() -> None:
    wrong = STAGE.replace("sample(base", "sample(policy")
    edit(HEAD, wrong, wrong.replace("}\n", "  budget    = 100 steps\n}\n"), "Write `budget = 100 steps`")
