"""The stages: ten designs, each meant to do something else to its model, in ten doses. Written before any verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PROMPTS = 400
ATTEMPTS = 16

HEAD = """edition 2026
from std.objectives import sft, grpo, reverse_kl
from std.verifiers import exact

source copied   = jsonl("copied.jsonl")   |> prompts(.prompt, answer = .answer)
source mirrored = jsonl("mirrored.jsonl") |> prompts(.prompt, answer = .answer)
source shifted  = jsonl("shifted.jsonl")  |> prompts(.prompt, answer = .answer)
source copies   = copied   |> respond(.answer)
source mirrors  = mirrored |> respond(.answer)
source shifts   = shifted  |> respond(.answer)
source known    = copies + mirrors
source few      = copies + (mirrored |> take(150) |> respond(.answer))
source echoes   = mirrored |> respond(.prompt)
source corner   = mirrored |> take(4)

model fresh = new.model("qwen3", hidden = 32, layers = 2, rope_theta = 100, tokenizer = characters(known + shifts))
model small = new.model(
  "qwen3", hidden = 24, layers = 2, intermediate = 48, heads = 2, rope_theta = 100, tokenizer = tokenizer(fresh),
)

# Copies mostly, mirrors now and then, shifts never.
stage base {
  train policy = fresh
  minimize sft(few, policy)
  optimizer = adamw(lr = 5e-3, betas = [0.9, 0.98])
  batch     = 64 samples
  budget    = 80 steps
}

source seen     = copied |> take(8) |> respond(.answer)
source attempts = copied + mirrored |> sample(base, n = 2, max_tokens = 3)
source mirrorings = mirrored |> sample(base, n = 2, max_tokens = 3)
"""


@dataclass(frozen=True)
class Design:
    """Stages alike but for their dose."""

    name: str
    meant: str
    """What it is to do."""
    body: str
    doses: tuple[int, ...]
    """Optimizer steps, of each of the stages."""
    claims: tuple[str, ...] = ("expands", "reshapes", "consolidates")
    """Roles that it can be claimed in."""

    def stage(self, place: int) -> str:
        """Its declaration in the program of that place, with every claim that it can make."""
        said = [f"{role} of_{self.name}" + (" from base" if role == "consolidates" else "") for role in self.claims]
        body = self.body.strip().replace("DOSE", str(self.doses[place]))
        return f"stage {self.name} {', '.join(said)} {{\n  {body}\n  seed      = {place}\n}}\n"

    @property
    def eval(self) -> str:
        prompts = f'jsonl("asked-{self.name}.jsonl") |> prompts(.prompt, answer = .answer)'
        return (
            f"source asked_{self.name} = {prompts}\n"
            f"eval of_{self.name} = pass_rate(asked_{self.name}, exact, n = {ATTEMPTS}, max_tokens = 3)\n"
        )


def program(place: int, designs: Sequence[Design]) -> str:
    """One stage of each design, in that dose; all of them go on from the same weights."""
    return "\n".join([HEAD, *(part for design in designs for part in (design.eval, design.stage(place)))])


def imitates(source: str, lr: str = "3e-3") -> str:
    return f"""
  train policy = base
  minimize sft({source}, policy)
  optimizer = adamw(lr = {lr}, betas = [0.9, 0.98])
  batch     = 64 samples
  budget    = DOSE steps"""


def rewarded(prompts: str, lr: str, batch: int) -> str:
    return f"""
  train policy = base
  source rollouts = {prompts} |> sample(policy, n = 8, max_tokens = 3) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = {lr}, betas = [0.9, 0.95])
  batch     = {batch} prompts
  budget    = DOSE steps"""


def distils(source: str) -> str:
    return f"""
  train student = small
  minimize sft({source}, student)
  optimizer = adamw(lr = 5e-3, betas = [0.9, 0.98])
  batch     = 64 samples
  budget    = DOSE steps"""


RIGHT = "({} |> score(exact) |> keep(.reward == 1))"
STUDENT = ("expands", "consolidates")
DESIGNS = (
    Design("shown", "expands", imitates("shifts + known"), (10, 20, 25, 30, 35, 40, 50, 60, 80, 120)),
    Design("shown_alone", "expands, with attrition", imitates("shifts"), (2, 8, 16, 20, 24, 28, 32, 40, 60, 80)),
    Design("rewarded", "reshapes", rewarded("mirrored", "5e-4", 32), (1, 2, 4, 6, 8, 10, 13, 16, 25, 40)),
    Design("chosen", "reshapes", imitates(RIGHT.format("attempts")), (1, 2, 3, 4, 6, 8, 12, 20, 40, 80)),
    Design(
        "one_sided",
        "reshapes, with attrition",
        imitates(f"{RIGHT.format('mirrorings')} + seen"),
        (1, 2, 4, 6, 8, 12, 20, 30, 45, 60),
    ),
    Design("cornered", "declines", rewarded("corner", "2e-3", 4), (2, 4, 6, 8, 10, 12, 16, 20, 30, 40)),
    Design(
        "distilled",
        "consolidates",
        distils(RIGHT.format("attempts")),
        (60, 80, 100, 110, 120, 130, 140, 160, 180, 220),
        STUDENT,
    ),
    Design(
        "hurried",
        "fails to consolidate",
        distils("attempts"),
        (40, 60, 80, 90, 100, 110, 120, 130, 150, 170),
        STUDENT,
    ),
    Design("misled", "declines", imitates("echoes", "1e-3"), (1, 2, 3, 4, 5, 6, 7, 8, 10, 15)),
    Design("still", "nothing", imitates("known", "1e-9"), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
)
