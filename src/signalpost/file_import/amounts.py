"""The amounts of a file: 1234.50, 1,234.50, 1.234,50, 12,50 €. Which mark is the decimal one is said once."""

import re
from collections.abc import Iterable
from typing import Literal

Decimal = Literal["point", "comma"]

_AMOUNT = re.compile(r"[^\d+\-.,]*([+-]?[\d.,'\u2019\u00a0\u202f ]*\d)[^\d]*", re.ASCII)
_SPACES = re.compile("['\u2019\u00a0\u202f ]")
_PLAIN = re.compile(r"-?\d{1,15}(?:\.\d{1,10})?", re.ASCII)
_GROUPED = {
    "point": re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?|[+-]?\.\d+", re.ASCII),
    "comma": re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d+)?|[+-]?,\d+", re.ASCII),
}
_LARGEST_EXACT = 2**53
_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR", "₺": "TRY", "₩": "KRW", "₪": "ILS", "zł": "PLN"}
"""Signs that one currency alone has; $ and ¥ have several."""


def read_amount(value: object, decimal: Decimal) -> int | float | None:
    """The number in a cell; a currency sign or code beside it is passed over. None when there is no number."""
    if isinstance(value, str):
        if decimal == "point" and _PLAIN.fullmatch(value):
            return float(value) if "." in value else int(value)
        return _read_text(value, decimal)
    if isinstance(value, bool):
        return None
    if not isinstance(value, (int, float)):
        try:
            value = float(value)  # type: ignore[arg-type]  # a Decimal of a Parquet file
        except (TypeError, ValueError):
            return None
    return value if abs(value) <= _LARGEST_EXACT else None


def _read_text(text: str, decimal: Decimal) -> int | float | None:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    digits = _SPACES.sub("", found.group(1))
    if len(digits) > 30 or not _GROUPED[decimal].fullmatch(digits):
        return None
    plain = digits.replace(",", "") if decimal == "point" else digits.replace(".", "").replace(",", ".")
    number = float(plain) if "." in plain else int(plain)
    return number if abs(number) <= _LARGEST_EXACT else None


def find_decimal(values: Iterable[object]) -> Decimal | Literal["any", "mixed"]:
    """Which mark is the decimal one, if any value decides; "1,234" does not."""
    found: set[Decimal] = set()
    for value in values:
        match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            continue
        digits = _SPACES.sub("", match.group(1))
        last = max(digits.rfind("."), digits.rfind(","))
        if last < 0:
            continue
        mark, other = digits[last], "," if digits[last] == "." else "."
        if other in digits or (len(digits) - last - 1 != 3 and digits.count(mark) == 1):
            found.add("point" if mark == "." else "comma")
        elif digits.count(mark) > 1:
            found.add("comma" if mark == "." else "point")
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "any"


def find_currency(values: Iterable[object]) -> str | None:
    """The one currency whose sign stands beside the amounts."""
    found = {code for value in values if isinstance(value, str) for sign, code in _SIGNS.items() if sign in value}
    return found.pop() if len(found) == 1 else None
