"""What is to be diagnosed: models and evals by the names of a program or run, or by folder."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptc.compiler import core
from ptc.compiler.lineage import Lineage
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.references import SOLUTIONS

MOST_EARLIER = 4
"""Checkpoints from before that are measured if none is named (engineering default)."""


@dataclass(frozen=True)
class Named:
    """A model, what it is called, and how a program writes it."""

    name: str
    model: core.Model
    text: str
    """Empty for one without a name."""

    @property
    def untaught(self) -> bool:
        """Whether these are weights that were drawn at random: nothing was learned, and nothing can be lost."""
        return self.model.kind == "new_model"


@dataclass(frozen=True)
class Subject:
    """One model on one eval, with what it was before, the latest first."""

    model: Named
    eval: core.Eval
    earlier: tuple[Named, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What the command line names."""

    eval: str | None = None
    model: str | None = None
    earlier: tuple[str, ...] | None = None
    finished: bool = False
    """Whether a finished run is meant, and with it what the program came to."""


def subjects(program: core.Program, asked: Asked) -> tuple[Subject, ...]:
    """What is named; where nothing is, every model that exists before training on the evals claimed of it, or of a
    finished run what it came to. Raises `InputWrong`."""
    lineage = Lineage(program)
    chosen: list[tuple[Named, core.Stage | None]]
    if asked.model is not None:
        chosen = [(named(program, asked.model), None)]
    elif asked.finished:
        chosen = [(_of_stage(stage), None) for stage in _ends(program)]
    else:
        chosen = [(one, stage) for one, stage in _beginnings(program, lineage)]
    if not chosen:
        raise InputWrong(
            "the program has no stage that starts from a model that is there: name one with --model, a folder with a "
            "checkpoint or the name of a model"
        )
    return tuple(
        Subject(model, eval_, _earlier(program, model, asked, lineage))
        for model, stage in chosen
        for eval_ in _evals(program, model, stage, asked, lineage)
    )


def named(program: core.Program, word: str) -> Named:
    """A stage or model of a program, or the checkpoint in a folder."""
    known = _models(program)
    if word in known:
        return Named(word, known[word], word)
    path = Path(word)
    if (path / "config.json").is_file():
        place = str(path.absolute())
        span = program.evals[0].span if program.evals else program.sources[0].span
        nothing = core.ModelType(None, None, None, ())
        model = core.Model("local_model", {"path": place, "sha256": None}, {}, nothing, span, path.name)
        return Named(path.name, model, f'local.model("{word}")')
    if path.is_dir():
        raise InputWrong(f"{word} holds no checkpoint: a folder with a config.json is one")
    raise InputWrong(f"there is no model `{word}`, and no such folder{_guess(word, known)}")


def reference_of(eval_: core.Eval, wanted: str | None) -> tuple[str | None, str | None]:
    """The column that holds references, or the file; neither where there are none and none were asked for."""
    type_ = eval_.source.type
    if wanted is None:
        found = next((name for name in ("answer", "entry") if name in type_.columns), None)
        return found, None
    if os.path.isfile(wanted):
        if not wanted.endswith((".jsonl", ".parquet")):
            raise InputWrong(f"{wanted}: references are rows of a .jsonl or .parquet file")
        return None, str(Path(wanted).absolute())
    name = wanted.removeprefix(".")
    if type_.has(name):
        return name, None
    raise InputWrong(
        f"--references {wanted}: `{eval_.name}` has no such column{_guess(name, type_.columns)}, and there is no such "
        f"file; a file has the columns `prompt` and one of {', '.join(SOLUTIONS)}"
    )


def _models(program: core.Program) -> dict[str, core.Model]:
    stages = {stage.name: stage.model for stage in program.stages}
    return {model.name: model for model in program.models if model.name} | stages


def _of_stage(stage: core.Stage) -> Named:
    return Named(stage.name, stage.model, stage.name)


def _ends(program: core.Program) -> list[core.Stage]:
    """The stages whose results are exported, and without an export the last one."""
    exported = [
        stage for stage in program.stages if any(export.model in stage.results.values() for export in program.exports)
    ]
    return exported or list(program.stages[-1:])


def _beginnings(program: core.Program, lineage: Lineage) -> Iterator[tuple[Named, core.Stage]]:
    """The models that stages start from and that no stage has to make, each once."""
    seen: set[int] = set()
    for stage in program.stages:
        init = stage.learner.init
        trained = lineage.stage_of(init) is not None or any(
            lineage.stage_of(each) is not None for each in init.type.ancestry
        )
        if not trained and id(init) not in seen and init.type.head == "language":
            seen.add(id(init))
            known = next((name for name, model in _models(program).items() if model is init), "")
            yield Named(known or f"init of {stage.name}", init, known), stage


def _evals(
    program: core.Program, model: Named, stage: core.Stage | None, asked: Asked, lineage: Lineage
) -> Sequence[core.Eval]:
    """The eval that is named; else those claimed by the stage, or on the way to the model; else those reported."""
    if asked.eval is not None:
        known = {each.name: each for each in program.evals}
        if asked.eval not in known:
            raise InputWrong(f"there is no eval `{asked.eval}`{_guess(asked.eval, known)}")
        if known[asked.eval].kind != "pass_rate":
            raise InputWrong(
                f"`{asked.eval}` is a {known[asked.eval].kind}: a diagnosis counts right attempts, `pass_rate`"
            )
        return [known[asked.eval]]
    made_in = lineage.stage_of(model.model)
    line = [stage] if stage is not None else [*lineage.upstream(made_in), made_in] if made_in is not None else []
    claimed = [claim.eval for each in line for claim in each.claims]
    found = _rates(claimed) or _rates(program.reports) or _rates(program.evals)
    if not found:
        raise InputWrong("the program has no `pass_rate`: a diagnosis counts right attempts at the prompts of one")
    if len(found) > 1 and not claimed:
        raise InputWrong(f"which eval? --eval names one of {', '.join(each.name for each in found)}")
    return found


def _rates(evals: Iterable[core.Eval]) -> list[core.Eval]:
    return list({id(each): each for each in evals if each.kind == "pass_rate"}.values())


def _earlier(program: core.Program, model: Named, asked: Asked, lineage: Lineage) -> tuple[Named, ...]:
    if asked.earlier is not None:
        return tuple(named(program, word) for word in asked.earlier)
    stage = lineage.stage_of(model.model)
    if stage is None:
        return ()
    upstream = set(lineage.upstream(stage))
    before = [each for each in program.stages if each in upstream and each.model.type.head == "language"]
    return tuple(_of_stage(each) for each in reversed(before))[:MOST_EARLIER]


def _guess(word: str, known: Iterable[str] | Mapping[str, object]) -> str:
    names = [name for name in known if name]
    close = difflib.get_close_matches(word, names, n=1)
    return f": did you mean `{close[0]}`?" if close else f"; there are {', '.join(names)}" if names else ""
