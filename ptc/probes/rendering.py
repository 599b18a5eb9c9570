"""Rows as a stage would learn them, rendered by the tokenizer of the model that learns: what comes out wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from ptc.compiler.findings import Findings, at
from ptc.lang.diagnostic import Label
from ptc.probes.view import Lesson, Shown, View
from ptc.probes.wording import examples, excerpt, marked, named, share
from ptc.runtime.rendering.conversations import SIDES, Conversation
from ptc.runtime.rendering.rows import Counts, histogram, sides_of
from ptc.runtime.rendering.tables import records
from ptc.runtime.rendering.template import Asked, apply_template
from ptc.runtime.rendering.turns import Fault, Problem, Rendered, roles

ROLES_OF = 8
"""Rows whose turns are told apart: every turn is rendered once more for it."""


def check_rendering(view: View, findings: Findings) -> None:
    """D405, D409, D410, D411, D412, D414: rows that cannot be rendered, each kind of fault once per source."""
    for lesson in view.lessons:
        shown = view.shown(lesson)
        if shown is None:
            continue
        faults: dict[Fault, list[tuple[int, Problem]]] = defaultdict(list)
        for row, rendered in enumerate(shown.rendered):
            if rendered.problem is not None:
                faults[rendered.problem.fault].append((row, rendered.problem))
        for fault, found in faults.items():
            _report(view, findings, lesson, shown, fault, found)


def _report(
    view: View, findings: Findings, lesson: Lesson, shown: Shown, fault: Fault, found: Sequence[tuple[int, Problem]]
) -> None:
    rows = share(len(found), len(shown.drawn))
    notes = examples(view.drawer, shown.drawn, [(row, problem.said) for row, problem in found])
    model = view.learner(lesson).init
    learned = at(lesson.place, "learned here")
    template = at(model.span, "its chat template")
    match fault:
        case Fault.NO_END:
            token = shown.headers.tokenizer.eos_token
            findings.add(
                "D405",
                f"a model trained on {named(lesson.source)} never learns to stop: no turn ends in `{token}`",
                [learned, template],
                [f"{rows} have a turn of the assistant without `{token}`", *_ending(shown, lesson, found)],
                [f'retemplate({model.name or "model"}, template = "chatml")'],
            )
        case Fault.DOUBLE_BEGIN:
            token = shown.headers.tokenizer.bos_token
            title = f"{rows} begin with `{token}` twice"
            first = found[0][0]
            notes = [f"{view.row(shown.drawn, first)} is the first of them", *_beginning(shown, lesson, first)]
            findings.add("D409", title, [learned, template], notes)
        case Fault.NOT_PRESERVED | Fault.BORDER_MERGED:
            last = "last" if lesson.rendering.mask == "assistant" else None
            findings.add(
                "D410",
                "the chat template rewrites what was said: what is learned is not what a model meets",
                [learned, template],
                [f"{rows} are rendered otherwise once they go on", *notes],
                [f'mask = "{last}"'] if last else [],
            )
        case Fault.NOTHING_TRAINED:
            title = f"{rows} have nothing to learn from"
            findings.add("D414", title, [learned], notes, ["|> keep(length(.response) > 0)"])
        case Fault.TOO_LONG:
            _too_long(findings, lesson, shown, learned, rows, notes)
        case _:
            origin = at(lesson.source.span, "the rows come from here")
            findings.add("D412", f"{rows} cannot be learned from", [learned, origin], notes)


def _beginning(shown: Shown, lesson: Lesson, row: int) -> list[str]:
    """How a row begins, as the template writes it."""
    side = sides_of(records(shown.drawn.table)[row], lesson.columns)[lesson.columns[0]]
    if not isinstance(side, Conversation):
        return []
    text = apply_template(shown.headers.tokenizer, [Asked(side.messages, tools=side.tools)])[0]
    return [f"it is rendered as {excerpt(text)}"] if isinstance(text, str) else []


def _ending(shown: Shown, lesson: Lesson, found: Sequence[tuple[int, Problem]]) -> list[str]:
    """What the template writes behind an answer instead of an end."""
    row = records(shown.drawn.table)[found[0][0]]
    side = sides_of(row, lesson.columns)[lesson.columns[0]]
    if not isinstance(side, Conversation):
        return []
    text = apply_template(shown.headers.tokenizer, [Asked(side.messages, tools=side.tools)])[0]
    said = str(side.messages[-1].get("content") or "").strip()
    if not isinstance(text, str) or not said or said not in text:
        return []
    behind = text.rpartition(said)[2]
    return [f"behind an answer the template writes {behind!r}" if behind else "behind an answer it writes nothing"]


def _too_long(
    findings: Findings, lesson: Lesson, shown: Shown, learned: Label, rows: str, notes: Sequence[str]
) -> None:
    rendering = lesson.rendering
    limit = f"max_length = {rendering.max_length:,}"
    place = lesson.setting("max_length")
    sampled = any(step.kind == "sample" for step in lesson.source.upstream())
    findings.add(
        "D411",
        f"{rows} are longer than {limit}" + ("" if rendering.truncate == "error" else ", and cannot be cut to it"),
        [at(place, "the limit") if place else learned, *([learned] if place else [])],
        [f"tokens: {histogram([row.length for row in shown.rendered if row.length], rendering.max_length)}", *notes],
        [
            f"max_length = {max(row.length for row in shown.rendered)}",
            *(['truncate = "right"'] if rendering.truncate == "error" and not sampled else []),
            'truncate = "drop"',
        ],
        severity="error",
    )


# What was cut ---------------------------------------------------------------------------------------------------------


def check_cuts(view: View, findings: Findings) -> None:
    """D411, D416: rows that a stage shortens or leaves out, as it was told to."""
    for lesson in view.lessons:
        shown = view.shown(lesson)
        if shown is None or Counts.of(shown.rendered).whole:
            continue
        counts, rendering = Counts.of(shown.rendered), lesson.rendering
        place = lesson.setting("truncate") or lesson.place
        done = [f"`{column}` is cut in {share(count, counts.rows)}" for column, count in sorted(counts.cut.items())]
        done += [f"{share(counts.dropped, counts.rows)} are left out"] if counts.dropped else []
        done += [f"{share(counts.split, counts.rows)} are split"] if counts.split else []
        findings.add(
            "D411",
            f"rows of {named(lesson.source)} are longer than max_length = {rendering.max_length:,}: {done[0]}",
            [at(place, "what becomes of them"), at(lesson.place, "learned here")],
            [*done[1:], f"tokens: {histogram(counts.lengths, rendering.max_length)}"],
            [f"max_length = {max(counts.lengths)}"],
        )
        lopsided = [row for row, one in enumerate(shown.rendered) if len(one.cut) == 1]
        if set(lesson.columns) == set(SIDES) and lopsided:
            longer = {shown.rendered[row].cut[0] for row in lopsided}
            findings.add(
                "D416",
                f"only one side of {share(len(lopsided), counts.rows, 'pairs')} is cut",
                [
                    at(place, f"cuts {' or '.join(f'`{side}`' for side in sorted(longer))}"),
                    at(lesson.place, "learned here"),
                ],
                ["the side that was cut ends in the middle of a sentence, and the loss compares the two"],
                ['truncate = "drop"', 'truncate = "left"'],
            )


def _listed(columns: Iterable[str]) -> str:
    return " or ".join(f"`{column}`" for column in sorted(columns))


# What bears loss ------------------------------------------------------------------------------------------------------


def check_masks(view: View, findings: Findings) -> None:
    """D417: turns that bear loss although they are not to, or do not although they are."""
    for lesson in view.lessons:
        shown = view.shown(lesson)
        if shown is None or lesson.rendering.mask == "all" or lesson.columns == ("text",):
            continue
        if not any(row.parts for row in shown.rendered):  # said already, and why
            continue
        if _headless(shown, lesson):
            model = view.learner(lesson).init
            findings.add(
                "D417",
                "the assistant's header bears loss: the chat template does not know `add_generation_prompt`",
                [at(lesson.place, "learned with its header"), at(model.span, "its chat template")],
                ["while sampling no header is written, so the model has to begin with one", *_example(shown)],
                [f'retemplate({model.name or "model"}, template = "chatml")'],
            )
            continue
        wrong = _leaking(shown, lesson)
        if wrong:
            row, role, trained, total = wrong
            findings.add(
                "D417",
                f"turns of `{role}` bear loss, and the stage learns the assistant's",
                [at(lesson.setting("mask") or lesson.place, "what is to be learned"), at(lesson.place, "learned here")],
                [f"{view.row(shown.drawn, row)}: {trained} of {total} tokens of `{role}` bear loss", *_example(shown)],
            )


def _headless(shown: Shown, lesson: Lesson) -> bool:
    """Whether a prompt is rendered alike with and without the header of the answer, and an answer has one."""
    for row in records(shown.drawn.table)[:ROLES_OF]:
        side = sides_of(row, lesson.columns)[lesson.columns[0]]
        if not isinstance(side, Conversation):
            continue
        turn = next((n for n, each in enumerate(side.messages) if n and each["role"] == "assistant"), None)
        if turn is None:
            continue
        before, after = side.messages[:turn], side.messages[: turn + 1]
        texts = apply_template(shown.headers.tokenizer, [Asked(before), Asked(before, header=True), Asked(after)])
        plain, header, whole = (text if isinstance(text, str) else "" for text in texts)
        said = str(after[-1].get("content") or "").strip()
        return bool(said) and plain == header and not whole[len(header) :].lstrip().startswith(said[:20])
    return False


def _leaking(shown: Shown, lesson: Lesson) -> tuple[int, str, int, int] | None:
    """The first row in which another role than the assistant bears loss: row, role, its tokens that do, and all."""
    for number, row in enumerate(records(shown.drawn.table)[:ROLES_OF]):
        sides = sides_of(row, lesson.columns)
        for part in shown.rendered[number].parts[:1]:
            for column, rendered in part.items():
                side = sides[column]
                if not isinstance(side, Conversation) or shown.rendered[number].cut:
                    continue
                for role, (trained, total) in roles(shown.headers.tokenizer, side, rendered).items():
                    if role != "assistant" and trained:
                        return number, role, trained, total
    return None


def check_little_trained(view: View, findings: Findings) -> None:
    """D414 as a warning: where most rows train no more than the token that ends them."""
    for lesson in view.lessons:
        shown = view.shown(lesson)
        if shown is None:
            continue
        rendered = [one for row in shown.rendered for part in row.parts for one in part.values()]
        if len(rendered) >= ROLES_OF and median(one.trained for one in rendered) <= 1:
            findings.add(
                "D414",
                f"most rows of {named(lesson.source)} train one token: the one that ends a turn",
                [at(lesson.place, "learned here"), at(lesson.source.span, "the rows come from here")],
                _example(shown),
                ["|> keep(length(.response) > 0)"],
                severity="warning",
            )


def _example(shown: Shown) -> list[str]:
    """A row as it is learned, what bears loss in brackets."""
    for row in shown.rendered:
        for part in row.parts:
            rendered: Rendered = next(iter(part.values()))
            pieces = [str(shown.headers.tokenizer.decode([token])) for token in rendered.tokens]
            return [f"learned in ⟦brackets⟧: {marked(pieces, rendered)}"]
    return []


def check_templates_there(view: View, findings: Findings) -> None:
    """D404 as an error: turns are to be rendered, and the model has no template. D405: its tokenizer names no end."""
    seen: set[int] = set()
    for lesson in view.lessons:
        model = view.learner(lesson).init
        headers = view.headers(model)
        if headers is None or id(model) in seen:
            continue
        seen.add(id(model))
        if headers.tokenizer.eos_token_id is None:
            findings.add(
                "D405",
                f"{f'`{model.name}`' if model.name else 'this model'} never learns to stop: its tokenizer names no end",
                [at(lesson.place, "learned here"), at(model.span, "a tokenizer without `eos_token`")],
            )
        elif headers.tokenizer.chat_template is None and lesson.columns != ("text",):
            findings.add(
                "D404",
                f"{f'`{model.name}`' if model.name else 'this model'} has no chat template: no turn can be rendered",
                [at(lesson.place, "turns are rendered here"), at(model.span, "a model without template")],
                helps=[f'train policy = retemplate({model.name or "model"}, template = "chatml")'],
                severity="error",
            )
