"""How long `ptc check` takes: programs of 100 stages and of 1,000, and recipes beside lark's parse of their text.

    python benchmarks/scaling.py [--rounds 5] [--most 12] [--parses 10]

Were everything linear, 1,000 stages took ten times as long as 100. Whatever is compared is timed in turn, in processor
time of this process; ratios are of medians. Exits with 1 above ``--most`` or ``--parses``.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from ptc import api
from ptc.lang.grammar import parser as lark
from ptc.stand_ins import StandIns

RECIPES = Path(__file__).resolve().parent.parent / "examples" / "recipes"
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


def seconds(do: Callable[[], object]) -> float:
    """Processor time of one call."""
    gc.collect()
    gc.disable()  # as `ptc check` does
    start = time.process_time()
    do()
    taken = time.process_time() - start
    gc.enable()
    return taken


def ratio(few: Callable[[], object], many: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians of two calls in turn."""
    times = [(seconds(few), seconds(many)) for _ in range(rounds)]
    return statistics.median(low for low, _ in times), statistics.median(high for _, high in times)


def checked(text: str) -> None:
    result = api.check_text(text, siblings={})
    assert result.sound, [found.title for found in result.diagnostics if found.severity == "error"][:3]


def stages(shapes: list[str], rounds: int) -> float:
    """The largest ratio of 1,000 stages to 100."""
    worst = 0.0
    for name in shapes:
        few, many = SHAPES[name](FEW), SHAPES[name](MANY)
        low, high = ratio(lambda text=few: checked(text), lambda text=many: checked(text), rounds)  # type: ignore[misc]
        worst = max(worst, high / low)
        print(f"{name:<7} {FEW} stages {low:6.3f} s   {MANY} stages {high:6.3f} s   ratio {high / low:5.1f}")
    return worst


def recipes(rounds: int) -> float:
    """The largest ratio of a recipe's check, in full, to lark's parse of its text."""
    worst, known = 0.0, StandIns(RECIPES / "stand_ins")
    for path in sorted(RECIPES.glob("*.pt")):
        text = path.read_text(encoding="utf-8")

        def parse(text: str = text) -> None:
            lark().parse(text)

        def check(path: Path = path) -> None:
            api.check_file(path, stand_ins=known)

        check()  # the library's objectives that it names are parsed once in a process
        low, high = ratio(parse, check, rounds)
        worst = max(worst, high / low)
        print(f"{path.stem:<24} parse {low * 1000:6.1f} ms   check {high * 1000:6.1f} ms   ratio {high / low:5.1f}")
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=12.0, help="the largest ratio that is no failure")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--parses", type=float, default=10.0, help="of a recipe's check to lark's parse, likewise")
    found = parser.parse_args()
    checked(line(2))  # the grammar is built, the library parsed
    worst, parses = stages(found.shapes, found.rounds), recipes(found.rounds)
    held = worst <= found.most and parses <= found.parses
    print(f"{'ok' if held else 'too much'}: at most {found.most:g}, and {found.parses:g} parses")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
