"""A report made by hand, with a text of one's choice in every place that a program, a model or a log can fill."""

from __future__ import annotations

from ptc.diagnosis.document import Diagnosis, Number, ReasonDocument, RemedyDocument
from ptc.report.document import Report
from ptc.report.section import Estimate
from ptc.report.sections import (
    attention,
    claims,
    cost,
    curves,
    dag,
    diagnosis,
    environment,
    evidence,
    findings,
    ledger,
    lineage,
    monitors,
    prompts,
    rollouts,
    run,
    training,
)

UP = Estimate(value=0.19, low=0.16, high=0.22)


AMOUNTS = cost.Amounts(device_seconds=1.5, sampled_tokens=1, read_tokens=2, trained_tokens=3, flops=10**15)


def handmade(text: str = "plain", state: str = "done", count: int = 3) -> Report:
    """Of a run with one stage of each fate; `count` prompts."""
    stages = tuple(_stage(text, number) for number in range(2))
    attempt = prompts.Attempt(
        response=text, cut=False, times=2, score=1.0, verdict=text, finished=True, tokens=7, logp=-0.5
    )
    prompt = [
        prompts.Prompt(
            prompt=f"{text} {number}",
            answer=text,
            models=(_outcome(attempt, number % 5), _outcome(attempt, (number * 3) % 5), None),
        )
        for number in range(count)
    ]
    claim = claims.Claim(
        stage=text,
        role="reshapes",
        eval=text,
        verdict="supported",
        words=text,
        k=4,
        tolerance=0.1,
        prompts=count,
        statistic="Δpass@1",
        limit=0.0,
        intervals={"Δpass@1": UP, "Δpass@4": Estimate(value=0.01, low=-0.02, high=0.04)},
        numbers={"lost": 3.0, text: None},
        method=text,
    )
    return Report(
        run=run.Run(
            id="20261124-120000-hand-0001",
            program=text,
            folder=text,
            command=text,
            settings={text: text},
            state=state,
            exit_code={"done": 0, "failed": 4}.get(state),
            message=text if state == "failed" else "",
            remedy="Do this.",
            failed=text if state == "failed" else "",
            attempts=2,
            started="2026-11-24T12:00:00Z",
            ended=None if state == "running" else "2026-11-24T12:03:00Z",
            seconds=180.0,
            nodes=12,
            computed=8,
            reused=2,
            running=_progress(text) if state == "running" else None,
            lost={text: text},
            exports={text: text},
        ),
        attention=attention.Attention(
            remarks=tuple(attention.Remark(level=level, text=text, where="claims") for level in attention.LEVELS)
        ),
        claims=claims.Claims(
            claims=(claim, claim.model_copy(update={"verdict": "pending", "statistic": None, "intervals": {}})),
            gates=(
                claims.Gate(label=text, stage=text, verdict="failed", words=text, statistic=text, limit=0.1, value=UP),
            ),
        ),
        dag=dag.Dag(
            boxes=(
                _box("a", "source", text),
                _box("b", "model", text),
                _box("c", "stage", text, "reshapes"),
                _box("d", "stage", text),
                _box("e", "export", text),
                _box("f", "eval", text),
            ),
            edges=(
                dag.Edge(source="a", target="c", relation="rows"),
                dag.Edge(source="b", target="c", relation="weights"),
                dag.Edge(source="c", target="d", relation="weights"),
                dag.Edge(source="b", target="d", relation="teacher"),
                dag.Edge(source="a", target="d", relation="rows"),
                dag.Edge(source="d", target="e", relation="weights"),
                dag.Edge(source="a", target="f", relation="measured"),
            ),
            regimes=(text,),
        ),
        ledger=ledger.Ledger(
            evals=(
                ledger.EvalLine(
                    eval=text,
                    kind="pass_rate",
                    metric="pass@1",
                    prompts=count,
                    attempts=4,
                    points=(
                        ledger.Point(stage="", model=text, value=0.1, low=0.05, high=0.2),
                        ledger.Point(
                            stage=text, model=text, value=0.3, low=0.25, high=0.4, change=text, undone=f"{text} undid"
                        ),
                    ),
                ),
            )
        ),
        curves=curves.Curves(
            pairs=(
                curves.CurvePair(
                    stage=text,
                    role="reshapes",
                    eval=text,
                    before=curves.Curve(model=text, points={1: 0.1, 2: 0.2, 4: 0.3}),
                    after=curves.Curve(model=text, points={1: 0.3, 2: 0.4, 4: 0.45}),
                ),
            )
        ),
        evidence=evidence.Evidence(
            evals=(
                evidence.EvalEvidence(
                    eval=text,
                    prompts=count,
                    models=(text, text),
                    figures=(evidence.Figure(name="entropy", title="entropy", values=(UP, None), why=("", text)),),
                ),
            )
        ),
        prompts=prompts.Prompts(
            evals=(
                prompts.EvalPrompts(
                    eval=text,
                    kind="pass_rate",
                    models=(text, text, text),
                    comparisons=(prompts.Comparison(label=text, before=0, after=1),),
                    total=count + 10,
                    prompts=tuple(prompt),
                ),
            )
        ),
        rollouts=rollouts.Rollouts(
            sources=(
                rollouts.Source(
                    stage=text,
                    source=text,
                    live=True,
                    step=1,
                    samples=(
                        rollouts.Sample(
                            column=text,
                            prompt=text,
                            tokens=(rollouts.Token(text=text, bears=True), rollouts.Token(text=text, bears=False)),
                            cut=True,
                            numbers={text: 1.0},
                        ),
                    ),
                ),
            )
        ),
        monitors=monitors.Monitors(stages=tuple(_guarded(text, number) for number in range(2))),
        training=training.Training(stages=stages),
        cost=cost.Costs(
            nodes=(
                cost.NodeCost(
                    node=text, kind="train", purpose="training", seconds=1.5, amounts={text: 5e6}, reused=False
                ),
            ),
            totals={"training": 1.5, "measuring": 0.2},
            whole=AMOUNTS,
            measuring=cost.Measuring(cost=AMOUNTS, share=0.1, share_of_flops=0.1, by_kind={text: AMOUNTS}),
            gains=(
                cost.Gain(
                    stage=text,
                    eval=text,
                    points=12.0,
                    cost=AMOUNTS,
                    per_million_tokens=1.0,
                    per_petaflop=None,
                    per_device_minute=2.0,
                ),
            ),
            words=(f"measuring  {text}",),
        ),
        diagnosis=diagnosis.Diagnosed(diagnoses=(_diagnosis(text),)),
        findings=findings.Findings(
            findings=(
                findings.Finding(
                    code="V703", name=text, severity="warning", title=text, place=text, helps=(text,), accepted=False
                ),
            )
        ),
        lineage=lineage.Lineage(
            models=(
                lineage.Model(name=text, kind="train", artifact=text, parents=(text,), teachers=(text,), data=(text,)),
            ),
            sources=(lineage.Source(name=text, kind="gym", origin=text, pinned=text),),
            nodes=(
                lineage.Made(
                    node=text,
                    kind="train",
                    place=text,
                    state="computed",
                    meaning=text,
                    key=text,
                    artifact=None,
                    run=text,
                    seconds=None,
                ),
            ),
        ),
        environment=environment.Environment(
            ptc="0.1.0",
            python="3.11",
            system=text,
            cores=2,
            gpus=(text,),
            libraries={text: text},
            profile={text: text},
            files={text: text},
        ),
    )


