"""One row of the table of names: see `names.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Value = None | bool | int | float | str | tuple[float, ...] | tuple[str, ...]
"""A default. ``None`` is the program's `none`; of a row whose origin is `MUST` it means nothing."""

TRL: Final = "TRL 1.16"
TORCH: Final = "PyTorch"
PTC: Final = "ptc"
MUST: Final = "must be written"
"""There is no default: the checker asks for it."""

PUBLISHED: Final = "published"
"""The value of the paper that the method is from; the row's note says which."""

Origin = Literal["TRL 1.16", "PyTorch", "ptc", "must be written", "published"]

Place = str
"""What a row belongs to: `stage` for a stage's settings, `adamw`, `sample` or an objective for the arguments of a call,
`model` for roles, `watch`, `column`, `profile`."""


@dataclass(frozen=True)
class Name:
    """One row. `trl` lists TRL's spellings (first the present one), empty where TRL has no such thing; `theirs` is the
    default of the first."""

    where: Place
    ours: str
    default: Value
    origin: Origin
    trl: tuple[str, ...] = ()
    theirs: Value = None
    note: str = ""
    """For the page: units, what differs, what to write instead. A sentence or nothing."""

    @property
    def required(self) -> bool:
        return self.origin == MUST
