"""Every number that a diagnosis compares with, in one table.

Engineering defaults were set on other seeds than those that `benchmarks/diagnosis.py` tests on
(`docs/decisions/0034-a-diagnosis-is-a-comparison.md`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """A limit, what lies on its bad side, and where it comes from."""

    value: float
    words: str
    source: str = "engineering default"


MISS_RISK = Threshold(0.05, "chance to miss what is as likely as epsilon", "convention, as for intervals")
GROUP = Threshold(8, "attempts in a group, for the informative rate", "the library's default of `sample`")
INFORMEDNESS = Threshold(0.0, "J = TPR - FPR at or below it: the verifier tells nothing", "arXiv 2601.04411")
TRUE_POSITIVES = Threshold(
    0.9, "share of references found right below which a run refuses a verifier", "ptc's own gate"
)
STATED = Threshold(0.1, "share of attempts that end in the right answer and are judged wrong, less chance")
PARSED = Threshold(0.5, "share of attempts in which an answer is found")
FELL = Threshold(0.1, "what an earlier checkpoint's pass@k or pass@1 is higher by")
FEW = Threshold(8, "prompts for one answer: so few answers are few")
FEW_ANSWERS = Threshold(0.5, "share of all attempts that are one of those few answers")
VARIED = Threshold(0.25, "share of references that as few references make up, up to which answers ought to vary")
VARIETY = Threshold(0.75, "compressed size of what is said over that of an earlier checkpoint, of as many bytes")
NARROWED = Threshold(0.5, "entropy of answers over that of the earlier checkpoint")
SETTLED = Threshold(0.5, "share of prompts whose commonest answer the earlier checkpoint gave too")
UNSOLVED = Threshold(0.25, "share of prompts without a right attempt")
MISSED = Threshold(0.5, "nats per token that references cost beyond what the model itself expects, where unsolved")
BLOCKED = Threshold(0.5, "share of unsolved prompts with a token of the reference below epsilon")
COMPARABLE = Threshold(3, "tokens of an attempt over those of a reference, or the other way round")
EARLY = Threshold(0.5, "share of the reference that counts as early", "checks.md, Oracle-prefix curve")
HELPED = Threshold(0.5, "gain in pass@k on unsolved prompts from an early share of the reference")
GAP = Threshold(0.25, "pass@k - pass@1 of one model")
EXPOSED = Threshold(0.1, "teacher-forced minus free-running step accuracy")
TABLE = {name: value for name, value in dict(globals()).items() if isinstance(value, Threshold)}
