"""What `ptc diagnose` said of the run, if it was asked."""

from __future__ import annotations

from ptc.diagnosis.document import FILE, Diagnoses, Diagnosis
from ptc.report.section import Section
from ptc.runtime.history import History


class Diagnosed(Section):
    diagnoses: tuple[Diagnosis, ...]


def diagnosis(history: History) -> Diagnosed:
    kept = history.folder / FILE
    if not kept.is_file():
        return Diagnosed(diagnoses=())
    return Diagnosed(diagnoses=Diagnoses.model_validate_json(kept.read_bytes()).diagnoses)
