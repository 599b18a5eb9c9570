"""Whether `ptc diagnose` finds what has been planted: six faults and two healthy models, three seeds each.

    python benchmarks/diagnosis.py [--seeds 21,22,23] [--only lost-skill] [--folder FOLDER] [--write]

Every model is really trained, on spelling words backwards. The tool is given a folder with a checkpoint, a program that
says no more than the eval, and references (the column `answer`); of a lost skill and of a collapse also the checkpoint
before. What was planted stands in `CASES` alone, which the tool never sees. `--write` writes docs/diagnosis-table.md.

The thresholds (`ptc/diagnosis/thresholds.py`) were set on the other seeds of `WORLDS`; the table is of seeds 21, 22 and
23, looked at once.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptc.cli import main as ptc

TESTED = (21, 22, 23)
PAGE = Path(__file__).resolve().parent.parent / "docs" / "diagnosis-table.md"

TASKS = """\
edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact, format_tags
source tasks = gym("spell_backward", size = 20_000, seed = {seed}, min_word_len = 3, max_word_len = 6)
  |> prompts(.word, answer = .answer)
source problems = tasks |> slice(0%, 80%)
source held_out = tasks |> slice(80%, 86%)
"""

EVAL = """
eval skill = pass_rate(held_out, {verifier}, n = 8, max_tokens = 24)
"""

STAGES = """
source demos   = problems |> respond(.answer)
source wrapped = problems |> respond({wrapping})
source some    = problems |> keep({demonstrated}) |> respond(.answer)
source other   = {other}
source one     = problems |> respond("esrever")

model base = new.model(
  "qwen3", hidden = {hidden}, layers = 2, rope_theta = 100, tokenizer = characters(tasks + wrapped),
)
model tiny = new.model(
  "qwen3", hidden = {tiny}, layers = 1, heads = 1, kv_heads = 1, intermediate = {twice}, rope_theta = 100,
  tokenizer = tokenizer(base),
)

stage skilled { train policy = base minimize sft(demos, policy) {fast} batch = 64 samples budget = 600 steps }
stage sharpened {
  train policy = skilled
  source rollouts = problems |> sample(policy, n = 8, max_tokens = 8) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 2e-4)
  batch = 32 prompts
  budget = 20 steps
}
stage contract { train policy = base minimize sft(wrapped, policy) {fast} batch = 64 samples budget = 600 steps }
stage partly { train policy = base minimize sft(some, policy) {fast} batch = 64 samples budget = 500 steps }
source noisy = problems |> sample(skilled, n = 1, temperature = {heat}, max_tokens = 8)
stage unsure { train policy = skilled minimize sft(noisy, policy) {fast} batch = 64 samples budget = 200 steps }
stage moved { train policy = skilled minimize sft(other, policy) {fast} batch = 64 samples budget = 300 steps }
stage collapsed {collapse}
stage small {
  train policy = tiny
  minimize sft(demos, policy)
  optimizer = adamw(lr = 6e-3, betas = [0.9, 0.98])
  batch = 64 samples
  budget = 900 steps
}
"""

FAST = "optimizer = adamw(lr = 3e-3, betas = [0.9, 0.98], warmup = 3%)"
REINFORCED = """{{
  train policy = skilled
  source rollouts = problems |> sample(policy, n = 8, max_tokens = 8) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = {lr})
  batch = 32 prompts
  budget = 60 steps
}}
"""
IMITATED = f"{{ train policy = skilled minimize sft(one, policy) {FAST} batch = 64 samples budget = 60 steps }}"
TAGGED = '0.5 * exact + 0.5 * format_tags(tags = ["answer"])'
ECHO = "problems |> respond(.prompt)"
PLURAL = 'problems |> respond(.prompt + "s")'
DOUBLED = "problems |> respond(.prompt + .prompt)"


@dataclass(frozen=True)
class World:
    """How one seed's faults are planted."""

    seed: int
    hidden: int
    tiny: int
    wrapping: str
    demonstrated: str
    other: str
    collapse: str
    heat: float
    """The temperature of the attempts of its own that a model is taught without looking which are right."""
    verifier: str = "exact"
    """What the broken contract is judged by; the other models by `exact`."""

    @property
    def program(self) -> str:
        fills = {
            "{seed}": self.seed,
            "{hidden}": self.hidden,
            "{tiny}": self.tiny,
            "{twice}": 2 * self.tiny,
            "{wrapping}": self.wrapping,
            "{demonstrated}": self.demonstrated,
            "{other}": self.other,
            "{collapse}": self.collapse,
            "{heat}": self.heat,
            "{fast}": FAST,
        }
        exports = (f'export {case.stage} to "{self.place(case.stage)}"\n' for case in CASES)
        text = TASKS + STAGES + "".join(exports)
        for name, value in fills.items():
            text = text.replace(name, str(value))
        return text

    def place(self, stage: str) -> str:
        """The folder of a stage's model: its name says nothing of what was planted."""
        return f"models/{hashlib.sha256(f'{self.seed} {stage}'.encode()).hexdigest()[:8]}"


