"""The command line. Nothing heavy is imported before the command is known: `ptc check` must feel immediate."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from ptc.experiments.commands import Options
    from ptc.running import Request

EPILOG = """\
exit codes: 0 ok, 1 the run failed, 2 the program or the command line is wrong, 3 plan drift, 4 a gate or invariant
failed, 5 interrupted and resumable, 6 resources missing, 130 Ctrl-C (resumable)"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with a guess, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}\n{self.format_usage().rstrip()}", file=sys.stderr)
        raise SystemExit(2)

    def parse_all(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parses; says of an unknown option what was probably meant."""
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            word = next((word for word in unknown if word.startswith("-")), None)
            if word is None:
                self.error(f"too many arguments: {' '.join(unknown)}")
            self.error(f"there is no option `{word}`{_guess(word.split('=')[0], options)}")
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    brief = arguments is None and words[:1] in (["check"], ["fmt"], ["explain"])
    if brief:
        gc.disable()  # the process ends before collecting garbage would pay
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except SystemExit as leaving:  # argparse's way to return
        return leaving.code if isinstance(leaving.code, int) else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `ptc … | head`: nobody reads on, and the interpreter must not try to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        if brief:
            gc.freeze()  # and the interpreter, which collects once more as it ends, finds nothing to look through


def _dispatch(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        _help(file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"ptc {version('ptc')}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        print(f"ptc: there is no {what} `{name}`{_guess(name, COMMANDS)}; see `ptc --help`", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    parser = Parser(prog=f"ptc {name}", description=command.__doc__, epilog=EPILOG, allow_abbrev=False)
    return command(parser, words[1:])


def _help(file: TextIO) -> None:
    print("usage: ptc COMMAND …\n", file=file)
    for name, command in COMMANDS.items():
        print(f"  {name:<9}{(command.__doc__ or '').splitlines()[0]}", file=file)
    print(f"\n`ptc COMMAND --help` has the options.\n{EPILOG}", file=file)


def _guess(word: str, known: Sequence[str] | dict[str, Command]) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean `{close[0]}`?" if close else ""


# Commands ------------------------------------------------------------------------------------------------------------


def check(parser: Parser, words: Sequence[str]) -> int:
    """Says what is wrong with programs, and where. Runs nothing, loads nothing."""
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--types", action="store_true", help="print the inferred type of each source")
    parser.add_argument("--data", action="store_true", help="look at rows: rendered, compared with evals, judged")
    parser.add_argument("--rows", type=_count, metavar="N", help="rows of each source that --data renders (200)")
    parser.add_argument("--words", type=_count, metavar="N", help="words in a row that make two prompts one (13)")
    _stand_ins(parser)
    parser.add_argument("--profile", metavar="FILE", help="where it would run: whether it fits, and is carried out")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    _set(parser)
    _json(parser)
    found = parser.parse_all(words)
    settings = _settings(parser, found.set)
    _check_stand_ins(parser, found)
    from ptc import checking

    return checking.check(
        found.files,
        settings,
        found.types,
        found.data,
        found.strict,
        found.json,
        found.stand_ins,
        found.profile,
        {name: value for name, value in (("rows", found.rows), ("words", found.words)) if value is not None},
    )


def _count(text: str) -> int:
    """A number of rows or words: 1 or more."""
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def lock(parser: Parser, words: Sequence[str]) -> int:
    """Writes down what the hub holds under the names of a program, in ptc.lock beside it."""
    parser.add_argument("file", metavar="FILE")
    _stand_ins(parser)
    _set(parser)
    found = parser.parse_all(words)
    _check_stand_ins(parser, found)
    from pathlib import Path

    from ptc import locking
    from ptc.stand_ins import StandIns

    known = StandIns(Path(found.stand_ins)) if found.stand_ins is not None else None
    return locking.lock(found.file, _settings(parser, found.set), known)


def fmt(parser: Parser, words: Sequence[str]) -> int:
    """Lays programs out. Changes no meaning and loses no comment."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="- reads standard input and writes standard output")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 if something would change")
    parser.add_argument("--diff", action="store_true", help="change nothing; print what would change")
    parser.add_argument("--edition", type=int, metavar="YEAR", help="rewrite for an edition, and say so in line 1")
    found = parser.parse_all(words)
    from ptc import formatting

    return formatting.fmt(found.files, formatting.Wish(found.check, found.diff, found.edition))


