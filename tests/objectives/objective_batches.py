"""For each objective of the library a random batch with everything that it reads, of each of its sources."""

from __future__ import annotations

from dataclasses import replace

import torch
from loss_cases import pairs, random_ids, rollouts
from suitable import CALLS

from ptc.runtime.batches import Sample

Groups = list[list[Sample]]


def groups_of(name: str) -> list[Groups]:
    """Groups of unequal size and length, one list for each source of the objective."""
    call = CALLS[name][0]
    if "pairs" in call:
        return [scored(pairs(11)) if "judge" in call else pairs(11)]
    if "marked" in call:
        return [marked(11)]
    if "documents" in call:
        return [[[Sample({"text": sample.sequences["response"]})] for group in rollouts(11) for sample in group]]
    if "stepped" in call:
        return [stepped(11)]
    if "strangers" in call:
        return [labelled(11), rollouts(13, sizes=(3, 2, 2, 4))]
    if "traces" in call:
        return [rollouts(11), rollouts(12, sizes=(1, 0, 2, 1))]
    if "explained" in call or "informed" in call:
        return [[[_in_context(sample, place) for place, sample in enumerate(group)] for group in rollouts(11)]]
    if name == "uld":
        return [translated(11)]
    return [labelled(11)]


def translated(seed: int) -> Groups:
    """Responses that another model reads in tokens of its own: longer ones or shorter, of which some are met."""
    generator = torch.Generator().manual_seed(seed)
    return [[_translated(sample, generator) for sample in group] for group in rollouts(seed)]


def _translated(sample: Sample, generator: torch.Generator) -> Sample:
    prompt, ids = random_ids(generator, 2, 6), random_ids(generator, 0, 9)
    count = min(len(ids), len(sample.sequences["response"][1]), int(torch.randint(0, 6, (1,), generator=generator)))
    there, here = (
        torch.randperm(len(each), generator=generator)[:count].sort().values.tolist()
        for each in (ids, sample.sequences["response"][1])
    )
    name = "response by m1"
    return replace(
        sample,
        sequences={**sample.sequences, name: (prompt, ids)},
        masks={name: [place in there for place in range(len(ids))]},
        met={name: here},
    )


def labelled(seed: int) -> Groups:
    generator = torch.Generator().manual_seed(3)
    return [
        [
            replace(
                sample,
                numbers={
                    **sample.numbers,
                    "label": float(torch.rand(1, generator=generator) > 0.5),
                    "route": float(place % 3),
                },
            )
            for sample in group
        ]
        for place, group in enumerate(rollouts(seed))
    ]


def scored(groups: Groups) -> Groups:
    """A reward head is asked at the last token of both sides."""
    return [
        [replace(one, ends={side: [len(prompt) + len(ids) - 1] for side, (prompt, ids) in one.sequences.items()})]
        for (one,) in groups
    ]


def _in_context(sample: Sample, place: int) -> Sample:
    """The same response behind a longer prompt."""
    prompt, ids = sample.sequences["response"]
    return replace(
        sample, sequences={**sample.sequences, "response given context": ([*[3] * (place + 1), *prompt], ids)}
    )


def stepped(seed: int) -> Groups:
    """Responses in steps: several tokens long, or without a token of their own; one response in no step at all."""
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for group in rollouts(seed):
        groups.append([_in_steps(sample, generator) for sample in group])
    alone = groups[-1][0]
    groups[-1][0] = replace(
        alone, steps={"response": [-1] * len(alone.steps["response"])}, step_numbers={"step_rewards": []}
    )
    return groups


def _in_steps(sample: Sample, generator: torch.Generator) -> Sample:
    _, ids = sample.sequences["response"]
    count = int(torch.randint(1, 5, (1,), generator=generator))
    steps = torch.randint(0, count, (len(ids),), generator=generator).sort().values.tolist()
    rewards = torch.rand(count, generator=generator).tolist()
    return replace(sample, steps={"response": steps}, step_numbers={"step_rewards": rewards})


def marked(seed: int) -> Groups:
    """Solutions whose steps are labelled; two steps may end at one token."""
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for _ in range(5):
        prompt, ids = random_ids(generator, 2, 6), random_ids(generator, 3, 9)
        places = torch.randint(0, len(ids), (3,), generator=generator).sort().values.tolist()
        steps = [sum(place < position for place in places[:-1]) for position in range(len(ids))]
        labels = (torch.rand(3, generator=generator) > 0.5).float().tolist()
        ends = [len(prompt) + place for place in [*places[:-1], len(ids) - 1]]
        groups.append(
            [
                Sample(
                    {"steps": (prompt, ids)},
                    step_numbers={"step_labels": labels},
                    steps={"steps": steps},
                    ends={"steps": ends},
                )
            ]
        )
    return groups
