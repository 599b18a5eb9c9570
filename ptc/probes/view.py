"""What every probe looks at: who learns from which rows, how they are rendered, which model reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ptc.compiler import core
from ptc.compiler.checks.view import View as Whole
from ptc.compiler.domains import Domains
from ptc.lang.source import Span
from ptc.probes.drawing import Drawer, Drawn, Limits
from ptc.probes.tokenizers import Headers, Tokenizers
from ptc.runtime.rendering.rows import RenderedRow, Rendering
from ptc.runtime.rendering.tables import rendered_rows

if TYPE_CHECKING:
    pass

TEXTS = ("response", "chosen", "rejected", "text")
"""Columns whose tokens a loss may read."""


@dataclass(frozen=True)
class Lesson:
    """A source that a term learns from."""

    stage: core.Stage
    term: core.Term
    name: str
    """The parameter that it fills."""
    source: core.Source

    @property
    def place(self) -> Span:
        return self.term.places.get(self.name, self.term.span)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose tokens the loss reads, in the order in which they are always rendered."""
        read = {part.fields.get("column") for part in self.term.loss.walk() if part.source in (None, self.source)}
        return tuple(name for name in TEXTS if name in read)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns with one number per row that the loss reads."""
        parts = (part for part in self.term.loss.walk() if part.op == "column" and part.source in (None, self.source))
        return tuple(sorted({str(part.fields["name"]) for part in parts if "token" not in part.axes}))

    @property
    def rendering(self) -> Rendering:
        settings = self.stage.settings
        return Rendering(
            settings.get("max_length"), settings.get("truncate", "error"), settings.get("mask", "assistant")
        )

    def setting(self, name: str) -> Span | None:
        return self.stage.places.get(name)


@dataclass(frozen=True)
class Shown:
    """Rows of a lesson, rendered by the tokenizer of the model that learns them."""

    drawn: Drawn
    rendered: tuple[RenderedRow, ...]
    headers: Headers


@dataclass
class View:
    program: core.Program
    drawer: Drawer
    tokenizers: Tokenizers
    limits: Limits
    domains: Domains = field(default_factory=Domains)
    _shown: dict[tuple[int, int, str], Shown | None] = field(default_factory=dict)

    @cached_property
    def whole(self) -> Whole:
        """The program as the static checks see it."""
        return Whole(self.program, domains=self.domains)

    @cached_property
    def lessons(self) -> tuple[Lesson, ...]:
        return tuple(
            Lesson(stage, term, name, source)
            for stage in self.program.stages
            for term in stage.terms
            for name, source in (term.sources or {"": term.source}).items()
        )

    def headers(self, role: core.Role | core.Model) -> Headers | None:
        return self.tokenizers.of(role.init if isinstance(role, core.Role) else role)

    def learner(self, lesson: Lesson) -> core.Role:
        """The role that reads a lesson's tokens: the trained one, where several do."""
        read = [role for part in lesson.term.loss.walk() for role in part.models]
        return next((role for role in read if role.verb == "train"), lesson.stage.learner)

    def shown(self, lesson: Lesson) -> Shown | None:
        """A lesson as its stage would learn it; None where it is sampled, or rows or tokenizer are not here."""
        key = (id(lesson.term), id(lesson.source), lesson.stage.name)
        if key not in self._shown:
            self._shown[key] = self._show(lesson)
        return self._shown[key]

    def _show(self, lesson: Lesson) -> Shown | None:
        if lesson.source.live is not None or not lesson.columns:
            return None
        drawn, headers = self.drawer.rows(lesson.source), self.headers(self.learner(lesson))
        if drawn is None or headers is None or headers.tokenizer.eos_token_id is None:
            return None
        if headers.tokenizer.chat_template is None and lesson.columns != ("text",):
            return None
        some = drawn.spread(self.limits.rows)
        rendered = rendered_rows(some.table, lesson.columns, headers.tokenizer, lesson.rendering)
        return Shown(some, tuple(rendered), headers)

    def row(self, drawn: Drawn, number: int) -> str:
        """Where a row came from: ``rows.jsonl:17``."""
        return self.drawer.place(drawn.places[number])
