"""A report as a document: ``report.json``, and what page and figures are made from."""

from __future__ import annotations

from typing import Literal

from ptc.report.section import Section
from ptc.report.sections.attention import Attention, attention
from ptc.report.sections.claims import Claims, claims
from ptc.report.sections.cost import Costs, cost
from ptc.report.sections.curves import Curves, curves
from ptc.report.sections.dag import Dag, dag
from ptc.report.sections.diagnosis import Diagnosed, diagnosis
from ptc.report.sections.environment import Environment, environment
from ptc.report.sections.evidence import Evidence, evidence
from ptc.report.sections.findings import Findings, findings
from ptc.report.sections.ledger import Ledger, ledger
from ptc.report.sections.lineage import Lineage, lineage
from ptc.report.sections.monitors import Monitors, monitors
from ptc.report.sections.prompts import Prompts, prompts
from ptc.report.sections.rollouts import Rollouts, rollouts
from ptc.report.sections.run import Run, run
from ptc.report.sections.training import Training, training
from ptc.runtime.history import History


class Report(Section):
    """Everything that a page shows of a run."""

    schema_version: Literal[1] = 1
    run: Run
    attention: Attention
    claims: Claims
    dag: Dag
    ledger: Ledger
    curves: Curves
    evidence: Evidence
    prompts: Prompts
    rollouts: Rollouts
    training: Training
    monitors: Monitors
    cost: Costs
    diagnosis: Diagnosed
    findings: Findings
    lineage: Lineage
    environment: Environment


def report(history: History) -> Report:
    """The report of a run as it stands."""
    about, claimed, trained, found = run(history), claims(history), training(history), findings(history)
    return Report(
        run=about,
        attention=attention(history, about, claimed, trained, found),
        claims=claimed,
        dag=dag(history),
        ledger=ledger(history),
        curves=curves(history),
        evidence=evidence(history),
        prompts=prompts(history),
        rollouts=rollouts(history),
        training=trained,
        monitors=monitors(history),
        cost=cost(history),
        diagnosis=diagnosis(history),
        findings=found,
        lineage=lineage(history),
        environment=environment(history),
    )
