"""Phone numbers as Meta hashes them: country code and number, digits only.

The phonenumbers library decides how a number is read. Most numbers it leaves as they are: these are recognised from its
own metadata, ten times as fast.
Source: Meta, "Customer Information Parameters", ph; the order of attempts is this project's choice.
"""

import re
from functools import cache
from typing import NamedTuple

from signalpost.mapping.normalize import write_digits_in_ascii

_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_MOST_CHARACTERS = 250

_PUNCTUATION = str.maketrans("", "", " -().")
_PLAIN = re.compile(r"(\+?)(?!([0-9])\2*\Z)([1-9][0-9]{6,14})")
_SCHEME = re.compile(r"\Atel:", re.IGNORECASE)
_EXTENSION = re.compile(r"(?:;ext=|extension|ext|x|#|,)[\s.:]*[0-9]{0,7}\s*\Z", re.IGNORECASE)
_DIGIT_OR_PLUS = re.compile("[0-9+]")
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
    return recognize_number(text, country) or _find_with_library(text, country)


def find_bare_number(text: str) -> str | None:
    """Return the digits of a number that names no country, without leading zeros; None for 6 digits or fewer."""
    written = _write_plainly(text)
    kept = "" if written is None or written[0] == "+" else written.lstrip("0")
    is_number = _FEWEST_DIGITS <= len(kept) <= _MOST_DIGITS and len(set(kept)) > 1
    return kept if is_number else None


def recognize_number(text: str, country: str | None) -> str | None:
    """Return what `find_full_number` does, for the many numbers that need no library; None when it has to be asked."""
    found = _PLAIN.fullmatch(text.translate(_PUNCTUATION))
    if found is None:
        return None
    digits = found[3]
    if not found[1]:
        return _recognize_national(digits, country) if country else None
    plan = _find_plan(digits[:3])
    return digits if plan is not None and plan.keeps(digits[plan.code_length :]) else None


def _recognize_national(digits: str, country: str) -> str | None:
    plan = _find_country_plan(country)
    if plan is None or digits.startswith(plan.code) or len(digits) not in plan.lengths or plan.prefix.match(digits):
        return None
    # Only one other reading can win: the international one, when it is valid and this one isn't.
    if _can_be_international(digits) and not _is_valid(plan.code, digits):
        international = _ask_international(digits)
        if international.is_valid:
            return international.digits
    return plan.code + digits


def _can_be_international(digits: str) -> bool:
    plan = _find_plan(digits[:3])
    if plan is None:
        return False
    national = digits[plan.code_length :]
    return len(national) in plan.lengths_anywhere or plan.prefix.match(national) is not None


class _Plan(NamedTuple):
    """The numbers behind one country calling code.

    lengths: of a possible number. lengths_anywhere: the same, in any of the countries that share the code.
    prefix: what the library may cut off or change at the start.
    """

    code_length: int
    lengths: frozenset[int]
    lengths_anywhere: frozenset[int]
    prefix: re.Pattern[str]

    def keeps(self, national: str) -> bool:
        return len(national) in self.lengths and self.prefix.match(national) is None


@cache  # at most 900 beginnings
def _find_plan(first_digits: str) -> _Plan | None:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # noqa: PLC0415 - slow to import, not always needed

    for code_length in (1, 2, 3):
        code = int(first_digits[:code_length])
        regions = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
        described = [_describe(code, region) for region in regions]
        if described:
            lengths, prefix, _ = described[0]  # the library judges what is possible by the first country
            return _Plan(code_length, lengths, lengths.union(*(others for others, *_ in described)), _any_of(prefix))
    return None


class _CountryPlan(NamedTuple):
    """How numbers are dialled inside one country. prefix: as above, and the prefix for calls abroad."""

    code: str
    lengths: frozenset[int]
    prefix: re.Pattern[str]


@cache  # at most 250 countries
def _find_country_plan(country: str) -> _CountryPlan | None:
    from phonenumbers import country_code_for_region  # noqa: PLC0415 - slow to import, not always needed

    code = country_code_for_region(country.upper())
    plan = _find_plan(str(code).ljust(3, "0")) if code else None
    if plan is None:
        return None
    _, prefix, prefix_for_calls_abroad = _describe(code, country.upper())
    return _CountryPlan(str(code), plan.lengths, _any_of(prefix, prefix_for_calls_abroad))


def _describe(code: int, region: str) -> tuple[frozenset[int], str | None, str | None]:
    """Return the lengths of possible numbers, the national prefix and the prefix for calls abroad, two patterns."""
    from phonenumbers import PhoneMetadata  # noqa: PLC0415 - slow to import, not always needed

    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None or metadata.general_desc is None:
        return frozenset(), None, None
    lengths = frozenset(metadata.general_desc.possible_length)
    return lengths, metadata.national_prefix_for_parsing, metadata.international_prefix


def _any_of(*patterns: str | None) -> re.Pattern[str]:
    nothing = "(?!)"
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern) or nothing)


def _is_valid(code: str, national: str) -> bool:
    from phonenumbers import PhoneNumber, is_valid_number  # noqa: PLC0415 - slow to import, not always needed

    return is_valid_number(PhoneNumber(country_code=int(code), national_number=int(national)))


def _write_plainly(text: str) -> str | None:
    """Return the ASCII digits, behind a plus if one is written before them; None for what is no phone number."""
    if len(text) > _MOST_CHARACTERS:  # the library's own limit; it also bounds the work of the patterns
        return None
    written = _EXTENSION.sub("", _SCHEME.sub("", write_digits_in_ascii(text)))
    digits = _NOT_DIGIT.sub("", written)
    if any(character.isalpha() for character in written) or len(set(digits)) < 2:
        return None
    first = _DIGIT_OR_PLUS.search(written)
    return "+" + digits if first is not None and first[0] == "+" else digits


def _find_with_library(text: str, country: str | None) -> str | None:
    written = _write_plainly(text)
    if written is None:
        return None
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

    try:
        parsed = phonenumbers.parse(number, country and country.upper())
    except phonenumbers.NumberParseException:
        return _NO_NUMBER
    return _Number(
        phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+"),
        phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE,
        phonenumbers.is_valid_number(parsed),
    )
