"""Numbers as people and shops write them: the value of an event, a product's price, a quantity."""

import re
from collections.abc import Mapping

from signalpost.mapping.findings import Findings
from signalpost.model.results import WarningCode

LARGEST_EXACT = 2.0**53
"""Above it a JSON number is no longer exact everywhere, so it is not numeric."""

_LONGEST_NUMBER = 40
"""Characters; nothing longer is below 2^53, and Python refuses to read integers of thousands of digits."""

_PLAIN = re.compile(r"[+-]?(?:\d+|\d*\.\d+|\d+\.)", re.ASCII)
_WITH_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_SIGNS = re.compile(
    r"[\s$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20c0\ufdfc\ufe69\uff04\uffe0\uffe1\uffe5\uffe6]"
)


def read_number(value: object) -> int | float | None:
    """Read a JSON number or a number in text; None when it is neither.

    In text, white space and currency signs are dropped, and commas only where they separate thousands. Whole numbers
    stay whole. True, false and magnitudes over 2^53 are not numbers here.
    """
    if type(value) is float or type(value) is int:  # not isinstance: true and false are integers to Python
        return value if -LARGEST_EXACT <= value <= LARGEST_EXACT else None
    return _read_text(value) if isinstance(value, str) else None


def _read_text(text: str) -> int | float | None:
    plain = text.strip()
    if not _is_plain(plain):
        plain = _SIGNS.sub("", plain)
        if _WITH_THOUSANDS.fullmatch(plain):
            plain = plain.replace(",", "")
        elif not _is_plain(plain):
            return None
    if len(plain) > _LONGEST_NUMBER:
        return None
    number = float(plain) if "." in plain else int(plain)
    return number if abs(number) <= LARGEST_EXACT else None


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def read_quantity(value: object) -> int | None:
    """Read a whole number of 0 or more (2, 2.0 or "2"); None for anything else."""
    if type(value) is int and 0 <= value <= LARGEST_EXACT:
        return value
    number = read_number(value)
    if number is None or number < 0:
        return None
    whole = int(number)
    return whole if whole == number else None


_REVENUE_PROPERTIES: tuple[tuple[str, WarningCode | None], ...] = (
    ("revenue", None),
    ("total", "value_from_total"),
    ("value", "value_from_value"),
)


def find_revenue(properties: Mapping[str, object], findings: Findings) -> int | float | None:
    """The first of revenue, total and value that is present decides, even when it is no number."""
    for name, warning in _REVENUE_PROPERTIES:
        given = properties.get(name)
        if given is not None:
            number = _read_value(given, findings)
            if warning is not None and number is not None:
                findings.warn(warning)
            return number
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
    number = read_number(given)
    if number is None:
        findings.warn("invalid_value")
    elif isinstance(given, str) and not _is_plain(given.strip()):
        findings.warn("value_coerced")
    return number
