"""Held-out bits per character of an n-gram model of characters: what a language model has to beat.

Interpolated Kneser-Ney smoothing (Chen and Goodman, 1999, section 4.1.6) with one discount per order, trained on the
same texts. Each text is scored on its own, its beginning padded.

    python benchmarks/ngram.py --train train.jsonl --test test.jsonl --column answer
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

START = "\x02"
END = "\x03"


class KneserNey:
    """Interpolated Kneser-Ney over characters, `order` of them with the one predicted."""

    def __init__(self, texts: Iterable[str], order: int) -> None:
        self.order = order
        self.counts: list[defaultdict[str, Counter[str]]] = [defaultdict(Counter) for _ in range(order)]
        for text in texts:
            padded = START * (order - 1) + text + END
            for end in range(order - 1, len(padded)):
                self.counts[order - 1][padded[end - order + 1 : end]][padded[end]] += 1
        for length in range(order - 2, -1, -1):  # lower orders count in how many contexts a character was seen
            for context, following in self.counts[length + 1].items():
                for character in following:
                    self.counts[length][context[1:]][character] += 1
        self.discounts = [_discount(level.values()) for level in self.counts]
        self.characters = len(self.counts[0][""]) + 1  # and one for all that was never seen

    def probability(self, context: str, character: str) -> float:
        """Of `character` behind `context` (its last `order` - 1 characters)."""
        probability = 1 / self.characters
        for length in range(self.order):
            following = self.counts[length].get(context[len(context) - length :])
            if following is None:
                break
            total = sum(following.values())
            discount = self.discounts[length]
            kept = max(following[character] - discount, 0.0) / total
            probability = kept + discount * len(following) / total * probability
        return probability

    def bits(self, text: str) -> float:
        """Bits to write the text, its end included."""
        padded = START * (self.order - 1) + text + END
        width = self.order - 1
        return -sum(
            math.log2(self.probability(padded[end - width : end], padded[end])) for end in range(width, len(padded))
        )


def _discount(level: Iterable[Counter[str]]) -> float:
    """n1 / (n1 + 2 n2), of counts that are one and two."""
    ones = twos = 0
    for following in level:
        ones += sum(1 for count in following.values() if count == 1)
        twos += sum(1 for count in following.values() if count == 2)
    return ones / (ones + 2 * twos) if ones else 0.5


def bits_per_character(train: Sequence[str], test: Sequence[str], order: int) -> float:
    """Total bits over total characters of the held-out texts."""
    model = KneserNey(train, order)
    return sum(model.bits(text) for text in test) / sum(len(text) for text in test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--column", default="answer")
    parser.add_argument("--orders", type=int, nargs="+", default=[3, 4, 5, 6])
    found = parser.parse_args()
    texts = [
        [json.loads(line)[found.column] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (found.train, found.test)
    ]
    for order in found.orders:
        print(f"{order}-gram of characters: {bits_per_character(texts[0], texts[1], order):.4f} bits per character")


if __name__ == "__main__":
    main()
