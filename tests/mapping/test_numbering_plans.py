"""Numbering plans: what they answer is what the phonenumbers library answers, for numbers by the hundred thousand."""

import random
from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumber, PhoneNumberFormat

from signalpost.mapping import numbering_plans
from signalpost.mapping.phone_numbers import recognize_number
from tests.mapping.phone_library import ask_library

COUNTRIES = (
    "AR", "AU", "BE", "BR", "CA", "CH", "CN", "DE", "DK", "EG", "ES", "FR", "GB", "GG", "HU", "IN", "IT", "JM", "JP",
    "KR", "KZ", "MX", "NG", "NL", "PL", "RU", "SE", "TR", "US", "ZA",
)  # fmt: skip
"""Large ones, and those whose plans are odd: shared codes, rewritten prefixes, zeros that stay."""

WRAPPINGS = "{0}", "{0}", "{0}", "00{0}", "({0})", "{0} ", "0{0}", "{0}0"
FORMS = (
    PhoneNumberFormat.NATIONAL,
    PhoneNumberFormat.NATIONAL,
    PhoneNumberFormat.INTERNATIONAL,
    PhoneNumberFormat.E164,
)


def write_numbers(numbers: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Numbers of every kind with some of their last digits drawn anew, as people and systems write them."""
    kinds = sorted(phonenumbers.PhoneNumberType.values())
    examples: dict[str, list[PhoneNumber]] = {
        country: [found for kind in kinds if (found := phonenumbers.example_number_for_type(country, kind))]
        for country in COUNTRIES
    }
    for _ in range(numbers):
        country = chance.choice(COUNTRIES)
        written = list(phonenumbers.format_number(chance.choice(examples[country]), chance.choice(FORMS)))
        digits = [place for place, character in enumerate(written) if character.isdigit()]
        for place in digits[len(digits) - chance.randint(0, 8) :]:
            written[place] = chance.choice("0123456789")
        text = "".join(written)
        if chance.random() < 0.1:
            text = chance.choice(WRAPPINGS).format(text.lstrip("+"))
        if chance.random() < 0.05:
            text = text.replace(" ", " (0)", 1)
        somewhere = chance.choice(COUNTRIES) if chance.random() < 0.1 else country
        yield text, somewhere.lower()


def find_valid(text: str, country: str) -> str | None:
    """What the library alone makes of a text in a country, if it calls it valid."""
    try:
        number = phonenumbers.parse(text, country.upper())
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")


def compare(numbers: int, chance: random.Random) -> None:
    """What is recognised is the library's; and nearly every number that the library finds is recognised."""
    recognized = valid = 0
    for text, country in write_numbers(numbers, chance):
        found, expected = recognize_number(text, country), find_valid(text, country)
        if expected is None:  # possible at most: then the order of attempts decides, which is ours
            assert found is None or found == ask_library(text, country), (text, country)
            continue
        valid += 1
        recognized += found is not None
        assert found in {None, expected}, (text, country, expected)
    assert valid > numbers / 3
    assert recognized / valid > 0.9


def test_some_numbers() -> None:
    """Enough numbers to notice most mistakes in a moment."""
    compare(3_000, random.Random(20261121))


def test_a_hundred_thousand_numbers_of_thirty_countries() -> None:
    """Enough numbers to trust it."""
    compare(100_000, random.Random(20261127))


@pytest.mark.parametrize(
    ("text", "country", "digits"),
    [
        pytest.param("011 15-2345-6789", "ar", "5491123456789", id="the 15 of a mobile number becomes a 9"),
        pytest.param("0 21 98765-4321", "br", "5521987654321", id="a prefix that could hold a carrier, and does not"),
        pytest.param("8 (912) 345-67-82", "ru", "79123456782", id="the first of two countries that share a code"),
        pytest.param("8 (771) 005 0358", "kz", "77710050358", id="the second"),
        pytest.param("8 (771) 005 0358", "ru", None, id="of the second, written in the first"),
        pytest.param("0044 20 7946 0958", "fr", "442079460958", id="as dialled abroad"),
        pytest.param("0044 20 7946 0958", None, "442079460958", id="as dialled abroad, nobody knows where"),
        pytest.param("011 44 20 7946 0958", "us", None, id="as dialled abroad, but not with 00"),
        pytest.param("000 20 7946 0958", None, None, id="too many zeros"),
    ],
)
def test_what_needs_no_library(text: str, country: str | None, digits: str | None) -> None:
    """The plans answer for what people write most; None leaves the answer to the library."""
    assert recognize_number(text, country) == digits
    assert ask_library(text, country) == digits or digits is None


def test_plans_are_few() -> None:
    """What is remembered is bounded by the codes and countries of the world, not by the numbers that come."""
    chance = random.Random(7)
    for _ in range(5_000):
        digits = str(chance.randrange(10**9, 10**14))
        recognize_number("+" + digits, None)
        recognize_number(digits, "gb")
    assert numbering_plans._find_plan_of_code.cache_info().currsize <= 1_000
    assert numbering_plans._find_plan_of_country.cache_info().currsize <= 250
