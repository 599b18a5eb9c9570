"""`report_to`: a stage's metrics in accelerate's trackers, one of which is written here."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, register_tracker_class
from training_cases import Stage, settings

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.profile import Profile
from ptc.runtime.reporting import flat, reported

NODE = Node("train", 1, settings(expressions.sft()), {}, label="cold")


class Lines(GeneralTracker):
    """A tracker that writes a line of JSON for each thing it is told."""

    name = "lines"
    requires_logging_directory = True

    def __init__(self, project: str, folder: str) -> None:
        super().__init__()
        self.project = project
        self.path = Path(folder) / "lines.jsonl"

    @property
    def tracker(self) -> Path:
        return self.path

    def start(self) -> None:
        self._write({"started": self.project})

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._write({"settings": values})

    def log(self, values: dict[str, Any], step: int | None = None, **more: Any) -> None:
        self._write({"step": step, **values})

    def finish(self) -> None:
        self._write({"finished": True})

    def _write(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(row) + os.linesep)


@pytest.fixture
def registered() -> Any:
    register_tracker_class(Lines)
    yield
    del LOGGER_TYPE_TO_CLASS["lines"]


def context_of(folder: Path, *trackers: str) -> tuple[Stage, Any]:
    profile = Profile(device="cpu", devices=1, threads=1, store=folder / "store", report_to=list(trackers))
    stage = Stage.at(folder / "partial", profile=profile)
    return stage, stage.context(NODE)


@pytest.mark.usefixtures("registered")
def test_a_tracker_sees_the_settings_and_every_step(tmp_path: Path) -> None:
    stage, context = context_of(tmp_path, "lines")
    with reported(context) as seen:
        seen.log({"event": "resumed", "level": "bitwise"})
        seen.log({"step": 1, "loss": 0.5})
        seen.log({"step": 2, "loss": 0.25})
    rows = [json.loads(line) for line in (tmp_path / "store/trackers/cold/lines.jsonl").read_text().splitlines()]
    assert rows[0] == {"started": "ptc"}
    assert rows[1]["settings"]["optimizer/m0/lr"] == 1e-2
    assert rows[2:] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}, {"finished": True}]
    assert stage.metric("loss") == [0.5, 0.25]


@pytest.mark.usefixtures("registered")
def test_a_tracker_is_finished_when_the_stage_fails(tmp_path: Path) -> None:
    _, context = context_of(tmp_path, "lines")
    with pytest.raises(InputWrong), reported(context):
        raise InputWrong("rows")
    assert '"finished"' in (tmp_path / "store/trackers/cold/lines.jsonl").read_text()


def test_without_trackers_nothing_is_wrapped(tmp_path: Path) -> None:
    _, context = context_of(tmp_path)
    with reported(context) as seen:
        assert seen is context
    assert not (tmp_path / "store").exists()


def test_a_tracker_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    _, context = context_of(tmp_path, "tensorbord")
    refusal = r"report_to = 'tensorbord': no tracker is called so; there are aim, .*wandb"
    with pytest.raises(InputWrong, match=refusal), reported(context):
        pass


def test_a_tracker_that_is_not_installed_is_refused_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptc.runtime.reporting.get_available_trackers", list)
    _, context = context_of(tmp_path, "wandb")
    with pytest.raises(ResourceMissing, match="its package is not installed: pip install wandb"), reported(context):
        pass


def test_settings_are_flat_under_the_names_of_the_program() -> None:
    named = flat(replace(NODE).settings, {"m0": "policy", "m1": "other", "s0": "demos"})
    assert named["batch/demos/count"] == 4 and named["models/other/as"] == "freeze"
    assert named["optimizer/policy/betas"] == "[0.9, 0.95]"
    assert named["terms/0/source"] == "demos" and named["terms/0/weight"] == 1.0
    assert not any("loss" in name for name in named)


def test_steps_of_a_flow_are_told_apart() -> None:
    sampled = {"flows": {"s0": [{"op": "sample", "n": 8, "model": "m0"}, {"op": "keep", "where": {"args": []}}]}}
    named = flat(sampled, {"m0": "policy", "s0": "rollouts"})
    assert named == {
        "flows/rollouts/0/op": "sample",
        "flows/rollouts/0/n": 8,
        "flows/rollouts/0/model": "policy",
        "flows/rollouts/1/op": "keep",
    }


@pytest.mark.usefixtures("registered")
def test_what_is_no_step_is_not_told(tmp_path: Path) -> None:
    _, context = context_of(tmp_path, "lines")
    with reported(context) as seen:
        seen.log({"event": "resumed", "step": 7, "level": "bitwise"})
        seen.log({"canary/version": 1})
    assert "resumed" not in (told := lines(tmp_path)) and "canary" not in told


@pytest.mark.usefixtures("registered")
def test_a_tracker_that_fails_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Lines, values: dict[str, Any], step: int | None = None, **more: Any) -> None:
        raise ConnectionError("the server is\ngone")

    monkeypatch.setattr(Lines, "log", broken)
    stage, context = context_of(tmp_path, "lines")
    with reported(context) as seen:
        seen.log({"step": 1, "loss": 0.5})
        seen.log({"step": 2, "loss": 0.25})
    assert stage.metric("loss") == [0.5, 0.25]
    problem = "ConnectionError: the server is gone"
    assert [row for row in stage.rows if "event" in row] == [
        {"event": "tracker_failed", "tracker": "lines", "problem": problem}
    ]
    assert f"lines failed at step 1 and is told no more; metrics.jsonl has all: {problem}" in caplog.text


@pytest.mark.usefixtures("registered")
def test_a_tracker_that_does_not_start_is_refused_and_the_others_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Locked(Lines):
        name = "locked"

        def start(self) -> None:
            raise ValueError("no key:\nlog in first")

    register_tracker_class(Locked)
    try:
        _, context = context_of(tmp_path, "lines", "locked")
        refusal = r"report_to = 'locked': it cannot be started \(ValueError: no key: log in first\): mend that"
        with pytest.raises(ResourceMissing, match=refusal), reported(context):
            pass
    finally:
        del LOGGER_TYPE_TO_CLASS["locked"]
    assert '"finished"' in lines(tmp_path)


def lines(folder: Path) -> str:
    return (folder / "store/trackers/cold/lines.jsonl").read_text()
