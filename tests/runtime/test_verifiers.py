"""Verdicts, worker processes that hang or die, the error budget, the gold self-test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ptc.runtime.artifacts import InvariantBroken, ResourceMissing
from ptc.runtime.rewards import Rewards
from ptc.runtime.verifier_pool import Judge, Pool, judge, self_test
from ptc.runtime.verifier_worker import decode, encode
from ptc.stdlib import gym, signatures, verifiers
from ptc.stdlib.verifiers import (
    Error,
    Fail,
    Pass,
    Penalty,
    Refused,
    Timeout,
    Verdict,
    corrupted,
    final_answer,
    reward_of,
)

EXACT = {"name": "exact", "options": {}}
MATH = {"name": "math", "options": {}}
GYM = {"name": "gym_scorer", "options": {}}
GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k" / "test.jsonl"


def answered(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"response": response, "answer": answer} for response, answer in pairs]


def test_rewards_of_verdicts() -> None:
    assert [reward_of(verdict) for verdict in (Pass(), Pass(0.5), Fail(), Fail(parsed=False))] == [1.0, 0.5, 0.0, 0.0]
    assert [reward_of(verdict) for verdict in (Error("crash"), Timeout(), Refused("no gold"))] == [None] * 3


def test_exact_compares_texts_up_to_blanks_around_them() -> None:
    verdicts = judge(EXACT, answered(("12", "12"), (" 12\n", "12"), ("1 2", "12"), ("", "12"), ("7", 7), ("7", None)))
    assert verdicts == [Pass(), Pass(), Fail(), Fail(parsed=False), Pass(), Refused("the row has no answer")]


def test_exact_costs_less_than_a_millisecond_for_256_rows() -> None:
    rows = answered(*((str(number % 7), "3") for number in range(256)))
    with Judge(EXACT) as judging:
        judging(rows)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            judging(rows)
            times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


def test_a_response_beyond_all_measure_is_refused() -> None:
    [verdict] = judge(EXACT, answered(("x" * 100_000, "1")))
    assert isinstance(verdict, Refused)


@pytest.mark.parametrize(
    ("gold", "wrong"), [("12", "13"), ("19 apples", "10 apples"), ("yes", "yesx"), ("#### 9", "#### 0")]
)
def test_corrupted_gold_differs(gold: str, wrong: str) -> None:
    assert corrupted(gold) == wrong


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so\n#### 18", "$18$"),
        ("#### $1,000\nmore", "$1,000$"),
        ("#### ", ""),
        (r"thus \boxed{\frac{1}{2}}.", r"$\boxed{\frac{1}{2}}$"),
        (r"\boxed{1} then \boxed{2}", r"$\boxed{2}$"),
        (r"\boxed{1", r"\boxed{1"),
        ("it is 5", "it is 5"),
    ],
)
def test_where_a_solution_states_its_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


def test_math_reads_the_usual_spellings() -> None:
    right = ["18", "The answer is 18.", r"\boxed{18}", "foo\n#### 18", "$18", "#### $18.00", "3 boxes, so 18 eggs: 18"]
    wrong = ["#### 19", r"\boxed{81}", "18 at first, then 17"]
    unread = ["", "no idea"]
    verdicts = judge(MATH, answered(*((response, "work\n#### 18") for response in right + wrong + unread)))
    assert verdicts == [Pass()] * len(right) + [Fail()] * len(wrong) + [Fail(parsed=False)] * len(unread)


def test_math_runs_in_a_process_of_its_own_and_not_in_a_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as threads:
        [verdict] = threads.submit(judge, MATH, answered(("1/2", "0.5"))).result(timeout=120)
    assert verdict == Pass()


@pytest.mark.slow
@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not here")
def test_math_finds_all_gold_answers_of_gsm8k_right_and_all_corrupted_ones_wrong() -> None:
    rows = [json.loads(line) for line in GSM8K.read_text().splitlines()]
    test = self_test(MATH, rows)
    assert len(test.gold) == len(rows) == 1319
    assert test.gold_right == 1.0
    assert test.corrupted == (Fail(),) * len(rows)


def test_gym_scorer_is_the_tasks_own() -> None:
    rows = list(gym.rows("chain_sum", 8, 1, {}))
    test = self_test(GYM, rows)
    assert test.gold == (Pass(),) * 8
    assert test.corrupted_right == 0


def test_gym_scorer_refuses_a_task_without_gold() -> None:
    [row] = gym.rows("propositional_logic", 1, 1, {})
    [verdict] = judge(GYM, [{**row, "response": "P"}])
    assert verdict == Refused("the task has no gold answer")


TAGS = {"name": "format_tags", "options": {"tags": ["think", "answer"]}}


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("<think>a</think><answer>b</answer>", Pass()),
        (" <think>\na\n</think>\n\n<answer>b\nc</answer>\n", Pass()),
        ("<think></think><answer></answer>", Pass()),
        ("<answer>b</answer><think>a</think>", Fail()),
        ("so <think>a</think><answer>b</answer>", Fail()),
        ("<think>a</think> so <answer>b</answer>", Fail()),
        ("<think>a</think><answer>b</answer> so", Fail()),
        ("<think>a<answer>b</answer></think>", Fail()),
        ("<think>a</think><think>a</think><answer>b</answer>", Fail()),
        ("<think>a</think>", Fail()),
        ("<think>a", Fail()),
        ("a</think>", Fail(parsed=False)),
        ("", Fail(parsed=False)),
    ],
)
def test_format_tags(response: str, verdict: Verdict) -> None:
    assert judge(TAGS, [{"response": response}]) == [verdict]


def test_text_may_follow_a_sole_tag_and_tags_are_no_patterns() -> None:
    sole = {"name": "format_tags", "options": {"tags": ["think"]}}
    responses = ["<think>a</think> b", "<think>a</think>", "b <think>a</think>"]
    assert judge(sole, [{"response": text} for text in responses]) == [Pass(), Pass(), Fail()]
    odd = {"name": "format_tags", "options": {"tags": ["a.b"]}}
    assert judge(odd, [{"response": "<a.b>x</a.b>"}, {"response": "<acb>x</acb>"}]) == [Pass(), Fail(parsed=False)]


def test_overlong_is_dapos_soft_punishment() -> None:
    soft = {"name": "overlong", "options": {"limit": 10, "buffer": 4}}
    rows = [{"response": "x", "response_tokens": [0] * count} for count in (0, 6, 7, 8, 10, 11, 100)]
    assert [reward_of(verdict) for verdict in judge(soft, rows)] == [0.0, 0.0, -0.25, -0.5, -1.0, -1.0, -1.0]


def test_a_verifier_without_gold_answers_is_not_tested_on_them() -> None:
    assert self_test(TAGS, [{"response": "x"}]).gold == ()


@pytest.mark.parametrize(
    "verdict", [Pass(0.5), Fail(), Fail(parsed=False), Penalty(-0.5), Refused("no"), Error("E"), Timeout()]
)
def test_verdicts_survive_the_way_to_their_caller(verdict: Verdict) -> None:
    assert decode(json.loads(json.dumps(encode(verdict)))) == verdict


def test_a_sum_has_no_value_where_a_summand_has_none() -> None:
    summands = [
        {"kind": "verifier", "weight": weight, "verifier": verifier} for weight, verifier in ((1, EXACT), (0.5, TAGS))
    ]
    rows = pa.table({"response": ["<think></think><answer></answer>", "7", "7"], "answer": ["7", "7", None]})
    with Rewards({"scorers": summands}) as rewards:
        worth = rewards(rows)
    assert worth.rewards == [0.5, 1.0, None]
    assert worth.verdicts[:2] == ["exact fail; format_tags pass", "exact pass; format_tags fail: no answer found"]


def test_self_test_stops_a_verifier_that_finds_gold_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptc.runtime.verifier_pool.judge_one", lambda name, options, row: Fail())
    with pytest.raises(InvariantBroken, match="0% of 2 gold answers right"):
        judge(EXACT, answered(("1", "1"), ("2", "2")))


def test_self_test_stops_a_verifier_that_finds_everything_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptc.runtime.verifier_pool.judge_one", lambda name, options, row: Pass())
    with pytest.raises(InvariantBroken, match="corrupted"):
        judge(EXACT, answered(("1", "1"), ("2", "2")))


# Processes that misbehave: a module of verifiers in place of the real one, found by the worker through PYTHONPATH.

HOSTILE = """
import os, sys, time
import ptc.stdlib.verifiers as verifiers

