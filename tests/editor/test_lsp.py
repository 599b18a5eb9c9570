"""The language server, driven as an editor drives it: a real process, over its pipes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client, File, Refusal

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (ROOT / "examples" / "spelling.pt").read_text(encoding="utf-8")
HEAD = """\
edition 2026
from std.objectives import sft, grpo
from std.verifiers  import exact

source tasks = gym("chain_sum", size = 1_000) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)

## What everything starts from.
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))
eval skill = pass_rate(tasks, exact)
"""
STAGE = """
stage warm {
  train policy = base
  source rollouts = tasks |> sample(policy, n = 8) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-4)
  batch     = 32 prompts
  budget    = 100 steps
}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    started = Client(tmp_path_factory.mktemp("workspace"))
    yield started
    assert started.leave() == 0
    assert not started.shown, "the server had an error of its own"
    log = started.log.read_text()
    imported = {
        line.rsplit("|", 1)[1].strip().split(".")[0] for line in log.splitlines() if line.startswith("import time")
    }
    assert "pygls" in imported
    assert not imported & {"torch", "transformers", "numpy", "networkx", "pydantic"}
    assert "Traceback" not in log


@pytest.fixture
def file(client: Client, request: pytest.FixtureRequest) -> Iterator[File]:
    opened = client.open(f"{request.node.name.split('[')[0]}.pt", PROGRAM)
    yield opened
    opened.close()


def begun(client: Client, text: str) -> File:
    """A file whose text goes up to the cursor."""
    return client.open("begun.pt", text)


# Diagnostics ---------------------------------------------------------------------------------------------------------


def test_open_break_fix(file: File) -> None:
    assert file.wrong == []
    (found,) = file.replace("sample(policy, n = 8", "sample(cold_start, n = 8")
    assert (found["code"], found["severity"], found["source"]) == ("P201", 1, "ptc")
    assert file.at(found["range"]) == "rollouts"
    assert found["message"].startswith("`grpo` must learn from rollouts of the policy it trains\nhere: ")
    assert "help: " in found["message"]
    assert found["codeDescription"]["href"].endswith("P201.md")
    related = {file.at(each["location"]["range"]): each["message"] for each in found["relatedInformation"]}
    assert any("weights" in message for message in related.values())
    assert file.replace("sample(cold_start, n = 8", "sample(policy, n = 8") == []


def test_several_mistakes_are_several_diagnostics_where_they_stand(file: File) -> None:
    found = file.write(
        PROGRAM.replace("watch skill every 50 steps", "watch skil every 50 steps").replace(
            "batch     = 64 samples", "batch     = 64"
        )
    )
    assert [(each["code"], file.at(each["range"])) for each in found] == [("N101", "skil"), ("U201", "64")]


def test_severities(client: Client) -> None:
    file = client.open("severities.pt", HEAD + 'model other = hf.model("org/none")\n')
    assert ("D402", 3) in {(each["code"], each["severity"]) for each in file.diagnostics}


def test_what_is_unused_is_faded(client: Client) -> None:
    file = client.open(
        "unused.pt", HEAD + STAGE.replace("  source rollouts", "  freeze reference = base\n  source rollouts")
    )
    (found,) = [each for each in file.diagnostics if each["code"] == "R302"]
    assert (found["severity"], found["tags"]) == (2, [1])


def test_an_empty_file_is_no_mistake(client: Client) -> None:
    assert client.open("empty.pt", "").wrong == client.open("blank.pt", "\n\n").wrong == []


def test_a_checkpoint_is_told_apart(client: Client) -> None:
    (found,) = client.open("weights.pt", "PK\x03\x04archive/data.pkl").diagnostics
    assert found["code"] == "S151"


def test_lines_of_windows(client: Client) -> None:
    file = client.open("windows.pt", PROGRAM.replace("batch     = 64 samples", "batch     = 64").replace("\n", "\r\n"))
    (found,) = file.diagnostics
    line = PROGRAM[: PROGRAM.index("batch     = 64 samples")].count("\n")
    assert found["range"] == {"start": {"line": line, "character": 14}, "end": {"line": line, "character": 16}}


