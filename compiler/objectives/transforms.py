"""P203: a ratio needs both log-probabilities under one distribution."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core, losses
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import drawn
from ptc.compiler.objectives.call import Call, Given
from ptc.compiler.objectives.columns import sampled

CUTS = ("top_p", "top_k", "min_p", "repetition_penalty")
WHOLE: dict[str, float] = {"top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1}
"""The values at which the sampler draws from the model's own distribution."""


@dataclass(frozen=True)
class Transforms:
    """Checks that a ratio of probabilities and the sampler speak of one distribution: cuts and temperature."""

    findings: Findings

    def fit(self, call: Call, given: Given, loss: core.Expression) -> bool:
        if loss.op == "extern":  # nobody knows what it does with them
            return True
        several = len(given.sources) > 1
        parts = ((source, part) for source in given.sources.values() for part in drawn(source))
        return all([self._fits(call, part, _said(loss, whole if several else None), loss) for whole, part in parts])

    def _fits(self, call: Call, source: core.Source, here: list[core.Expression], loss: core.Expression) -> bool:
        """`source` is drawn from one distribution; `here` is what the loss says of it."""
        sampling = source.type.sampling
        if sampling is None or not any(e.op == "column" and e.fields["name"] == "logprobs" for e in here):
            return True
        cut = [name for name in CUTS if getattr(sampling, name) != WHOLE[name]]
        if cut and not losses.corrects(loss):
            self._cut(call, source, sampling, cut)
            return False
        sample = sampled(source)
        place = sample.places.get("temperature", sample.span)
        if sampling.temperature == 0:
            self.findings.add(
                "P203",
                "greedy samples have no log-probabilities to form a ratio with",
                [at(place, "temperature 0"), at(call.span, "forms a ratio")],
                helps=["temperature = 1.0"],
            )
            return False
        if sampling.temperature not in {e.fields["temperature"] for e in here if e.op == "logp"}:
            self.findings.add(
                "P203",
                "the ratio compares log-probabilities at two temperatures",
                [at(place, f"sampled at {sampling.temperature:g}"), at(call.span, "taken at 1 in the loss")],
                helps=["temperature = 1.0", "logp(policy, .response, like = .logprobs)"],
            )
            return False
        return True

    def _cut(self, call: Call, source: core.Source, sampling: core.Sampling, cut: list[str]) -> None:
        sample = sampled(source)
        settings = ", ".join(f"{name} = {getattr(sampling, name):g}" for name in cut)
        self.findings.add(
            "P203",
            "the sampler changes the distribution that the ratio assumes to be the model's own",
            [
                at(sample.places.get(cut[0], sample.span), settings),
                at(call.span, "forms a ratio with the log-probabilities of the sampler"),
            ],
            ["those are of what was left after the cut: the ratio is not 1 even before the first update"],
            helps=[", ".join(f"{name} = {WHOLE[name]:g}" for name in cut)]
            + (["or weigh by how likely the sampler was to draw it:  tis = 2"] if "tis" in call.types else []),
        )


def _said(loss: core.Expression, source: core.Source | None) -> list[core.Expression]:
    """The parts of a loss that are about a source; None: it has no other."""
    return [part for part in loss.walk() if source is None or part.source is source]
