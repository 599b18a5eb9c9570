"""The findings of the checker: collected while it works, never raised.

Each phase words its own messages beside the logic that needs them; here is only the list of codes, so that a code has
one name and one severity, and a page under ``docs/errors``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ptc.compiler import core
from ptc.lang.diagnostic import Diagnostic, Label, Severity
from ptc.lang.source import Span, Via


@dataclass(frozen=True)
class Check:
    """What can be found: its code, the name of its page, and how bad it is."""

    code: str
    name: str
    severity: Severity


CHECKS: tuple[Check, ...] = (
    # Names
    Check("N101", "unknown-name", "error"),
    Check("N102", "declared-twice", "error"),
    Check("N103", "unknown-argument", "error"),
    Check("N104", "missing-argument", "error"),
    Check("N105", "unknown-setting", "error"),
    Check("N106", "not-in-library", "error"),
    Check("N107", "wrong-kind", "error"),
    Check("N108", "unknown-step", "error"),
    Check("N109", "too-many-arguments", "error"),
    Check("N110", "not-supported", "error"),
    Check("N111", "same-meaning", "note"),
    Check("N112", "unknown-choice", "error"),
    Check("N113", "unused-allow", "note"),
    Check("N114", "module-not-found", "error"),
    Check("N115", "import-cycle", "error"),
    Check("N116", "recipe-recursion", "error"),
    Check("N117", "no-return", "error"),
    Check("N118", "extern-not-allowed", "error"),
    Check("N119", "unused-parameter", "warning"),
    Check("N120", "idle-setting", "error"),
    Check("N121", "protects-nothing", "warning"),
    Check("N122", "cannot-be-allowed", "error"),
    Check("N123", "idle-argument", "error"),
    Check("N124", "not-watched", "error"),
    Check("N125", "one-weight-each", "error"),
    Check("N130", "step-order", "error"),
    # Units
    Check("U201", "bare-count", "error"),
    Check("U202", "wrong-unit", "error"),
    Check("U203", "decimal-token-count", "note"),
    Check("U204", "out-of-range", "error"),
    Check("U205", "weights-do-not-fit", "error"),
    # Columns, types and axes
    Check("T101", "missing-column", "error"),
    Check("T102", "group-too-small", "error"),
    Check("T103", "open-axis", "error"),
    Check("T104", "axis-not-there", "error"),
    Check("T105", "not-a-number", "error"),
    Check("T106", "no-responses", "error"),
    Check("T107", "nonlinear-in-batch", "error"),
    Check("T108", "step-segmentation-missing", "error"),
    Check("T109", "loss-mask-leak", "error"),
    Check("T110", "signal-type-mismatch", "error"),
    Check("T111", "wrong-type", "error"),
    Check("T112", "division-by-zero", "error"),
    Check("T113", "head-missing", "error"),
    Check("T114", "which-source", "error"),
    Check("T115", "precondition-unmet", "error"),
    Check("T116", "nothing-to-learn-from", "error"),
    Check("T120", "no-score", "error"),
    Check("T121", "never-passes", "error"),
    # Provenance
    Check("P201", "false-on-policy", "error"),
    Check("P202", "too-stale", "error"),
    Check("P203", "sampling-transform-mismatch", "error"),
    Check("P204", "eval-in-training", "error"),
    Check("P205", "split-by-seed", "warning"),
    Check("P206", "staleness-uncorrected", "warning"),
    Check("P207", "sampler-trainer-mismatch", "warning"),
    Check("P208", "hint-leak", "error"),
    Check("P209", "replay-without-age", "warning"),
    Check("P210", "preference-off-support", "warning"),
    Check("P211", "kl-estimator-bias", "warning"),
    # Roles of models, claims of stages
    Check("R301", "missing-reference", "error"),
    Check("R302", "unused-role", "warning"),
    Check("R303", "reference-not-frozen", "error"),
    Check("R304", "reference-lineage", "error"),
    Check("R305", "role-claim-unsupported", "warning"),
    Check("R306", "consolidates-nothing", "error"),
    Check("R307", "zero-signal-teacher", "error"),
    Check("R308", "nothing-to-train", "error"),
    Check("R309", "nothing-to-reshape", "error"),
    Check("R310", "learner-not-trained", "error"),
    Check("R311", "ambiguous-carrier", "error"),
    Check("R313", "adapter-reference", "error"),
    Check("R314", "reference-cache-stale", "error"),
    Check("R315", "ambiguous-stage-model", "error"),
    Check("R316", "imitates-itself", "error"),
    Check("R317", "unreadable-claim", "error"),
    Check("R318", "dropout-in-ratio", "warning"),
    # Composition across stages
    Check("C601", "reshape-before-support", "note"),
    Check("C602", "over-expanded-init", "warning"),
    Check("C603", "cold-start-prompt-reuse", "warning"),
    Check("C604", "sft-after-rl-unprotected", "warning"),
    Check("C605", "ancestor-teacher-regression", "error"),
    Check("C606", "merge-strangers", "error"),
    Check("C607", "specialists-unwatched", "warning"),
    Check("C608", "claim-unprotected", "note"),
    Check("C609", "verifier-starves-successor", "warning"),
    Check("C610", "rm-distribution-shift", "warning"),
    Check("C611", "self-train-closed-loop", "warning"),
    Check("C612", "self-judge-cycle", "warning"),
    Check("C613", "no-exit-criterion", "note"),
    Check("C614", "safety-unwatched", "note"),
    Check("C615", "capacity-gap", "note"),
    Check("C616", "pasted-path", "error"),
    # Data, tokenizer and template
    Check("D401", "tokenizer-mismatch", "error"),
    Check("D402", "not-fetched", "note"),
    Check("D403", "unreadable-data", "error"),
    Check("D404", "template-drift", "warning"),
    Check("D405", "eos-unlearnable", "error"),
    Check("D406", "truncation-budget", "warning"),
    Check("D407", "train-eval-overlap", "error"),
    Check("D408", "pair-degenerate", "warning"),
    Check("D409", "double-bos", "error"),
    Check("D410", "prefix-not-preserved", "error"),
    Check("D411", "rows-cut", "warning"),
    Check("D412", "dropped-rows", "error"),
    Check("D413", "pad-is-eos", "warning"),
    Check("D414", "nothing-trained", "error"),
    Check("D415", "prompt-too-long", "error"),
    Check("D416", "paired-cut", "warning"),
    Check("D417", "mask-differs", "error"),
    # Verifiers and evals
    Check("V701", "scaffold-at-eval", "error"),
    Check("V702", "selection-on-report", "error"),
    Check("V703", "reward-is-metric", "warning"),
    Check("V704", "learned-reward-no-kl", "warning"),
    Check("V705", "verifier-version-drift", "error"),
    Check("V706", "reward-sum-domination", "warning"),
    Check("V707", "known-contaminated-pair", "warning"),
    Check("V708", "unmatched-comparison", "error"),
    Check("V709", "verifier-contract-unmet", "warning"),
    Check("V710", "verifier-informedness", "error"),
    Check("V711", "guessable-verifier", "warning"),
    Check("V712", "underpowered-claim", "warning"),
    Check("V713", "gold-unreadable", "warning"),
    # Gates and monitors
    Check("G801", "not-measured", "error"),
    # Plan and resources
    Check("L501", "no-budget", "error"),
    Check("L502", "no-batch", "error"),
    Check("L503", "batch-splits-groups", "error"),
    Check("L504", "nothing-to-minimize", "error"),
    Check("L505", "warmup-too-long", "error"),
    Check("L506", "nothing-to-run", "note"),
    Check("L507", "context-too-short", "error"),
    Check("L508", "lr-out-of-band", "note"),
    Check("L509", "does-not-fit", "error"),
    Check("L510", "option-not-honoured", "error"),
    Check("L511", "head-precision", "error"),
    Check("L512", "library-versions", "error"),
)

PLACED = frozenset({"P207", "L509", "L510", "L511", "L512"})
"""What is looked for only where a profile is named."""
RESOURCES = frozenset({"L509", "L512"})
"""What is right, and has not what it needs: exit code 6."""

BY_CODE = {check.code: check for check in CHECKS}
BY_NAME = {check.name: check for check in CHECKS}


def at(span: Span, text: str = "") -> Label:
    """A labelled place in the program."""
    return Label(span, text)


@dataclass(frozen=True)
class Absent:
    """Something outside that a program names, and that nobody has looked at."""

    name: str
    unknown: str
    """What is not known of it, in words."""
    span: Span
    on_hub: bool


@dataclass
class Findings:
    """Where the checker puts what it finds."""

    found: list[Diagnostic] = field(default_factory=list)
    typed: list[core.Source | core.Model | core.Role] = field(default_factory=list)
    """What expressions turned out to be, those of stages that did not come whole too: for editors."""
    absent: list[Absent] = field(default_factory=list)
    """What could not be looked at: told in one note."""
    called: dict[str, str] = field(default_factory=dict)
    """What the program calls something that another file names, by the path that it has there: ``shared.skill``."""
    _seen: set[object] = field(default_factory=set)

    def add(
        self,
        code: str,
        title: str,
        labels: Sequence[Label],
        notes: Sequence[str] = (),
        helps: Sequence[str] = (),
        severity: Severity | None = None,
    ) -> None:
        """Adds a finding; `severity` where the case at hand weighs less or more than the check usually does.

        A mistake in a recipe, or in a file that is imported, is said once, with the first call or import that leads
        to it.
        """
        check = BY_CODE[code]
        ways = tuple(dict.fromkeys(way for label in labels for way in label.span.ways()))
        key = (code, *_without_paths((title, *(label.text for label in labels), *notes), ways), *_places(labels))
        if key in self._seen:
            return
        self._seen.add(key)
        reached = tuple(at(way.span, way.text) for way in ways)
        diagnostic = Diagnostic(
            check.code,
            check.name,
            severity or check.severity,
            self._as_called(title),
            tuple(at(label.span, self._as_called(label.text)) for label in (*labels, *reached)),
            tuple(map(self._as_called, notes)),
            tuple(map(self._as_called, helps)),
        )
        self.found.append(diagnostic)

    def _as_called(self, text: str) -> str:
        """A text with the names that the program uses itself."""
        for path, name in self.called.items():
            if path in text:
                text = re.sub(rf"(?<![\w.]){re.escape(path)}(?!\w)", name, text)
        return text

    def take(self, diagnostic: Diagnostic, via: Via) -> None:
        """Adds what the parser has found in a file that the program comes to by `via`."""
        ways = (via, *via.span.ways())
        reached = tuple(at(way.span, way.text) for way in ways)
        self.found.append(replace(diagnostic, labels=(*diagnostic.labels, *reached)))


def _without_paths(texts: Sequence[str], ways: Sequence[Via]) -> tuple[str, ...]:
    """The texts of a finding as they would be at every call: `r1.tuned` is `tuned`."""
    paths = {way.path for way in ways if way.path}
    if not paths:
        return tuple(texts)
    longest = "|".join(re.escape(path) for path in sorted(paths, key=len, reverse=True))
    return tuple(re.sub(rf"`(?:{longest})", "`", text) for text in texts)


def _places(labels: Sequence[Label]) -> tuple[object, ...]:
    return tuple((id(label.span.text), label.span) for label in labels)