@pytest.mark.parametrize(("encodings", "units"), [(None, 2), (["utf-8"], 4), (["utf-32"], 1), (["utf-8", "utf-16"], 2)])
def test_columns_are_counted_as_the_client_counts(tmp_path: Path, encodings: list[str] | None, units: int) -> None:
    client = Client(tmp_path, encodings)
    if encodings == ["utf-8", "utf-16"]:
        units = {"utf-8": 4, "utf-16": 2}[client.capabilities["positionEncoding"]]
    before = 'source t = gym("🦜", size = 3) |> '
    found = {each["code"]: each["range"] for each in client.open("wide.pt", before + "tke(3)\n").diagnostics}
    assert found["N108"]["start"] == {"line": 0, "character": len(before) - 1 + units}
    asked = client.open("wide.pt", before + "take(3)\n").ask("hover", found["N108"]["start"])
    assert asked["contents"]["value"].startswith("```ptc\ntake(count)")
    assert asked["range"]["start"] == found["N108"]["start"]
    assert client.leave() == 0


def test_letters_that_follow_each_other_are_checked_once(file: File) -> None:
    count = 40
    for number in range(count):
        text = PROGRAM + "# " + "a" * number
        file.version += 1
        changed = {"uri": file.uri, "version": file.version}
        file.client.notify("textDocument/didChange", {"textDocument": changed, "contentChanges": [{"text": text}]})
    file.diagnosed()
    versions = [each["version"] for each in file.client.published if each["uri"] == file.uri]
    assert versions[-1] == count + 1 and len(versions) < count / 2