def _progress(text: str) -> run.Progress:
    return run.Progress(node=text, kind="train", done=30, total=100, unit="steps", seconds=12.0)


def _outcome(attempt: prompts.Attempt, correct: int) -> prompts.Outcomes:
    return prompts.Outcomes(n=4, correct=min(correct, 4), score=correct / 4, attempts=(attempt,), left_out=2)


def _diagnosis(text: str) -> Diagnosis:
    estimate = Number(value=0.5, low=0.4, high=0.6)
    return Diagnosis(
        model=text,
        eval=text,
        verifier=text,
        prompts=64,
        samples=64,
        deployed_temperature=1.0,
        epsilon=0.046,
        bottleneck="support",
        sure="sure",
        summary=text,
        reasons=(ReasonDocument(words=text, number=estimate, threshold=0.25, source=text, sure=True),),
        examples=(text,),
        open=(text,),
        next=(text,),
        remedy=RemedyDocument(words=text, imports=text, text=text),
        numbers={text: estimate},
        pass_at_k={1: estimate},
        oracle_prefix={0.0: estimate},
        earlier=(),
    )


def _box(id: str, form: dag.Form, text: str, *roles: str) -> dag.Box:
    verdicts = ("supported",) * len(roles)
    return dag.Box(id=id, form=form, title=text, lines=(text,), roles=roles, verdicts=verdicts, state="computed")


def _stage(text: str, number: int) -> training.StageCurves:
    firing = training.Firing(monitor=text, step=5, level="warning", value=1.0, limit=2.0, words=text)
    return training.StageCurves(
        stage=f"{text} {number}",
        steps=10,
        series=(
            training.Series(name="loss", steps=(1, 5, 10), values=(1.0, None, 0.5), last=0.5),
            training.Series(name=text, steps=(1, 10), values=(2.0, 3.0), last=3.0),
            training.Series(name=f"{text}/constant", steps=(10,), values=(0.0,), last=0.0),
        ),
        firings=(firing,),
    )


def _guarded(text: str, number: int) -> monitors.StageMonitors:
    """Of a stage with a limit that is kept, and one that is not."""
    limit = monitors.Guarded(
        name=text,
        monitor=text,
        limit=0.2,
        broken=">",
        over=3,
        stops=bool(number),
        steps=(3, 4),
        values=(0.1, 0.3),
        fired=(),
    )
    return monitors.StageMonitors(stage=f"{text} {number}", guards=(limit.model_copy(update={"fired": (4,)}), limit))