def reinforced(lr: str) -> str:
    return REINFORCED.format(lr=lr)


SHORT, LONG, MEDIUM = "length(.answer) <= 4", "length(.answer) >= 6", "length(.answer) <= 5"
WORLDS = {
    1: World(1, 64, 8, '"<answer>" + .answer + "</answer>"', SHORT, ECHO, reinforced("3e-2"), 2.0),
    2: World(2, 48, 10, '"It is " + .answer + "."', MEDIUM, PLURAL, IMITATED, 1.8),
    11: World(11, 64, 8, '"Answer: " + .answer', SHORT, PLURAL, IMITATED, 1.8),
    21: World(21, 64, 8, '"Answer: " + .answer', SHORT, PLURAL, IMITATED, 2.2),
    22: World(22, 48, 12, '"[" + .answer + "]"', MEDIUM, ECHO, reinforced("2e-2"), 2.0),
    23: World(23, 56, 10, '.answer + "."', LONG, DOUBLED, reinforced("4e-2"), 2.1, TAGGED),
    12: World(12, 48, 12, '"[" + .answer + "]"', MEDIUM, ECHO, reinforced("2e-2"), 2.0),
    13: World(13, 56, 10, '.answer + "."', LONG, DOUBLED, reinforced("4e-2"), 1.9, TAGGED),
}


@dataclass(frozen=True)
class Case:
    """What was planted, in which stage, and what a diagnosis has to say."""

    name: str
    stage: str
    bottleneck: str
    earlier: str | None = None


CASES = (
    Case("broken verifier contract", "contract", "instrument"),
    Case("missing support", "partly", "support"),
    Case("poor choice", "unsure", "reshaping"),
    Case("lost skill", "moved", "consolidation", "skilled"),
    Case("collapsed entropy", "collapsed", "collapsed", "skilled"),
    Case("too small", "small", "capacity"),
    Case("healthy, imitation", "skilled", "none"),
    Case("healthy, reinforced", "sharpened", "none"),
)


# Training and asking --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the tool said of one model."""

    seed: int
    case: Case
    bottleneck: str
    sure: str
    seconds: float
    alone: tuple[str, ...] = ()
    """What it left open when it was not told of the checkpoint before, where there is one."""

    @property
    def right(self) -> bool:
        return self.bottleneck == self.case.bottleneck