def test_a_data_file_is_looked_at_again_when_something_changes(client: Client) -> None:
    (client.root / "rows.jsonl").unlink(missing_ok=True)
    text = 'edition 2026\nsource rows = jsonl("rows.jsonl") |> prompts(.question, answer = .solution)\n'
    file = client.open("reads.pt", text)
    assert "D402" in {each["code"] for each in file.diagnostics}
    (client.root / "rows.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
    file.forget()
    client.notify("workspace/didChangeWatchedFiles", {"changes": []})
    assert [each["code"] for each in file.diagnosed() if each["severity"] == 1] == ["T101"]


def test_a_file_beside_is_read_again_when_it_is_saved(client: Client) -> None:
    beside = client.root / "helper.pt"
    beside.write_text("edition 2026\nlet rate = 1e-4\n")
    file = client.open("main.pt", HEAD + "from .helper import rate, more\n" + STAGE)
    assert [each["code"] for each in file.wrong] == ["N101"]
    beside.write_text("edition 2026\nlet rate = 1e-4\nlet more = 2\n")
    file.forget()
    client.notify("textDocument/didSave", {"textDocument": {"uri": file.uri}})
    assert "N101" not in {each["code"] for each in file.diagnosed()}


# Hover ---------------------------------------------------------------------------------------------------------------


def test_hover_shows_type_provenance_and_regime(file: File) -> None:
    about = file.hover("rollouts, policy, clip_high")
    assert about is not None
    assert "Trajectories{prompt, answer, group, response, logprobs, reward}" in about
    assert "by reasoner.policy" in about
    assert "to `reasoner.policy`: on-policy (lag 0)" in about
    lessons = file.hover("lessons, student")
    assert lessons is not None and "kept where reward = 1" in lessons
    assert "to `primed.student`: off-policy: other model (reasoner)" in lessons


@pytest.mark.parametrize(
    ("mark", "shift", "words"),
    [
        ("base = new", 0, "A policy small enough to train from scratch on a laptop."),
        ("train student = new", 0, "receives gradient"),
        ("reshapes skill", 1, "likelier"),
        ("sample(reasoner", 0, "max_lag = 0 steps"),
        ("clip_high = 0.28", 0, "`epsilon_high`"),
        ("warmup = 3%, schedule = \"linear\")\n  batch     = 64", 0, "A share of the budget"),
        (".word, answer", 2, "column"),
        ("450 steps", 1, "Optimizer steps"),
        ("std.verifiers", 5, "`exact`"),
        ("grpo, reverse_kl", 0, "Shao et al., 2024"),
        ("budget    = 450", 0, "How long the stage runs"),
        ("informative_rate", 3, "share of prompts"),
    ],
)  # fmt: skip
def test_hover_documents_words(file: File, mark: str, shift: int, words: str) -> None:
    about = file.hover(mark, shift)
    assert about is not None and words in about


def test_hover_is_silent_where_there_is_nothing(file: File) -> None:
    assert file.hover("# 2. Make them likely", 5) is None
    assert file.hover('"spell_backward"', 3) is None


# Going ---------------------------------------------------------------------------------------------------------------


def target(found: Any, file: File) -> str:
    assert found["uri"] == file.uri
    return file.at(found["range"])


def test_definition(file: File) -> None:
    found = file.ask("definition", file.position("reasoner, n = 2"))
    assert target(found, file) == "reasoner"
    assert found["range"]["start"] == file.position("reasoner reshapes")
    role = file.ask("definition", file.position("policy, n = 8"))
    assert role["range"]["start"]["line"] == file.position("source rollouts")["line"] - 1


def test_definition_in_the_library(file: File) -> None:
    found = file.ask("definition", file.position("grpo(rollouts"))
    path = Path(found["uri"].removeprefix("file://"))
    line = path.read_text().splitlines()[found["range"]["start"]["line"]]
    assert path.name == "grpo.pt" and line.startswith("objective grpo(")
    argument = file.ask("definition", file.position("clip_high = 0.28"))
    line = path.read_text().splitlines()[argument["range"]["start"]["line"]]
    assert line.strip().startswith("clip_high:")
    verifier = file.ask("definition", file.position("exact, n = 16"))
    assert verifier["uri"].endswith("verifiers.py")


def test_definition_in_a_file_beside(client: Client) -> None:
    (client.root / "shared.pt").write_text("edition 2026\nlet pace = 1e-4\n")
    text = HEAD + "from .shared import pace\n" + STAGE.replace("1e-4", "pace")
    file = client.open("uses.pt", text)
    assert file.wrong == []
    found = file.ask("definition", file.position("pace)"))
    assert found["uri"].endswith("shared.pt") and found["range"]["start"] == {"line": 1, "character": 4}
    module = file.ask("definition", file.position(".shared", 2))
    assert module["uri"].endswith("shared.pt")


def test_references_and_highlights(file: File) -> None:
    place = file.position("student, teacher")
    found = file.ask("references", place, context={"includeDeclaration": True})
    assert len(found) == 3 and all(file.at(each["range"]) == "student" for each in found)
    assert len(file.ask("references", place, context={"includeDeclaration": False})) == 2
    assert len(file.ask("documentHighlight", place)) == 3


def test_outline(file: File) -> None:
    outline = {each["name"]: each for each in file.ask("documentSymbol")}
    assert list(outline)[:3] == ["tasks", "problems", "held_out"]
    assert [each["name"] for each in outline["reasoner"]["children"]] == ["policy", "rollouts"]


def test_colours(client: Client, file: File) -> None:
    legend = client.capabilities["semanticTokensProvider"]["legend"]["tokenTypes"]
    data = file.ask("semanticTokens/full")["data"]
    lines, found, line, column = PROGRAM.split("\n"), {}, 0, 0
    for down, right, length, kind, _ in zip(*[iter(data)] * 5, strict=True):
        line, column = line + down, right if down else column + right
        found.setdefault(lines[line][column : column + length], legend[kind])
    assert found["edition"] == "keyword" and found["reshapes"] == "modifier" and found["reasoner"] == "class"
    assert found[".word"] == "property" and found["clip_high"] == "parameter" and found["sample"] == "function"
    assert found["0.28"] == "number" and found[PROGRAM.split("\n")[4]] == "comment"


# Renaming ------------------------------------------------------------------------------------------------------------


def test_rename_changes_every_use_and_nothing_else(file: File) -> None:
    place = file.position("cold_start expands")
    prepared = file.ask("prepareRename", place)
    assert prepared["placeholder"] == "cold_start"
    edit = file.ask("rename", place, newName="first")
    after = file.edited(edit["changes"][file.uri])
    assert after == re.sub(r"\bcold_start\b", "first", PROGRAM)
    assert file.write(after) == []


def test_rename_keeps_to_the_scope(file: File) -> None:
    edit = file.ask("rename", file.position("policy, n = 8"), newName="learner")
    after = file.edited(edit["changes"][file.uri])
    assert after.count("learner") == 3 and after.count("policy") == PROGRAM.count("policy") - 3
    assert file.write(after) == []


def test_rename_reaches_the_files_that_import(client: Client) -> None:
    other = client.root / "importer.pt"
    other.write_text(HEAD + "from .named import pace\n" + STAGE.replace("1e-4", "pace"))
    (client.root / "named.pt").write_text("edition 2026\nlet pace = 1e-4\n")
    file = client.open("named.pt", "edition 2026\nlet pace = 1e-4\n")
    edit = file.ask("rename", file.position("pace"), newName="rate")
    assert set(edit["changes"]) == {file.uri, other.as_uri()}
    assert len(edit["changes"][other.as_uri()]) == 2


@pytest.mark.parametrize(
    ("mark", "name", "why"),
    [
        ("grpo(rollouts", "ppo", "belongs to the library"),
        ("exact, n = 16", "same", "belongs to the library"),
        ("reshapes skill", "x", "`reshapes` is a word of the language"),
        ("sample(reasoner", "x", "`sample` is declared nowhere"),
        ("cold_start expands", "stage", "`stage` is a word of the language"),
        ("cold_start expands", "Cold", "`Cold` is no name"),
        ("cold_start expands", "9", "`9` is no name"),
        ("cold_start expands", "primed", "`primed` is declared already, in line"),
        ("cold_start expands", "rollouts", "`rollouts` is declared already"),
    ],
)
def test_rename_refuses_with_a_sentence(file: File, mark: str, name: str, why: str) -> None:
    with pytest.raises(Refusal, match=re.escape(why)):
        file.ask("rename", file.position(mark), newName=name)


# Formatting ----------------------------------------------------------------------------------------------------------


def test_formatting(file: File) -> None:
    options = {"tabSize": 2, "insertSpaces": True}
    assert file.ask("formatting", options=options) is None
    file.write(PROGRAM.replace("batch     = 64 samples", "batch =   64   samples"))
    edits = file.ask("formatting", options=options)
    assert file.edited(edits) == PROGRAM


def test_what_cannot_be_read_is_not_formatted(file: File) -> None:
    file.write("soruce a   =   1\n")
    assert file.ask("formatting", options={"tabSize": 2, "insertSpaces": True}) is None


# Completion ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        (HEAD, ["stage", "source", "export"], ["train", "tasks"]),
        (HEAD + "stage s {\n  ", ["train", "minimize", "batch", "budget"], ["export", "stage"]),
        (HEAD + "source x = ta", ["tasks", "demos", "gym", "hf.dataset"], ["base", "skill", "x"]),
        (HEAD + "source x = tasks |> ", ["keep", "sample", "score"], ["gym", "tasks"]),
        (HEAD + "source x = tasks |> keep(.", ["question"], ["answer"]),
        (STAGE.join([HEAD, "model m = warm."]), ["policy"], ["rollouts"]),
        (HEAD + "model m = hf.", ["model"], ["hf.model"]),
        (HEAD + "from std.", ["objectives", "verifiers", "recipes"], []),
        (HEAD + "from std.objectives import ", ["dpo", "sft"], ["exact"]),
        (HEAD + "stage s ", ["expands", "consolidates"], ["skill"]),
        (HEAD + "stage s expands ", ["skill"], ["tasks"]),
        (HEAD + "stage s {\n  batch = 32 ", ["prompts", "samples"], ["epochs"]),
        (HEAD + "stage s {\n  allow(", ["reward_is_metric", "role_claim_unsupported"], ["false_on_policy", "tasks"]),
        (HEAD + "stage s {\n  watch skill ", ["every"], []),
        (HEAD + "param x: ", ["Real", "Count"], ["Trained"]),
        (HEAD + 'source g = gym("', ["chain_sum"], []),
        (STAGE.join([HEAD, "model m = warm @ "]), ["best", "step"], []),
        ("objective o(rows: Trajectories{prompt, label}, p: Trained) {\n  let a = .", ["prompt", "label"], []),
        ("objective o(d: Trajectories{text}, p: Trained) {\n  loss = mean(logp(p, .text), over = ", ["token"], ["p"]),
    ],
)  # fmt: skip
def test_completion(client: Client, text: str, wanted: list[str], unwanted: list[str]) -> None:
    if "keep(." in text:
        wanted, unwanted = ["prompt", "answer"], ["question"]
    found = begun(client, text).proposals()
    assert [word for word in wanted if word not in found] == []
    assert [word for word in unwanted if word in found] == []


