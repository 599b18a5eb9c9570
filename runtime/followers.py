"""Models that follow a trained one: an exponential moving average of its weights, or a copy made anew now and then."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ptc.runtime.training import Following


@dataclass(frozen=True)
class Follower:
    """A tracked model beside the one that it follows."""

    model: torch.nn.Module
    followed: torch.nn.Module
    rule: Following

    def follow(self, steps: int) -> None:
        """What happens to it after the `steps`-th update. Weights that are never trained are equal in both."""
        if self.rule.decay is None and steps % self.rule.every:
            return
        weight = 1.0 if self.rule.decay is None else 1 - self.rule.decay
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, parameter in self.followed.named_parameters():
                if parameter.requires_grad:
                    own[name].lerp_(parameter, weight)