def explain(parser: Parser, words: Sequence[str]) -> int:
    """Prints the page of a finding, or the list of all."""
    parser.add_argument("finding", nargs="?", metavar="CODE", help="such as P201, or its name: false-on-policy")
    found = parser.parse_all(words)
    from ptc import explaining

    return explaining.explain(found.finding)


def plan(parser: Parser, words: Sequence[str]) -> int:
    """Says what a run would do, what it would reuse, and why."""
    _program(parser)
    parser.add_argument("--emit", choices=("ast", "core", "graph", "plan"), default="plan", help="what to print")
    _stand_ins(parser)
    _json(parser)
    found = parser.parse_all(words)
    _check_stand_ins(parser, found)
    from ptc import running

    return running.plan(_request(parser, found), found.emit, found.json)


def run(parser: Parser, words: Sequence[str]) -> int:
    """Runs a program, or goes on where it was interrupted."""
    _program(parser)
    parser.add_argument("--to", metavar="NODE", help="only this node and what it needs")
    parser.add_argument("--dry", action="store_true", help="plan only")
    parser.add_argument("--no-wait", action="store_true", help="leave if another run computes the same node")
    parser.add_argument("--allow-extern", action="store_true", help="call Python that the program names by `extern`")
    parser.add_argument("--smoke", action="store_true", help="the same graph on tiny models and few rows, on the CPU")
    _stand_ins(parser)
    found = parser.parse_all(words)
    if found.stand_ins is not None and not found.smoke:
        parser.error("--stand-ins is for --smoke: a run has the hub itself")
    if found.smoke and found.dry:
        parser.error("--dry plans a run, and --smoke is one: leave one of them out")
    _check_stand_ins(parser, found)
    if found.smoke:
        from ptc import smoking

        return smoking.run(_request(parser, found), wait=not found.no_wait)
    from ptc import running

    if found.dry:
        return running.plan(_request(parser, found), "plan", as_json=False)
    return running.run(_request(parser, found), wait=not found.no_wait)


def graph(parser: Parser, words: Sequence[str]) -> int:
    """Draws the graph of a program."""
    _program(parser)
    forms = ("mermaid", "dot", "svg", "json")
    parser.add_argument("--format", choices=forms, default="mermaid", help="svg is drawn by Graphviz")
    _stand_ins(parser)
    found = parser.parse_all(words)
    _check_stand_ins(parser, found)
    from ptc import running

    return running.graph(_request(parser, found), found.format)


def sweep(parser: Parser, words: Sequence[str]) -> int:
    """Runs a program under many settings, each common part once, and compares the runs."""
    _program(parser)
    parser.add_argument("--zip", action="store_true", help="first values together, then second ones: no product")
    _experiment(parser)
    found = parser.parse_all(words)
    from ptc.experiments import commands

    return commands.sweep(_request(parser, found), _options(found), found.zip)


def ablate(parser: Parser, words: Sequence[str]) -> int:
    """Runs a program without a stage, in another order, on other rows; compares at matched budget."""
    _program(parser)
    add = parser.add_argument
    add("--drop", action="append", default=[], metavar="STAGE", help="without it: who took it takes what it began from")
    add("--permute", action="append", default=[], metavar="A,B", help="two stages in the other order")
    add(
        "--swap", action="append", default=[], metavar="S=KIND", help="a source live, fixed, demonstrations, or another"
    )
    add("--random-reward", action="append", default=[], metavar="STAGE", help="its rewards to the wrong attempts")
    add("--all", action="store_true", help="every ablation that has a meaning for the program")
    add("--no-match", action="store_true", help="nobody gets the budget of a stage that is left out")
    _experiment(parser)
    found = parser.parse_all(words)
    pairs = [tuple(each.split(",")) for each in found.permute]
    swaps = [tuple(each.split("=")) for each in found.swap]
    for option, form, given in (("--permute", "A,B", pairs), ("--swap", "SOURCE=KIND", swaps)):
        if any(len(each) != 2 or not all(each) for each in given):
            parser.error(f"{option} takes {form}")
    if not (found.all or found.drop or pairs or swaps or found.random_reward):
        parser.error(
            "nothing to ablate: --drop STAGE, --permute A,B, --swap SOURCE=KIND, --random-reward STAGE or --all"
        )
    from ptc.experiments import commands
    from ptc.experiments.ablations import Wish

    wish = Wish(found.drop, pairs, swaps, found.random_reward, found.all, not found.no_match)
    return commands.ablate(_request(parser, found), _options(found), wish)


