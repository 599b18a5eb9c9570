"""Models that are to speak one language: vocabularies, special tokens, templates, and where a text ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import bare
from ptc.compiler.mathematics.forwards import OWN_TOKENS
from ptc.probes.tokenizers import Headers
from ptc.probes.view import Lesson, View

FULL = ("logp_all", "kl", "jsd")
"""Operations that compare whole distributions."""


def check_tokenizers(view: View, findings: Findings) -> None:
    """D401: two models whose probabilities of the same tokens one loss reads, with different vocabularies."""
    for lesson, first, second in _compared(view):
        one, other = view.headers(first), view.headers(second)
        if one is None or other is None or first.init is second.init or _same_vocabulary(one, other):
            continue
        sizes = f"{len(one.tokenizer):,} and {len(other.tokenizer):,} tokens"
        findings.add(
            "D401",
            f"`{second.name}` and `{first.name}` do not share a tokenizer",
            [
                at(lesson.term.span, f"`{lesson.term.objective}` compares the two token by token"),
                at(first.span, f"`{first.name}` is bound here"),
                at(second.span, f"`{second.name}` is bound here"),
            ],
            ["a token of the one means something else to the other", f"they have {sizes}"],
            [*_sorted(lesson, first, second), f"or learn from its text instead:  minimize sft(…, {first.name})"],
        )


def _sorted(lesson: Lesson, student: core.Role, teacher: core.Role) -> list[str]:
    """What compares a student and a teacher whose tokens are others."""
    rows = lesson.term.source
    if teacher.verb != "freeze" or not rows.type.has("response"):
        return []
    call = f"uld({rows.name or '…'}, {student.name}, {teacher.name})"
    return [f"or compare sorted probabilities instead:  minimize {call}"]


def check_template_drift(view: View, findings: Findings) -> None:
    """D404: models that one loss compares, or that are merged, and that would render a conversation differently."""
    for lesson, first, second in _compared(view):
        one, other = view.headers(first), view.headers(second)
        if one is None or other is None or first.init is second.init or not _same_vocabulary(one, other):
            continue
        differs = _differences(one, other)
        if not differs:
            continue
        full = any(part.op in FULL for part in lesson.term.loss.walk())
        findings.add(
            "D404",
            f"`{second.name}` was made for another chat template than `{first.name}`: {differs[0]}",
            [
                at(lesson.term.places.get(_parameter(lesson.term, second), lesson.term.span), "reads the same tokens"),
                at(second.span, "bound here"),
                at(first.span, "its template renders the rows"),
            ],
            [*differs[1:], "its probabilities are of a text that it was not made for"],
            [f"or learn from its text instead:  minimize sft(…, {first.name})"],
            severity="error" if full and _ends(one) != _ends(other) else None,
        )
    _merged(view, findings)


def _merged(view: View, findings: Findings) -> None:
    for model in view.program.models:
        parts = [value for value in model.inputs.values() if isinstance(value, core.Model)]
        if model.kind != "merge" or len(parts) < 2:
            continue
        headers = view.headers(parts[0])
        for part in parts[1:]:
            other = view.headers(part)
            if headers is None or other is None or not (differs := _differences(headers, other)):
                continue
            findings.add(
                "D404",
                f"`{model.name}` merges models of two chat templates: {differs[0]}",
                [at(part.span, "another template"), at(parts[0].span, "the template of what is merged")],
                differs[1:],
                [f'retemplate({model.name}, template = "…")'],
            )
            break


def check_pad_is_eos(view: View, findings: Findings) -> None:
    """D413: a model with a value or reward head whose texts end in the token that pads them.

    Here the end of a text is known by its length; who reads the model elsewhere may look for padding. A critic is not
    handed on: that is a note.
    """
    seen: set[int] = set()
    for stage in view.program.stages:
        for role in stage.roles:
            headers = view.headers(role)
            if role.type.head == "language" or headers is None or id(role.init) in seen:
                continue
            seen.add(id(role.init))
            tokenizer = headers.tokenizer
            if tokenizer.pad_token_id is not None and tokenizer.pad_token_id == tokenizer.eos_token_id:
                findings.add(
                    "D413",
                    f"`{role.name}` is padded with `{tokenizer.eos_token}`, the token that ends a text",
                    [at(role.span, f"has a {role.type.head} head"), at(bare(role.init).span, "its tokenizer")],
                    [
                        "libraries read the number before the first padding, and that is where the end was; "
                        "here it is read by length",
                        f"a tokenizer needs a `pad_token` beside `{tokenizer.eos_token}`",
                    ],
                    severity="note" if role.type.head == "value" else None,
                )


def _compared(view: View) -> Iterator[tuple[Lesson, core.Role, core.Role]]:
    """The learner and each other model that a term asks about the same tokens, by term."""
    seen: set[tuple[int, int, int]] = set()
    for lesson in view.lessons:
        parts = (part for part in lesson.term.loss.walk() if OWN_TOKENS not in part.fields)
        read = dict.fromkeys(role for part in parts for role in part.models)
        for first, second in combinations(sorted(read, key=lambda role: role.verb != "train"), 2):
            key = (id(lesson.term), id(first), id(second))
            if key not in seen and first.verb == "train":
                seen.add(key)
                yield lesson, first, second


def _parameter(term: core.Term, role: core.Role) -> str:
    return next((name for name, given in term.roles.items() if given is role), "")


def _same_vocabulary(one: Headers, other: Headers) -> bool:
    return bool(one.tokenizer.get_vocab() == other.tokenizer.get_vocab())


def _ends(headers: Headers) -> tuple[str | None, ...]:
    return headers.tokenizer.eos_token, headers.tokenizer.bos_token


def _differences(one: Headers, other: Headers) -> list[str]:
    """What differs between two renderings, in words."""
    found = []
    for name in ("eos_token", "bos_token"):
        first, second = getattr(one.tokenizer, name), getattr(other.tokenizer, name)
        if first != second:
            found.append(f"`{name}` is {first!r} here and {second!r} there")
    templates = [headers.tokenizer.chat_template for headers in (one, other)]
    if templates[0] != templates[1] and None not in templates:
        found.append("the templates differ" + _think(templates))
    return found


def _think(templates: list[str | None]) -> str:
    thinking = ["think" in (template or "") for template in templates]
    return ", and one of them writes thoughts" if thinking[0] != thinking[1] else ""
