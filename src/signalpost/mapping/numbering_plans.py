"""How phone numbers are dialled, country by country: answers for the many numbers that need no library.

Every pattern here is made of the phonenumbers library's own metadata, and every answer is the library's own, ten to
thirty times as fast. None means that only the library knows.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneMetadata, PhoneNumberDesc

_NOTHING = "(?!)"
_KINDS = (
    "mobile", "fixed_line", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan",
    "voicemail",
)  # fmt: skip


def find_international(digits: str) -> str | None:
    """Return the digits of a number written with its country code, as E.164 has them, without what is only dialled.

    "4402079460958", as in +44 (0)20 7946 0958, becomes "442079460958". Whatever is possible counts as a number.
    """
    plan = _find_plan_of_code(digits[:3])
    if plan is None:
        return None
    return digits if plan.is_kept.fullmatch(digits) else plan.cut_prefix(digits[len(plan.code) :])


def find_national(digits: str, country: str) -> str | None:
    """Return the digits with their country code of a number as people write it in a country (alpha-2, lower case).

    "02079460958" in "gb" becomes "442079460958", and so do "442079460958" and, anywhere, "00442079460958".
    """
    plan = _find_plan_of_country(country)
    if plan is None:
        return None
    abroad = plan.abroad.match(digits)
    if abroad is not None:
        return find_international(digits[2:]) if abroad.group() == "00" else None
    names_its_code = digits.startswith(plan.code)
    if names_its_code and not (plan.is_viable.fullmatch(digits) and len(digits) in plan.lengths):
        national = digits[len(plan.code) :]
        return digits if plan.is_valid.fullmatch(national) and not plan.prefix_after_code.match(national) else None
    if plan.prefix.match(digits):
        return plan.cut_prefix(digits)
    if plan.is_valid.fullmatch(digits):
        return plan.code + digits
    # A number that is possible and no more gives way to one that names another country and is valid there.
    is_possible = len(digits) in plan.lengths and digits[0] != "0" and not names_its_code
    return plan.code + digits if is_possible and not _can_be_international(digits) else None


def _can_be_international(digits: str) -> bool:
    plan = _find_plan_of_code(digits[:3])
    if plan is None:
        return False
    national = digits[len(plan.code) :]
    return len(national) in plan.lengths_anywhere or plan.prefix.match(national) is not None


class _Plan(NamedTuple):
    """The numbers of one country, or behind one country code: then those of the first country that uses it.

    lengths: of a possible number. lengths_anywhere: the same, in any of the countries that share the code.
    is_kept: whole international digits that are possible and begin with no prefix.
    is_viable: what the library takes for a number of this country at first sight.
    is_valid: numbers that it is sure to call valid; some that it calls so are missing where countries share a code.
    prefix: what it may cut off or change at the start. prefix_after_code: the same behind the country code.
    stand_in: what stands in for a prefix of which the last group is there, in the words of `re.sub`; else "".
    abroad: what is dialled before a country code.
    """

    code: str
    lengths: frozenset[int]
    lengths_anywhere: frozenset[int]
    is_kept: re.Pattern[str]
    is_viable: re.Pattern[str]
    is_valid: re.Pattern[str]
    prefix: re.Pattern[str]
    prefix_after_code: re.Pattern[str]
    stand_in: str
    abroad: re.Pattern[str]

    def cut_prefix(self, national: str) -> str | None:
        """The E.164 digits of a valid number behind the prefix for calls inside the country."""
        found = self.prefix.match(national)
        if found is None:
            return None
        is_changed = self.stand_in and found[self.prefix.groups] is not None
        kept = self.prefix.sub(self.stand_in, national, count=1) if is_changed else national[found.end() :]
        return self.code + kept if self.is_valid.fullmatch(kept) else None


@cache  # at most 1,000 beginnings
def _find_plan_of_code(first_digits: str) -> _Plan | None:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # noqa: PLC0415 - slow to import, not always needed

    for code_length in (1, 2, 3):
        code = first_digits[:code_length]
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code[0] != "0" else ()
        if regions:
            return _build_plan(code, regions[0])  # the library reads a number as the first country does
    return None


@cache  # at most 250 countries
def _find_plan_of_country(country: str) -> _Plan | None:
    from phonenumbers import country_code_for_region  # noqa: PLC0415 - slow to import, not always needed

    code = country_code_for_region(country.upper())
    return _build_plan(str(code), country.upper()) if code else None


@cache
def _build_plan(code: str, region: str) -> _Plan:
    sharing = _read_metadata(int(code))
    own, first = sharing[region], next(iter(sharing.values()))
    numbers, lengths = own.general_desc, _lengths(first)
    prefixes = [own.national_prefix_for_parsing, first.national_prefix_for_parsing]
    is_possible = _any_of(f"[0-9]{{{length}}}" for length in lengths)
    return _Plan(
        code=code,
        lengths=lengths,
        lengths_anywhere=frozenset().union(*map(_lengths, sharing.values())),
        is_kept=re.compile(f"{code}(?!{_any_of(prefixes[1:])}){is_possible}"),
        is_viable=re.compile((numbers and numbers.national_number_pattern) or _NOTHING),
        is_valid=re.compile(f"(?={_describe(numbers)}\\Z){_any_of(_list_valid(region, sharing))}"),
        prefix=re.compile(_any_of(prefixes[:1])),
        prefix_after_code=re.compile(_any_of(prefixes)),
        stand_in=own.national_prefix_transform_rule or "",
        abroad=re.compile(_any_of([own.international_prefix])),
    )


def _read_metadata(code: int) -> dict[str, "PhoneMetadata"]:
    """What the library knows of each country that uses a code, in its order."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata  # noqa: PLC0415 - slow to import

    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    known = ((region, PhoneMetadata.metadata_for_region_or_calling_code(code, region)) for region in regions)
    return {region: metadata for region, metadata in known if metadata is not None}


def _lengths(metadata: "PhoneMetadata") -> frozenset[int]:
    return frozenset(metadata.general_desc.possible_length if metadata.general_desc else ())


def _list_valid(region: str, sharing: dict[str, "PhoneMetadata"]) -> Iterator[str]:
    """What is valid in a country, and in the first of those that share its code.

    The library asks the first country that claims a number, by how it begins or, where that says nothing, by its kind.
    """
    first = next(iter(sharing))
    claimed: list[str] = []
    for other, metadata in sharing.items():
        begins = metadata.leading_digits or ""
        if other in {first, region}:
            yield f"(?!{_any_of(claimed)})(?={begins}){_valid_in(metadata)}"
        claimed.append(begins)


def _valid_in(metadata: "PhoneMetadata") -> str:
    kinds = (getattr(metadata, kind) for kind in _KINDS)
    return f"(?={_describe(metadata.general_desc)}\\Z){_any_of(map(_describe, kinds))}"


def _describe(numbers: "PhoneNumberDesc | None") -> str:
    if numbers is None or not numbers.national_number_pattern:
        return _NOTHING
    lengths = _any_of(f"[0-9]{{{length}}}" for length in numbers.possible_length)
    return f"(?={lengths}\\Z)(?:{numbers.national_number_pattern})"


def _any_of(patterns: Iterable[str | None]) -> str:
    alternatives = [f"(?:{pattern})" for pattern in patterns if pattern]
    return f"(?:{'|'.join(dict.fromkeys(alternatives))})" if alternatives else _NOTHING