def compare(parser: Parser, words: Sequence[str]) -> int:
    """Compares two or more runs: what each measured, how sure the differences are, what each took."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="an id, its beginning, a folder, or a program's file")
    parser.add_argument("--profile", metavar="FILE")
    parser.add_argument("--store", metavar="FOLDER", help="the store, if not the profile's")
    parser.add_argument("--report", metavar="FILE", help="write a page and, beside it, JSON")
    _unmatched(parser)
    _json(parser)
    found = parser.parse_all(words)
    if len(found.runs) < 2:
        parser.error("a comparison takes two runs or more; `ptc runs` lists them")
    from ptc.experiments import commands

    options = commands.Options(report=found.report, unmatched=found.unmatched, as_json=found.json)
    return commands.compare_runs(found.runs, found.profile, found.store, options)


def _experiment(parser: Parser) -> None:
    add = parser.add_argument
    add("--seeds", type=_count, metavar="N", help="so many training runs of each, with the seeds 42, 43, …")
    add("--dry", action="store_true", help="say what would run, and what is shared")
    add("--report", metavar="FILE", help="write the comparison here too")
    add("--to", metavar="NODE", help="of each run only this node and what it needs")
    add("--no-wait", action="store_true", help="leave if another run computes the same node")
    add("--allow-extern", action="store_true", help="call Python that the program names by `extern`")
    _unmatched(parser)


def _unmatched(parser: Parser) -> None:
    parser.add_argument("--unmatched", default="", metavar="REASON", help="why unlike runs are compared all the same")


def _options(found: argparse.Namespace) -> Options:
    from ptc.experiments.commands import Options

    return Options(found.seeds, found.dry, found.report, found.unmatched, not found.no_wait)


def diagnose(parser: Parser, words: Sequence[str]) -> int:
    """Says what holds a model back on an eval, how surely, and what would help."""
    parser.usage = "ptc diagnose PROGRAM.pt [--model NAME|FOLDER] [--eval NAME] …\n       ptc diagnose RUN_FOLDER …"
    parser.add_argument(
        "what",
        metavar="PROGRAM|RUN",
        help="a program: the models that its stages start from; a run's folder: what the run came to",
    )
    parser.add_argument(
        "--model", metavar="NAME|FOLDER", help="this model instead: by its name, or a checkpoint's folder"
    )
    parser.add_argument("--eval", metavar="NAME", help="on this eval; else those that are claimed of it, or reported")
    parser.add_argument(
        "--references",
        metavar="COLUMN|FILE",
        help="reference solutions: a column of the eval's prompts (answer), or rows of prompts and solutions",
    )
    parser.add_argument(
        "--earlier",
        action="append",
        metavar="NAME|FOLDER",
        help="a checkpoint from before, latest first; else the stages that led to a model of the program",
    )
    parser.add_argument("--prompts", type=_count, default=64, metavar="N", help="prompts of the eval (64)")
    parser.add_argument("--samples", type=_count, default=64, metavar="N", help="attempts at each (64)")
    parser.add_argument("--profile", metavar="FILE", help="where and how it runs; without one, what the machine has")
    parser.add_argument("--store", metavar="FOLDER", help="the store, if not the profile's")
    parser.add_argument("--allow-extern", action="store_true", help="call Python that the program names by `extern`")
    _set(parser)
    _json(parser)
    found = parser.parse_all(words)
    if found.samples < 8:
        parser.error("--samples: a group of 8 is the least that says anything; 64 are usual")
    if found.prompts < 2:
        parser.error("--prompts: an interval needs two or more")
    if not os.path.exists(found.what):
        parser.error(f"there is no file or folder {found.what}")
    from ptc.diagnosis import command, subjects

    earlier = None if found.earlier is None else tuple(found.earlier)
    options = command.Options(
        found.what,
        _settings(parser, found.set),
        subjects.Asked(found.eval, found.model, earlier),
        found.references,
        found.prompts,
        found.samples,
        found.json,
        found.store,
        found.profile,
        found.allow_extern,
    )
    return command.diagnose(options)


def lsp(parser: Parser, words: Sequence[str]) -> int:
    """Answers an editor: the language server, on standard input and output."""
    parser.add_argument("--stdio", action="store_true", help="what it does anyway; some editors say it")
    parser.parse_all(words)
    from importlib.util import find_spec

    if find_spec("pygls") is None:
        print('ptc lsp: the language server needs pygls:  pip install "ptc[lsp]"', file=sys.stderr)
        return 6
    from ptc.lsp.server import serve

    return serve()


def new(parser: Parser, words: Sequence[str]) -> int:
    """Begins a program from a template, or lists the templates."""
    parser.add_argument("template", nargs="?", metavar="TEMPLATE", help="such as grpo; without one, the list")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where; else a folder of the template's name")
    found = parser.parse_all(words)
    from ptc import starting

    return starting.new(found.template, found.folder)


def runs(parser: Parser, words: Sequence[str]) -> int:
    """Lists the runs of a store."""
    parser.add_argument("--profile", metavar="FILE", help="the profile that names the store")
    parser.add_argument("--store", metavar="FOLDER", help="the store, if not the profile's")
    _json(parser)
    found = parser.parse_all(words)
    from ptc import running

    return running.runs(found.profile, found.store, found.json)


def report(parser: Parser, words: Sequence[str]) -> int:
    """Writes the page of a run: what was claimed, what was measured, and all that led there."""
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="id or its beginning, folder, or a program; else the newest"
    )
    parser.add_argument("--out", metavar="FOLDER|FILE", help="where the page goes; else the run's folder")
    parser.add_argument("--json", action="store_true", help="the same as report.json beside the page")
    parser.add_argument("--figures", metavar="FOLDER", help="every figure as PNG and SVG, for papers")
    parser.add_argument("--live", action="store_true", help="follow a run that goes on, until it ends")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--profile", metavar="FILE", help="the profile that names the store")
    parser.add_argument("--store", metavar="FOLDER", help="the store, if not the profile's")
    found = parser.parse_all(words)
    if found.live and (found.json or found.figures):
        parser.error("--live writes the page alone: ask for --json and --figures when the run has ended")
    from ptc.report.command import Wish, command

    return command(Wish(**vars(found)))


Command = Callable[[Parser, Sequence[str]], int]

COMMANDS: dict[str, Command] = {
    "check": check,
    "lock": lock,
    "fmt": fmt,
    "explain": explain,
    "plan": plan,
    "run": run,
    "sweep": sweep,
    "ablate": ablate,
    "compare": compare,
    "graph": graph,
    "diagnose": diagnose,
    "new": new,
    "lsp": lsp,
    "runs": runs,
    "report": report,
}


# Options that several commands have ----------------------------------------------------------------------------------


def _program(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--profile", metavar="FILE", help="where and how it runs; without one, what the machine has")
    parser.add_argument("--store", metavar="FOLDER", help="the store, if not the profile's")
    _set(parser)


def _stand_ins(parser: Parser) -> None:
    parser.add_argument("--stand-ins", metavar="FOLDER", help="what datasets and models of the hub look like")


def _check_stand_ins(parser: Parser, found: argparse.Namespace) -> None:
    if found.stand_ins is not None and not os.path.isdir(found.stand_ins):
        parser.error(f"there is no folder {found.stand_ins}")


def _set(parser: Parser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a `param`, or a path")


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _settings(parser: Parser, pairs: Sequence[str]) -> dict[str, str]:
    """``beta=0.2`` as a pair; the checker knows the types."""
    settings: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            parser.error(f"--set takes NAME=VALUE, not `{pair}`")
        if name in settings:
            parser.error(f"--set gives `{name}` twice")
        settings[name] = value
    return settings


def _request(parser: Parser, found: argparse.Namespace) -> Request:
    from ptc.running import Request

    settings = _settings(parser, found.set)
    return Request(
        found.file,
        settings,
        found.profile,
        found.store,
        getattr(found, "to", None),
        getattr(found, "allow_extern", False),
        getattr(found, "stand_ins", None),
    )
