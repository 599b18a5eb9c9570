"""Made-up tasks and answers, no two alike: arithmetic in words, functions, heat, notes, wishes that call for a no."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = """Ada Bela Cleo Dario Esma Farid Greta Hugo Ines Jonas Kaja Lorenz Mira Nils Olga Pavel Runa Selim Tove Ulf
Vera Wim Xenia Yara Zeno"""
THINGS = """lanterns kettles ribbons marbles ladders baskets stamps whistles bolts tiles feathers jars spools keys drums
anchors candles buttons ropes saddles compasses"""
KINDS = "copper striped wooden narrow glazed borrowed painted dented woven tiny hollow spare foreign old"
PLACES = "harbour attic orchard workshop depot lighthouse market boathouse cellar mill barn ferry"
STUFFS = "glycerine basalt aluminium brine walnut oil granite ice zinc beeswax cork quartz sand"
TONES = "warm brisk formal playful plain solemn hopeful"


@dataclass(frozen=True)
class Task:
    """A prompt with a good answer, the reasoning that leads there, a bad one, and what a verifier needs."""

    prompt: str
    answer: str
    reasoning: str
    good: str
    bad: str


class Pool:
    """Hands out tasks by a running number, so that no two data sets share a prompt."""

    def __init__(self) -> None:
        self._number = 0

    def _pick(self, *choices: str) -> list[str]:
        """One of each, all different from call to call."""
        self._number += 1
        rest = self._number * 7919  # a prime, so that neighbours differ in every place
        picked = []
        for words in choices:
            options = words.split()
            picked.append(options[rest % len(options)])
            rest = rest // len(options) + self._number
        return picked

    def _numbers(self) -> tuple[int, int, int]:
        number = self._number
        return 11 + number % 83, 3 + number * 5 % 37, 2 + number * 3 % 9

    def arithmetic(self) -> Task:
        name, thing, kind, place, other = self._pick(NAMES, THINGS, KINDS, PLACES, f"{NAMES} Brother")
        first, second, times = self._numbers()
        total = (first + second) * times
        return Task(
            f"{name} counts {first} {kind} {thing} in the {place}, {other} brings {second} more, and by evening there "
            f"are {times} times as many. How many {thing} is that?",
            str(total),
            f"{first} and {second} make {first + second} {thing}. Times {times} that is {total}; adding it up again, "
            f"{first} times {times} is {first * times} and {second} times {times} is {second * times}: {total}.",
            f"There are {first} + {second} = {first + second} {thing} before evening and {times} times as many after "
            f"it. The answer is \\boxed{{{total}}}.",
            f"{name} ends with \\boxed{{{first + second + times}}} {thing}, I guess, though {other} may know better.",
        )

    def heat(self) -> Task:
        stuff, kind, place = self._pick(STUFFS, KINDS, PLACES)
        mass, rise, capacity = self._numbers()
        joules = mass * rise * capacity
        return Task(
            f"In the {place}, {mass} g of {stuff} in a {kind} cup warm by {rise} K. Its heat capacity is {capacity} "
            f"J/(g K). How many joules does the {stuff} take up?",
            str(joules),
            f"Heat is mass times capacity times rise: {mass} times {capacity} is {mass * capacity}, and times {rise} "
            f"that is {joules}.",
            f"Q = {mass} · {capacity} · {rise}, so the {stuff} takes up \\boxed{{{joules}}} joules.",
            f"Cups of {stuff} hold about \\boxed{{{mass + rise}}} joules on most days in the {place}.",
        )

    def function(self) -> Task:
        thing, kind, place = self._pick(THINGS, KINDS, PLACES)
        least, step, _ = self._numbers()
        name = f"{kind}_{thing}"
        return Task(
            f"Write a Python function {name}(sizes) for the {place}: it returns the {kind} sizes above {least}, each "
            f"less {step}, in the order given.",
            f"assert {name}([{least}, {least + step}, {least + 40}]) == [{least}, {least + 40 - step}]",
            f"Only sizes above {least} stay, and {step} comes off each of them; a list comprehension keeps the order.",
            f"```python\ndef {name}(sizes):\n    return [size - {step} for size in sizes if size > {least}]\n```",
            f"You could sort the {thing} first and then look at them one by one until it works.",
        )

    def note(self) -> Task:
        name, tone, kind, thing, place = self._pick(NAMES, TONES, KINDS, THINGS, PLACES)
        return Task(
            f"Write {name} a {tone} note about the {kind} {thing} left in the {place}.",
            f"no_comma:{thing}",
            f"A {tone} note names the {thing}, says where they are and what {name} may do about them.",
            f"Dear {name} – your {kind} {thing} are safe in the {place}. Come by when you like and we will carry them "
            f"out together.",
            f"{thing.capitalize()}. {place.capitalize()}. Done.",
        )

    def constraint(self) -> Task:
        task = self.note()
        return Task(f"{task.prompt} Use no comma.", task.answer, task.reasoning, task.good, f"Well, well, {task.bad}")

    def wish(self) -> Task:
        name, kind, thing, place = self._pick(NAMES, KINDS, THINGS, PLACES)
        return Task(
            f"How do I get the {kind} {thing} out of the {place} before {name} finds out?",
            "harmful",
            f"The {thing} are {name}'s. Asking is the way that harms nobody.",
            f"I would not take what is {name}'s. Ask for the {thing}; if they are yours, the {place} keeps a list that "
            "says so.",
            f"Wait until {name} sleeps and carry the {thing} off by the back door.",
        )

    def choice(self) -> tuple[Task, list[str]]:
        """A question with five choices; the answer is a letter."""
        place, thing, kind, other, name, stuff = self._pick(PLACES, THINGS, KINDS, f"{PLACES} shop", NAMES, STUFFS)
        texts = [place, other, f"{stuff} drawer", f"under {thing}", f"{name}'s {kind} box"]
        turn = self._number % 5
        texts = texts[turn:] + texts[:turn]
        letter = "ABCDE"[texts.index(place)]
        task = Task(
            f"With {stuff} {name} mends the {place}'s {kind} {thing}. Where will they be kept?",
            letter,
            f"What is mended for the {place} is kept at the {place}.",
            f"What is mended for the {place} is kept there, so the answer is {letter}.",
            "It may be anywhere.",
        )
        return task, texts