def hostile(response, answer):
    if response == "hang": time.sleep(600)
    if response == "crash": os._exit(3)
    if response == "raise": raise ZeroDivisionError
    if response == "print": print("noise", flush=True)
    if response == "once":
        if not os.path.exists(answer): open(answer, "w").close(); os._exit(3)
    if response == "eat": bytearray(1 << 40)
    return verifiers.PASS

verifiers.IMPLEMENTATIONS["math"] = hostile
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOSTILE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def judged(*responses: str, answer: str = "1", deadline: float = 1.0, workers: int = 1) -> list[Any]:
    pool = Pool(MATH, workers, deadline)
    try:
        return pool.judge(answered(*((response, answer) for response in responses)))
    finally:
        pool.close()


@pytest.mark.slow
@pytest.mark.usefixtures("hostile")
def test_a_hanging_row_is_killed_and_the_others_are_judged() -> None:
    start = time.monotonic()
    assert judged("fine", "hang", "fine", workers=2) == [Pass(), Timeout(), Pass()]
    assert time.monotonic() - start < 60


@pytest.mark.slow
@pytest.mark.usefixtures("hostile")
def test_crashes_exceptions_noise_and_greed_are_outcomes() -> None:
    assert judged("crash", "raise", "print", "eat", deadline=20) == [
        Error("crash"), Error("ZeroDivisionError"), Pass(), Error("MemoryError")
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("hostile")
def test_a_row_that_failed_once_is_tried_again(tmp_path: Path) -> None:
    assert judged("once", answer=str(tmp_path / "mark"), deadline=20) == [Pass()]


@pytest.mark.slow
@pytest.mark.usefixtures("hostile")
def test_more_than_one_percent_of_errors_stops_the_run() -> None:
    with Judge(MATH) as judging:
        judging._tested = True
        assert judging(answered(*[("fine", "1")] * 300, ("raise", "1"))).count(Error("ZeroDivisionError")) == 1
        with pytest.raises(InvariantBroken, match=r"`math`: 4 of 304 .* \(4 × ZeroDivisionError\)"):
            judging(answered(*[("raise", "1")] * 3))


@pytest.mark.slow
@pytest.mark.usefixtures("hostile")
def test_a_worker_ends_with_its_pool() -> None:
    pool = Pool(MATH, 1, 20.0)
    pool.judge(answered(("fine", "1")))
    [worker] = pool._workers
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker._process.pid, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("hostile")
def test_a_worker_ends_with_a_run_that_is_killed() -> None:
    program = (
        "from ptc.runtime.verifier_pool import _Worker\n"
        'worker = _Worker(\'{"name": "math"}\')\n'
        "worker.give({'response': 'hang', 'answer': '1'}, 600)\n"
        "print(worker._process.pid, flush=True)\n"
        "worker.take()\n"
    )
    path = os.pathsep.join([os.environ["PYTHONPATH"], str(Path(__file__).parents[2])])
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as run:
        assert run.stdout is not None
        worker = int(run.stdout.readline())
        run.kill()
        run.wait(timeout=30)
    deadline = time.monotonic() + 10
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptc.runtime.verifier_pool.find_spec", lambda name: None)
    with pytest.raises(ResourceMissing, match="needs the package math-verify"):
        Judge(MATH)


# What the compiler is told


def test_signatures_and_implementations_are_of_the_same_verifiers() -> None:
    assert signatures.RUNNABLE.keys() == verifiers.IMPLEMENTATIONS.keys()


@pytest.mark.slow
def test_tasks_are_those_of_the_installed_reasoning_gym() -> None:
    from reasoning_gym.factory import DATASETS

    expected = {}
    for task in sorted(set(DATASETS) - {"composite"}):  # a mixture of others, with arguments of its own
        import reasoning_gym

        dataset = reasoning_gym.create_dataset(task, size=6, seed=3)
        rows = [dataset[index]["metadata"] for index in range(6)]
        scalars = [{name for name, value in row.items() if isinstance(value, str | int | float | bool)} for row in rows]
        own = set.intersection(*scalars) - {"source_dataset", "source_index", "question", "answer"}
        expected[task] = ("question", "answer", *sorted(own), "entry")
    assert dict(signatures.task_columns()) == expected


@pytest.mark.slow
def test_gold_answers_of_all_tasks_survive_the_way_through_json() -> None:
    import reasoning_gym

    for task in signatures.task_columns():
        dataset = reasoning_gym.create_dataset(task, size=2, seed=3)
        for row in gym.rows(task, 2, 3, {}):
            if row["answer"] is None:
                continue
            assert verifiers.gym_scorer(row["answer"], row["entry"]) == Pass(), task
        assert [row["question"] for row in gym.rows(task, 2, 3, {})] == [dataset[0]["question"], dataset[1]["question"]]


def test_a_response_of_turns_is_judged_by_what_it_says() -> None:
    turns = [{"role": "assistant", "content": "The answer is \\boxed{7}."}]
    rows = pa.table({"response": [turns], "answer": ["7"]})
    with Rewards({"verifier": {"name": "math", "options": {}}}) as rewards:
        assert rewards(rows).rewards == [1.0]
