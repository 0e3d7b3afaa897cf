"""Phone numbers: what is recognised without the library is what the library says."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.mapping.phone_numbers import (
    find_bare_number,
    find_full_number,
    normalize_phone,
    recognize_number,
)
from tests.mapping.phone_library import ask_library

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
COUNTRIES = st.sampled_from([region.lower() for region in REGIONS])
CALLING_CODES = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
KINDS = st.sampled_from(sorted(phonenumbers.PhoneNumberType.values()))
DIGITS = st.text("0123456789", min_size=4, max_size=13)


def write_example(region: str, kind: int, *, as_e164: bool) -> str:
    """A real number of a region, as its people or as the world would write it."""
    number = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number(region)
    forms = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, forms.E164 if as_e164 else forms.NATIONAL) if number else ""


EXAMPLES = st.builds(write_example, st.sampled_from(REGIONS), KINDS, as_e164=st.booleans())
WITH_CALLING_CODE = st.builds("{}{}{}".format, st.sampled_from(["", "+", "00"]), CALLING_CODES, DIGITS)
WRITTEN = EXAMPLES | DIGITS | WITH_CALLING_CODE


@given(text=WRITTEN | st.from_regex(r"\+?[0-9(). -]{7,20}", fullmatch=True), country=st.none() | COUNTRIES)
def test_what_is_recognised_is_what_the_library_says(text: str, country: str | None) -> None:
    """The short way either gives the library's number or leaves the answer to it."""
    recognized = recognize_number(text, country)
    assert recognized is None or recognized == ask_library(text, country)


def test_numbers_of_every_country() -> None:
    """A country's example number is found from its national and its international form, and then stays as it is."""
    forms = phonenumbers.PhoneNumberFormat
    for region in REGIONS:
        number = phonenumbers.example_number(region)
        assert number is not None
        digits = f"{number.country_code}{phonenumbers.national_significant_number(number)}"
        national = normalize_phone(phonenumbers.format_number(number, forms.NATIONAL), region.lower())
        international = normalize_phone(phonenumbers.format_number(number, forms.INTERNATIONAL), None)
        assert (national, international, normalize_phone("+" + digits, "us")) == (digits,) * 3, region


@given(text=st.text() | WRITTEN | st.text("0123456789+x#, .()-", max_size=20), country=st.none() | COUNTRIES)
def test_any_text_gives_digits_or_nothing(text: str, country: str | None) -> None:
    """Whatever the text: no exception, and only ASCII digits that don't begin with a zero."""
    digits = normalize_phone(text, country)
    assert digits is None or (digits.isdecimal() and digits.isascii() and digits[0] != "0")


@given(text=st.text() | WRITTEN)
def test_bare_numbers_are_stable(text: str) -> None:
    """The digits of a number without a country stay as they are."""
    bare = find_bare_number(text)
    assert bare is None or find_bare_number(bare) == bare


@pytest.mark.parametrize(
    ("text", "country", "digits"),
    [
        ("(+44) 20 7946 0958", None, "442079460958"),
        ("TEL:+44 20 7946 0958", None, "442079460958"),
        ("+44 20 7946 0958, 12", None, "442079460958"),
        ("+44 20 7946 0958 extension: 12", None, "442079460958"),
        ("\uff0b44 20 7946 0958", None, "442079460958"),
        ("+7 777 777 77 77", None, None),
        ("+1 650 555 1212 / +1 650 555 1213", None, None),
        ("1" * 300, None, None),
        ("+", None, None),
        ("416-555-0199", "us", "14165550199"),
        ("4011234567", "us", "14011234567"),
        ("0171 2345678", "aq", "1712345678"),
    ],
)
def test_numbers_beyond_the_vectors(text: str, country: str | None, digits: str | None) -> None:
    """Prefixes, extensions, placeholders, two numbers in one text, and a country without a numbering plan."""
    assert normalize_phone(text, country) == digits


def test_a_bare_number_is_told_from_a_full_one() -> None:
    """The caller can see whether the country code is known."""
    assert find_full_number("555.123.4567", None) is None
    assert find_bare_number("555.123.4567") == "5551234567"
    assert find_full_number("555.123.4567", "us") == "15551234567"
    assert find_bare_number("+1 555 123") is None


def test_a_zero_in_front_counts_for_no_length() -> None:
    """Ten digits behind 00 are no Canadian number of ten digits, but an international one."""
    assert recognize_number("0013101235", "ca") is None
    assert find_full_number("0013101235", "ca") == "13101235"
