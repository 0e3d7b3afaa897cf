"""Numbers as people and shops write them: the value of an event, a product's price, a quantity."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from signalpost.mapping.findings import Findings

LARGEST_EXACT = 2**53
"""Above it a JSON number is no longer exact everywhere, so it counts as not numeric."""

_PLAIN = re.compile(r"[+-]?(?:\d+|\d*\.\d+|\d+\.)", re.ASCII)
_WITH_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_SIGNS = re.compile(
    r"[\s$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20c0\ufdfc\ufe69\uff04\uffe0\uffe1\uffe5\uffe6]"
)


class Amount(NamedTuple):
    """A number, and whether signs or separators had to be taken off to read it."""

    number: int | float
    is_coerced: bool


def read_amount(value: object) -> Amount | None:
    """Read a JSON number or a number in text; None when it is neither.

    In text, white space and currency signs are dropped, and commas only where they separate thousands. Whole numbers
    stay whole. True, false and magnitudes over 2^53 are not numbers here.
    """
    if type(value) is float or type(value) is int:  # not isinstance: true and false are integers to Python
        return Amount(value, is_coerced=False) if abs(value) <= LARGEST_EXACT else None
    return _read_text(value) if isinstance(value, str) else None


def _read_text(text: str) -> Amount | None:
    plain = text.strip()
    is_coerced = False
    if _PLAIN.fullmatch(plain) is None:
        plain = _SIGNS.sub("", plain)
        if _WITH_THOUSANDS.fullmatch(plain) is not None:
            plain = plain.replace(",", "")
        elif _PLAIN.fullmatch(plain) is None:
            return None
        is_coerced = True
    if len(plain) > 40:  # nothing that long is below 2^53; and Python refuses to read very long integers
        return None
    number = float(plain) if "." in plain else int(plain)
    return Amount(number, is_coerced) if abs(number) <= LARGEST_EXACT else None


def read_quantity(value: object) -> int | None:
    """Read a whole number of 0 or more (2, 2.0 or "2"); None for anything else."""
    if type(value) is int and 0 <= value <= LARGEST_EXACT:
        return value
    amount = read_amount(value)
    if amount is None or amount.number < 0 or amount.number != int(amount.number):
        return None
    return int(amount.number)


def find_revenue(properties: Mapping[str, object], findings: Findings) -> int | float | None:
    """The first of revenue, total and value that is present decides, even when it is no number."""
    for name in ("revenue", "total", "value"):
        if properties.get(name) is not None:
            if name == "total":
                findings.warn("value_from_total")
            elif name == "value":
                findings.warn("value_from_value")
            return _read_value(properties[name], findings)
    return None


def find_named_value(
    properties: Mapping[str, object], name: str, findings: Findings, *, is_expected: bool
) -> int | float | None:
    """The value of an event whose value is one named property alone; a missing one is worth a warning if expected."""
    given = properties.get(name)
    if given is not None:
        return _read_value(given, findings)
    if is_expected:
        findings.warn("value_field_missing")
    return None


def _read_value(given: object, findings: Findings) -> int | float | None:
    amount = read_amount(given)
    if amount is None:
        findings.warn("invalid_value")
        return None
    if amount.is_coerced:
        findings.warn("value_coerced")
    return amount.number
