"""From the place where reading stopped to a sentence: first what people are known to mix up, then what was expected."""

from __future__ import annotations

from ptc.lang import mistakes
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.expectations import NAMED, TARGET, expectation
from ptc.lang.habits import HABITS
from ptc.lang.keywords import KEYWORDS
from ptc.lang.slips import SLIPS
from ptc.lang.stop import Stop, after, found
from ptc.lang.suggest import did_you_mean


def explain(stop: Stop) -> Diagnostic:
    """The one mistake that a stop is reported as."""
    for slip in (*HABITS, *SLIPS):
        diagnostic = slip(stop)
        if diagnostic is not None:
            return diagnostic
    if stop.wanted == {"STATEMENT"}:
        return mistakes.expected("a statement", "here", stop.place, found(stop), stop.place, True)
    before = stop.before()
    word = stop.text(before)
    want = expectation(stop.wanted)
    if stop.wanted == {"NAME"}:
        want = NAMED.get(word, want)
    if stop.wanted == {"EQUAL"} and stop.opens("extern"):
        want = TARGET
    place = stop.part(before.end, before.end)
    return mistakes.expected(
        want, after(word), place, found(stop), stop.place, stop.same_line(place), _meant(stop, stop.word)
    )


def _meant(stop: Stop, word: str) -> tuple[str, ...]:
    """The word of the language that could stand here and that `word` is a slip for."""
    words = [terminal.lower() for terminal in stop.accepted if terminal.lower() in KEYWORDS]
    return did_you_mean(word, words) if word.isidentifier() else ()