def trained(seed: int, folder: Path, stages: Sequence[str]) -> None:
    """Trains the models of a seed; those that are there already take no time."""
    text = WORLDS[seed].program
    unwanted = [case.stage for case in CASES if case.stage not in stages]
    lines = [line for line in text.splitlines() if not any(line.startswith(f"export {name} to") for name in unwanted)]
    (folder / "training.pt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, _, said = called("run", "training.pt", "--store", "store")
    if code:
        sys.exit(f"training of seed {seed} ended with {code}:\n{said}")


def called(*words: str) -> tuple[int, str, str]:
    """`ptc` with these words: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = ptc(list(words))
    return code, out.getvalue(), err.getvalue()


def asked(folder: str, earlier: str | None) -> dict[str, Any]:
    """The diagnosis of a checkpoint: all that the tool is told is in these words and in `eval.pt`."""
    before = () if earlier is None else ("--earlier", earlier)
    code, out, said = called("diagnose", "eval.pt", "--model", folder, *before, "--store", "store", "--json")
    if code:
        sys.exit(f"diagnosing ended with {code}:\n{said}")
    found: dict[str, Any] = json.loads(out)["diagnoses"][0]
    return found


def answers(seed: int, folder: Path, only: str | None) -> Iterator[Answer]:
    """Trains and diagnoses one seed's models."""
    cases = [case for case in CASES if only is None or only in case.name.replace(" ", "-")]
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        trained(seed, folder, [*(case.stage for case in cases), *(case.earlier for case in cases if case.earlier)])
        for case in cases:
            verifier = WORLDS[seed].verifier if case.stage == "contract" else "exact"
            text = (TASKS + EVAL).replace("{seed}", str(seed)).replace("{verifier}", verifier)
            Path("eval.pt").write_text(text, encoding="utf-8")
            began = time.monotonic()
            place, before = WORLDS[seed].place(case.stage), case.earlier and WORLDS[seed].place(case.earlier)
            found = asked(place, before)
            seconds = time.monotonic() - began
            alone = asked(place, None)["open"] if before else []
            yield Answer(seed, case, str(found["bottleneck"]), str(found["sure"]), seconds, tuple(alone))


def table(found: Sequence[Answer]) -> str:
    """The answers as a page says them."""
    seeds = sorted({each.seed for each in found})
    lines = [
        f"| planted | has to be said | {' | '.join(f'seed {seed}' for seed in seeds)} |",
        f"|---|---|{'---|' * len(seeds)}",
    ]
    for case in CASES:
        said = {each.seed: each for each in found if each.case is case}
        if said:
            cells = [f"{said[seed].bottleneck}, {said[seed].sure}" if seed in said else "" for seed in seeds]
            lines.append(f"| {case.name} | {case.bottleneck} | {' | '.join(cells)} |")
    faults = [each for each in found if each.case.bottleneck != "none"]
    healthy = [each for each in found if each.case.bottleneck == "none"]
    lost = [each for each in found if each.case.bottleneck == "consolidation"]
    honest = sum(any("lost from never learned" in line for line in each.alone) for each in lost)
    lines += [
        "",
        f"Faults named rightly: {sum(each.right for each in faults)} of {len(faults)}. "
        f"Healthy models of which nothing is said: {sum(each.right for each in healthy)} of {len(healthy)}. "
        f'Lost skills without the checkpoint before, answered "cannot tell lost from never learned": '
        f"{honest} of {len(lost)}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=",".join(map(str, TESTED)), help=f"of {', '.join(map(str, WORLDS))}")
    parser.add_argument("--only", help="cases whose name holds this, such as lost-skill")
    parser.add_argument("--folder", type=Path, default=Path("diagnosis"), help="models and stores, kept between calls")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    wanted = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = []
    for seed in map(int, wanted.seeds.split(",")):
        for answer in answers(seed, (wanted.folder / str(seed)).absolute(), wanted.only):
            mark = "" if answer.right else f"  (it was {answer.case.bottleneck})"
            said = f"{answer.bottleneck}, {answer.sure}{mark}"
            print(f"seed {seed:<3} {answer.case.name:<26} {said:<50} {answer.seconds:.0f} s", flush=True)
            found.append(answer)
    print(f"\n{table(found)}")
    if wanted.write:
        PAGE.write_text(PREFACE + table(found) + "\n", encoding="utf-8")


PREFACE = """\
# What `ptc diagnose` finds

Written by `python benchmarks/diagnosis.py --write`. Every model was really trained, on spelling words backwards; the
tool was given a checkpoint, an eval and references, and of a lost skill and a collapse the checkpoint before. The
thresholds were set on other seeds.

"""


if __name__ == "__main__":
    main()
