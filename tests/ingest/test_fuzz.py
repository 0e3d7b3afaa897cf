"""The parser, the validator and the mapping against bodies that are nearly right."""

import random
import re

from tests.ingest.fuzzing import GOOD_SEEDS, SEEDS, TOKENS, Feeder, count_rounds

A_VALUE = re.compile(rb'\{[^{}]*\}|\[[^][]*\]|"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|null|true|false')
VALUES = [b"null", b"true", b"7", b"-1.5", b"1e400", b'""', b'"x"', b"[]", b"{}", b"[[1]]", b'{"a":{"b":null}}']


def change(body: bytes, chance: random.Random) -> bytes:
    """One small change somewhere."""
    place = chance.randint(0, len(body))
    before, after = body[:place], body[place:]
    size = chance.randint(1, 40)
    match chance.choice(("value", "value", "value", "token", "overwrite", "cut", "repeat", "splice")):
        case "value":  # the next one, so that most of these are JSON still
            return before + A_VALUE.sub(lambda _: chance.choice(VALUES), after, count=1)
        case "token":
            return before + chance.choice(TOKENS) + after
        case "overwrite":
            return before + chance.randbytes(2) + after[2:]
        case "cut":
            return before + after[size:]
        case "repeat":
            return before + after[:size] * chance.randint(1, 30) + after[size:]
        case _:
            return before + chance.choice(SEEDS) + after


def test_bodies_that_are_nearly_right():
    """None raises, and of each that is read the counts add up. A failure names its round, which is its seed."""
    with Feeder() as feeder:
        for number in count_rounds():
            chance = random.Random(number)
            body = chance.choice(chance.choice((GOOD_SEEDS, SEEDS)))
            for _ in range(chance.choice((1, 1, 2, 3, 8))):
                body = change(body, chance)
            try:
                feeder.feed(body, chance.choice(("", "", "", "gzip")), is_batch=chance.random() < 0.7)
            except Exception as error:
                error.add_note(f"Round {number}: {body!r}")
                raise
    assert number > 500
