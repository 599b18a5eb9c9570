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


def test_settings_are_flat_and_without_trees() -> None:
    named = flat(replace(NODE).settings)
    assert named["batch/s0/count"] == 4 and named["models/m1/as"] == "freeze"
    assert not any(name.startswith("terms") for name in named)
