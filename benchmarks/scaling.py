"""How long `ptc check` takes for programs of 100 and of 1,000 stages: ten times as long, were everything linear.

    python benchmarks/scaling.py [--rounds 5] [--most 12]

The two are timed in turn, in processor time of this process, and medians are compared. Exits with 1 above ``--most``.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time

from ptc import api

FEW, MANY = 100, 1_000
HEAD = """edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact
source tasks = gym("chain_sum", size = 100_000, seed = 1) |> prompts(.question, answer = .answer)
model base = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks))
eval skill = pass_rate(tasks |> slice(90%, 100%), exact, n = 4)
"""
IMITATES = """source lessons_{n} = tasks |> slice({low:.3%}, {high:.3%}) |> respond(.answer)
stage s{n} {{
  train policy = {start}
  minimize sft(lessons_{n}, policy)
  optimizer = adamw(lr = 1e-4)
  batch     = 64 samples
  budget    = 1 epoch
}}
"""
EXPLORES = """stage s{n} reshapes skill {{
  train policy = {start}
  source tries = tasks |> slice({low:.3%}, {high:.3%}) |> sample(policy, n = 4, max_tokens = 64) |> score(exact)
  minimize grpo(tries, policy)
  optimizer = adamw(lr = 1e-6)
  batch     = 32 prompts
  budget    = 100 steps
  ensure skill >= 1%
}}
"""
RECIPE = """recipe step(start: Model, rows: Trajectories{prompt, response}) -> Model {
  stage tuned {
    train policy = start
    minimize sft(rows, policy)
    optimizer = adamw(lr = 1e-4)
    batch     = 64 samples
    budget    = 1 epoch
  }
  return tuned
}
source demos = tasks |> slice(0%, 90%) |> respond(.answer)
"""


def line(stages: int) -> str:
    """Stages in a row, each from the one before: the longest ancestry there is."""
    text = [HEAD]
    for n in range(stages):
        form = (IMITATES, EXPLORES)[n % 2]
        low, high = 0.9 * n / stages, 0.9 * (n + 1) / stages
        text.append(form.format(n=n, start=f"s{n - 1}" if n else "base", low=low, high=high))
    return "".join(text)


def fan(stages: int) -> str:
    """Stages beside each other, all from one model."""
    text = [HEAD]
    for n in range(stages):
        low, high = 0.9 * n / stages, 0.9 * (n + 1) / stages
        text.append(IMITATES.format(n=n, start="base", low=low, high=high))
    return "".join(text)


def rounds(stages: int) -> str:
    """Calls of one recipe in a row."""
    calls = (f"model r{n} = step({f'r{n - 1}' if n else 'base'}, demos)\n" for n in range(stages))
    return HEAD + RECIPE + "".join(calls)


SHAPES = {"line": line, "fan": fan, "recipe": rounds}


def seconds(text: str) -> float:
    """Processor time of one check."""
    gc.collect()
    gc.disable()  # as `ptc check` does
    start = time.process_time()
    result = api.check_text(text, siblings={})
    taken = time.process_time() - start
    gc.enable()
    assert result.sound, [found.title for found in result.diagnostics if found.severity == "error"][:3]
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=12.0, help="the largest ratio that is no failure")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    found = parser.parse_args()
    seconds(line(2))  # the grammar is built, the library parsed
    worst = 0.0
    for name in found.shapes:
        few, many = SHAPES[name](FEW), SHAPES[name](MANY)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(found.rounds):
            times[0].append(seconds(few))
            times[1].append(seconds(many))
        low, high = (statistics.median(each) for each in times)
        worst = max(worst, high / low)
        print(f"{name:<7} {FEW} stages {low:6.3f} s   {MANY} stages {high:6.3f} s   ratio {high / low:5.1f}")
    print(f"{'ok' if worst <= found.most else 'too much'}: at most {found.most:g}")
    return 0 if worst <= found.most else 1


if __name__ == "__main__":
    raise SystemExit(main())