def test_completion_inside_an_unfinished_stage_sees_the_stage(client: Client) -> None:
    text = (
        HEAD + "stage s {\n  train policy = base\n  source rollouts = tasks |> sample(policy, n = 8) |> score(exact)\n"
    )
    found = begun(client, text + "  source kept = rollouts |> keep(.").proposals(typed=".")
    assert set(found) == {"prompt", "answer", "group", "response", "logprobs", "reward"}
    found = begun(client, text + "  minimize grpo(").proposals(typed="(")
    assert next(iter(found)) in ("demos", "rollouts", "tasks") and "rollouts" in found and "policy =" in found
    found = begun(client, text + "  minimize grpo(rollouts, policy, ").proposals(typed=",")
    assert found["clip_high ="]["detail"] == "clip_high = 0.2"
    assert "policy =" not in found and "rollouts =" not in found


def test_a_name_of_the_library_brings_its_import(client: Client) -> None:
    file = begun(client, HEAD + "stage s {\n  train policy = base\n  minimize dp")
    proposal = file.proposals()["dpo"]
    text = file.edited([proposal["textEdit"], *proposal["additionalTextEdits"]])
    assert "from std.objectives import sft, grpo, dpo\n" in text and text.endswith("minimize dpo")


def test_completion_takes_the_place_of_the_word(client: Client) -> None:
    file = begun(client, HEAD + "source x = tasks |> res")
    assert file.edited([file.proposals()["respond"]["textEdit"]]).endswith("|> respond(${0})")


