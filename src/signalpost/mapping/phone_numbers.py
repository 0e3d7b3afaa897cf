"""Phone numbers as Meta hashes them: country code and number, digits only.

The phonenumbers library decides how a number is read; for most numbers its metadata (numbering_plans.py) is enough.
Source: Meta, "Customer Information Parameters", ph; the order of attempts is this project's choice.
"""

import re
from typing import NamedTuple

from signalpost.mapping.normalize import write_digits_in_ascii
from signalpost.mapping.numbering_plans import find_international, find_national

_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_MOST_CHARACTERS = 250

_PUNCTUATION = str.maketrans("", "", " -().")
_SCHEME = re.compile(r"\Atel:", re.IGNORECASE)
_EXTENSION = re.compile(r"(?:;ext=|extension|ext|x|#|,)[\s.:]*[0-9]{0,7}\s*\Z", re.IGNORECASE)
_DIGIT_OR_PLUS = re.compile("[0-9+]")
_ASCII_LETTER = re.compile("[a-zA-Z]")
_NOT_DIGIT = re.compile("[^0-9]+")


def normalize_phone(text: str, country: str | None) -> str | None:
    """Return a number as digits: with its country code if that can be known, else as Meta documents, the digits alone.

    country: ISO alpha-2, lower case, used when the number does not name its own; None when nobody knows.
    """
    return find_full_number(text, country) or find_bare_number(text)


def find_full_number(text: str, country: str | None) -> str | None:
    """Return the digits of a number with its country code: "(650)555-1212" in "us" becomes "16505551212".

    None when no country code can be known, and for letters (vanity numbers too), one digit repeated, and what is no
    possible number. An extension is cut off.
    """
    return recognize_number(text, country) or find_unrecognized_number(text, country)


def find_unrecognized_number(text: str, country: str | None) -> str | None:
    """Return the digits of a number with its country code: "(650)555-1212 ext. 7" in "us" becomes "16505551212".

    What `find_full_number` does for a text of which `recognize_number` could make nothing.
    """
    written = _write_plainly(text)
    if written is None:
        return None
    was_tried = written == text.translate(_PUNCTUATION)
    return (None if was_tried else recognize_number(written, country)) or _find_with_library(written, country)


def find_bare_number(text: str) -> str | None:
    """Return the digits of a number that names no country, without leading zeros; None for 6 digits or fewer."""
    written = _write_plainly(text)
    kept = "" if written is None or written[0] == "+" else written.lstrip("0")
    is_number = _FEWEST_DIGITS <= len(kept) <= _MOST_DIGITS and len(set(kept)) > 1
    return kept if is_number else None


def recognize_number(text: str, country: str | None) -> str | None:
    """Return what `find_full_number` does, for the many numbers that need no library; None when it has to be asked."""
    written = text.replace(" ", "")
    digits = written.removeprefix("+")
    if not (digits.isdecimal() and digits.isascii()):
        written = text.translate(_PUNCTUATION)
        digits = written.removeprefix("+")
        if not (digits.isdecimal() and digits.isascii()):
            return None
    if not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS or digits == digits[0] * len(digits):
        return None
    if digits is not written:
        return find_international(digits)
    if country:
        return find_national(digits, country)
    return find_international(digits[2:]) if digits.startswith("00") else None


def _write_plainly(text: str) -> str | None:
    """Return the ASCII digits, behind a plus if one is written before them; None for what is no phone number."""
    if len(text) > _MOST_CHARACTERS:  # the library's own limit; it also bounds the work of the patterns
        return None
    written = _EXTENSION.sub("", _SCHEME.sub("", write_digits_in_ascii(text)))
    digits = _NOT_DIGIT.sub("", written)
    if _has_letter(written) or len(set(digits)) < 2:
        return None
    first = _DIGIT_OR_PLUS.search(written)
    return "+" + digits if first is not None and first[0] == "+" else digits


def _has_letter(text: str) -> bool:
    if text.isascii():
        return _ASCII_LETTER.search(text) is not None
    return any(character.isalpha() for character in text)


def _find_with_library(written: str, country: str | None) -> str | None:
    if written[0] == "+":
        number = _ask_international(written[1:])
        return number.digits if number.is_possible else None
    return _find_in_country(written, country) if country else _find_anywhere(written)


class _Number(NamedTuple):
    """What the library makes of some digits. Possible is less than valid: plans grow faster than its releases."""

    digits: str
    is_possible: bool
    is_valid: bool


_NO_NUMBER = _Number("", is_possible=False, is_valid=False)


def _find_in_country(digits: str, country: str) -> str | None:
    """Try the readings, the likeliest first."""
    national = _ask(digits, country)
    if national.is_valid:
        return national.digits
    if digits[0] != "0" or digits.startswith("00"):
        international = _ask_international(digits)
        # Behind 00 nothing but an international number makes sense; other digits must prove that they are one.
        if international.is_valid or (digits[0] == "0" and international.is_possible):
            return international.digits
    if national.is_possible:
        return national.digits
    if digits[0] == "0":
        without_zeros = _ask(digits.lstrip("0"), country)
        if without_zeros.is_valid:
            return without_zeros.digits
    return None


def _find_anywhere(digits: str) -> str | None:
    if not digits.startswith("00"):
        return None
    number = _ask_international(digits)
    return number.digits if number.is_possible else None


def _ask_international(digits: str) -> _Number:
    return _ask("+" + digits.lstrip("0"), None)


def _ask(number: str, country: str | None) -> _Number:
    import phonenumbers  # noqa: PLC0415 - slow to import, not always needed

    phonenumbers.enable_pattern_cache()  # as many as its metadata has, and each is compiled once
    try:
        parsed = phonenumbers.parse(number, country and country.upper())
    except phonenumbers.NumberParseException:
        return _NO_NUMBER
    return _Number(
        f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}",
        phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE,
        phonenumbers.is_valid_number(parsed),
    )
