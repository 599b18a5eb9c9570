"""Programs that nobody would write, through the checker: `python benchmarks/fuzz.py --count 100000 --seed 1`.

What is checked are copies of the programs of this house (examples, library, specification, pages of errors) with tokens
or characters deleted, doubled, exchanged or swapped, statements of two programs mixed, and programs out of random
trees. Each must give diagnostics, never an exception, in less than a second of processor time. Program number N of a
seed is always the same. Whatever failed is kept in a file; exit 1 if something did.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from pages import fences  # noqa: E402
from trees import WORDS, Maker  # noqa: E402

from ptc.api import check_text  # noqa: E402
from ptc.lang.format import lay_out  # noqa: E402
from ptc.lang.keywords import KEYWORDS  # noqa: E402

LIMIT = 1.0
"""Seconds of processor time that one check may take."""
HANGS = 20
"""Seconds after which a check is given up."""
LONGEST = 4_000
"""Characters of a program that is mutated; of a longer one, some statements in a row are taken."""
AT_ONCE = 2_000

TOKEN = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|#[^\n]*|\d[\w.]*%?|\w+|\|>|->|[=!<>]=|\s+|[^\w\s]')
NUMBERS = ("0", "1", "-1", "0%", "3%", "200%", "1e308", "1e-300", "999999999999999999", "0.5", "2 epochs", "7 steps",
           "0 prompts", "64 samples", "16Ki", "4k tokens", "3 points")  # fmt: skip
SIGNS = (*"()[]{},.=:@*/+-<?#\n", '"', "==", "|>", "->")
CHARACTERS = "abz019 \n\t\r\"'{}()[]|>=#.,@%+-*/:;?!\\_~^&$\x00\u202eé漢\ufeff"


@dataclass(frozen=True)
class Outcome:
    number: int
    kind: str
    seconds: float
    findings: int


# Programs ------------------------------------------------------------------------------------------------------------


@cache
def corpus() -> tuple[str, ...]:
    """Every program of this house."""
    files = [*sorted(ROOT.glob("examples/**/*.pt")), *sorted(ROOT.glob("stdlib/**/*.pt"))]
    pages = [*sorted(ROOT.glob("tests/spec/*.md")), *sorted(ROOT.glob("docs/errors/*.md"))]
    fenced = (fence for page in pages for fence in fences(page.read_text(encoding="utf-8")) if fence.tag[:2] == "pt")
    return (*(path.read_text(encoding="utf-8") for path in files), *(fence.text for fence in fenced))


@cache
def vocabulary() -> tuple[str, ...]:
    """The words, numbers and texts that the programs are made of."""
    found = Counter(
        token for text in corpus() for token in TOKEN.findall(text) if token[0].isalnum() or token[0] == '"'
    )
    return tuple(sorted(token for token, count in found.items() if count > 2))


def made(seed: int, number: int) -> tuple[str, str]:
    """Program `number` of a seed, and how it was made."""
    draw = random.Random(f"{seed}:{number}")
    kind = draw.choices(("tokens", "characters", "statements", "trees"), (50, 15, 20, 15))[0]
    match kind:
        case "tokens":
            return kind, _tokens_changed(_excerpt(draw), draw)
        case "characters":
            return kind, _characters_changed(_excerpt(draw), draw)
        case "statements":
            return kind, _statements_mixed(draw)
    words = draw.sample(vocabulary(), 12)
    names = [word for word in words if word.isidentifier() and word not in KEYWORDS] or list(WORDS)
    return kind, lay_out(Maker(draw.randrange, names).program())


def _statements(text: str) -> list[str]:
    """The text, cut where lines begin in column 1."""
    return re.split(r"(?<=\n)(?=[^\s})#])", text)


def _excerpt(draw: random.Random) -> str:
    text = draw.choice(corpus())
    if len(text) <= LONGEST:
        return text
    statements = _statements(text)
    first = draw.randrange(len(statements))
    taken, length = [], 0
    for statement in statements[first:]:
        length += len(statement)
        if taken and length > LONGEST:
            break
        taken.append(statement)
    return "".join(taken)


def _tokens_changed(text: str, draw: random.Random) -> str:
    tokens = TOKEN.findall(text) or [" "]
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        here, there = draw.randrange(len(tokens)), draw.randrange(len(tokens))
        match draw.choice(("delete", "double", "swap", "cut", "word", "word", "number", "sign", "insert")):
            case "delete":
                tokens[here] = ""
            case "double":
                tokens[here] *= 2
            case "swap":
                tokens[here], tokens[there] = tokens[there], tokens[here]
            case "cut":
                tokens[here] = tokens[here][: len(tokens[here]) // 2]
            case "word":
                tokens[_near(tokens, here, str.isidentifier)] = draw.choice(vocabulary())
            case "number":
                tokens[_near(tokens, here, _is_number)] = draw.choice(NUMBERS)
            case "sign":
                tokens[here] = draw.choice(SIGNS)
            case "insert":
                tokens[here] += f" {draw.choice((*SIGNS, draw.choice(vocabulary())))} "
    return "".join(tokens)


def _near(tokens: list[str], here: int, wanted: object) -> int:
    """The next token of a sort, or the one at hand."""
    assert callable(wanted)
    return next((place for place in range(here, len(tokens)) if wanted(tokens[place])), here)


def _is_number(token: str) -> bool:
    return token[:1].isdigit()


def _characters_changed(text: str, draw: random.Random) -> str:
    for _ in range(draw.choice((1, 2, 4, 9))):
        here = draw.randrange(len(text) + 1)
        length = draw.choice((0, 0, 1, 1, 3, 40))
        text = (
            text[:here]
            + draw.choice(("", draw.choice(CHARACTERS), text[here : here + length] * 2))
            + text[here + length :]
        )
    return text


def _statements_mixed(draw: random.Random) -> str:
    """Statements of one or two programs, some left out, doubled or moved, also out of and into blocks."""
    one = _statements(_excerpt(draw))
    other = _statements(_excerpt(draw)) if draw.random() < 0.5 else list(one)
    for _ in range(draw.choice((1, 2, 3))):
        here = draw.randrange(len(one) + 1)
        match draw.choice(("insert", "delete", "shuffle", "inner")):
            case "insert":
                one[here:here] = [draw.choice(other)]
            case "delete":
                del one[here : here + 1]
            case "shuffle":
                draw.shuffle(one)
            case "inner":
                lines = "".join(one).splitlines(keepends=True) or ["\n"]
                others = "".join(other).splitlines(keepends=True) or ["\n"]
                lines.insert(draw.randrange(len(lines)), draw.choice(others))
                one = _statements("".join(lines))
    return "".join(one)


# Checking ------------------------------------------------------------------------------------------------------------


def checked(seed: int, number: int) -> Outcome:
    """Checks one program; what it raises is the failure."""
    kind, text = made(seed, number)
    began = time.process_time()
    result = check_text(text)
    return Outcome(number, kind, time.process_time() - began, len(result.diagnostics))


def _prepare(folder: str) -> None:
    """A worker stands in an empty folder, so that programs find no files, and gives up what hangs."""
    os.chdir(folder)

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {HANGS} s")

    signal.signal(signal.SIGALRM, give_up)


def _guarded(seed: int, number: int) -> Outcome:
    signal.alarm(HANGS)
    outcome = checked(seed, number)
    signal.alarm(0)
    return outcome


def outcomes(seed: int, first: int, count: int, processes: int) -> Iterator[tuple[int, Future[Outcome]]]:
    """Every program's outcome, in order."""
    numbers = iter(range(first, first + count))
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processes, initializer=_prepare, initargs=(folder,)) as pool,
    ):
        while batch := list(islice(numbers, AT_ONCE)):
            futures = [pool.submit(_guarded, seed, number) for number in batch]
            yield from zip(batch, futures, strict=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures.txt"), help="where failing programs are kept"
    )
    parser.add_argument("--print", type=int, metavar="NUMBER", help="only print this program")
    asked = parser.parse_args()
    if asked.print is not None:
        print(made(asked.seed, asked.print)[1])
        return 0
    began = time.perf_counter()
    kinds: Counter[str] = Counter()
    slowest: list[Outcome] = []
    failures: list[str] = []
    raised: Counter[str] = Counter()
    sound = 0
    for number, future in outcomes(asked.seed, asked.first, asked.count, asked.processes):
        error = future.exception()
        if error is not None:
            last = traceback.extract_tb(error.__traceback__)
            raised[_where(error) if last else repr(error)] += 1
            failures.append(_kept(asked.seed, number, _trace(error)))
            continue
        outcome = future.result()
        kinds[outcome.kind] += 1
        sound += outcome.findings == 0
        slowest = sorted([*slowest, outcome], key=lambda each: -each.seconds)[:5]
        if outcome.seconds > LIMIT:
            failures.append(_kept(asked.seed, number, f"{outcome.seconds:.2f} s"))
    took = time.perf_counter() - began
    print(f"{asked.count:,} programs of seed {asked.seed} in {took:.0f} s, {asked.count / took:.0f} a second")
    print(f"  made by {', '.join(f'{kind} {count:,}' for kind, count in kinds.most_common())}")
    print(f"  {sound:,} without any finding")
    print(f"  slowest: {', '.join(f'{each.seconds * 1000:.0f} ms (number {each.number})' for each in slowest)}")
    hangs = len(failures) - sum(raised.values())
    print(f"  {sum(raised.values())} tracebacks, {hangs} over {LIMIT:.0f} s")
    for place, count in raised.most_common():
        print(f"    {count:>6}  {place}")
    if failures:
        asked.failures.write_text("\n".join(failures), encoding="utf-8")
        print(f"  the failing programs are in {asked.failures}")
    return 1 if failures else 0


def _trace(error: BaseException) -> str:
    """The traceback in the worker, which concurrent.futures hands over as the cause."""
    return str(error.__cause__ or error)


def _where(error: BaseException) -> str:
    """The last line of ours in a traceback, and what was raised there."""
    places = re.findall(r'File "[^"]*?((?:lang|compiler|stdlib|ptc)/[^"]*)", line (\d+)', _trace(error))
    place = ":".join(places[-1]) if places else "?"
    return f"{place}: {error!r}"[:160]


def _kept(seed: int, number: int, why: str) -> str:
    _, text = made(seed, number)
    return f"{'=' * 100}\nseed {seed}, number {number}\n{why}\n{'-' * 100}\n{text}\n"


if __name__ == "__main__":
    raise SystemExit(main())