def test_brackets_that_are_there_are_not_written_again(client: Client) -> None:
    file = begun(client, HEAD + "source x = tasks |> res(.answer)\n")
    place = file.position("res(", 3)
    assert file.edited([file.proposals(place)["respond"]["textEdit"]]).endswith("|> respond(.answer)\n")


def test_without_snippets_there_are_no_blanks(tmp_path: Path) -> None:
    client = Client(tmp_path, snippets=False)
    file = client.open("plain.pt", HEAD + "source x = tasks |> ")
    assert all("$" not in item["textEdit"]["newText"] for item in file.proposals().values())
    assert client.leave() == 0


def test_nothing_is_proposed_in_comments_and_behind_a_blank(client: Client) -> None:
    assert begun(client, HEAD + "# a comment ").proposals() == {}
    assert begun(client, HEAD + "source x = ").proposals(typed=" ") == {}
    assert begun(client, HEAD + "eval e = pass_rate(tasks, exact) >").proposals(typed=">") == {}


def test_signature(client: Client) -> None:
    file = begun(client, HEAD + STAGE.replace("grpo(rollouts, policy)", "grpo(rollouts, policy, clip_high = )"))
    found = file.ask("signatureHelp", file.position("clip_high = )", 12))
    (head,) = found["signatures"]
    active = head["parameters"][found["activeParameter"]]
    assert active["label"] == "clip_high = 0.2" and "`epsilon_high`" in active["documentation"]["value"]


# Quick fixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "title"),
    [
        ("watch skill every 50", "watch skil every 50", "Replace with `skill`"),
        ("batch     = 64 samples", "batch     = 64", "Write `64 samples`"),
        ("  budget    = 450 steps\n", "", "Write `budget = 100 steps`"),
        ("sample(policy, n = 8, temp", "sample(cold_start, n = 8, temp", "Write `|> sample(policy, n = 8)`"),
        ("|> keep(.reward == 1)", "|> filter(.reward == 1)", "Replace with `keep`"),
        ("clip_high = 0.28", "epsilon_high = 0.28", "Write `clip_high = 0.28`"),
        ("from std.verifiers  import exact\n", "", "Write `from std.verifiers import exact`"),
        ("grpo(rollouts, policy, clip", "grpo(rollouts policy, clip", "Add the missing `,`"),
        ('gym("spell_backward"', "gym('spell_backward'", 'Write  "…"'),
    ],
)
def test_a_help_line_is_a_quick_fix(file: File, right: str, wrong: str, title: str) -> None:
    assert PROGRAM.count(right) == 1
    found = file.write(PROGRAM.replace(right, wrong))
    offered = {name: text for each in found for name, text in file.fixes(each).items()}
    assert title in offered
    assert file.write(offered[title]) == []


def test_an_unsure_help_is_no_quick_fix(file: File) -> None:
    found = file.write(PROGRAM.replace(", n = 2, max_tokens = 8", ", n = 2, max_tokens = 8, nn = 3"))
    assert found and not file.fixes(found[0])


# Whatever is written -------------------------------------------------------------------------------------------------


def test_half_of_every_line(client: Client) -> None:
    """A program as it is typed: after each piece all questions are answered."""
    file = client.open("typed.pt", "")
    for end in range(0, len(PROGRAM), 41):
        file.write(PROGRAM[:end])
        file.proposals()
        for feature in ("hover", "definition", "signatureHelp", "documentHighlight"):
            file.ask(feature, file.end())
        file.ask("documentSymbol")
    assert not client.shown
