"""From headers and a few rows to a plan: what each column means, and how its numbers and dates are written.

A guess is always shown before it is used. Where two readings are possible the person is asked, by an ImportFailed.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from signalpost.file_import.amounts import find_currency, find_decimal
from signalpost.file_import.dates import find_date_order
from signalpost.file_import.fields import FIELDS
from signalpost.file_import.plan import DEFAULT_EVENT, Plan
from signalpost.file_import.tables import ImportFailed, Refusal, Values

Sample = Sequence[Values | Refusal]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{2,4}(?:\D.*)?", re.ASCII)
_ORDER_NUMBER = re.compile(r"#?[A-Z]{0,4}-?\d[\d-]*")
_SHAPES = {"email": _EMAIL, "time": _DATE, "order_id": _ORDER_NUMBER}
"""Fields that values tell when headers don't. An order's number only where a column is called “name”."""

_MOSTLY = 0.8


def guess_columns(columns: Sequence[str], sample: Sample) -> dict[str, str]:
    """Field -> column. Each column stands for one field at most; exact headers first, then the values themselves."""
    words = {column: simplify(column) for column in columns}
    guessed: dict[str, str] = {}
    for is_match in (_is_header, _has_header_inside):
        for name, field in FIELDS.items():
            for header in field.headers if name not in guessed else ():
                free = (c for c in columns if c not in guessed.values() and is_match(words[c], header))
                found = next((c for c in free if not _contradicts(name, column_values(columns, sample, c))), None)
                if found is not None:
                    guessed[name] = found
                    break
    for name, shape in _SHAPES.items():
        if name not in guessed:
            shaped = [
                column
                for column in columns
                if column not in guessed.values()
                and (name != "order_id" or words[column] == "name")
                and _most(column_values(columns, sample, column), shape)
            ]
            if len(shaped) == 1:
                guessed[name] = shaped[0]
    return {name: guessed[name] for name in FIELDS if name in guessed}


def _is_header(words: str, header: str) -> bool:
    return words == header


def _has_header_inside(words: str, header: str) -> bool:
    """Whole words, and not the shortest abbreviations: "ct" is in many a header."""
    return len(header) > 2 and f" {header} " in f" {words} "


def _contradicts(name: str, values: Sequence[str]) -> bool:
    """A header may mislead; the values of these fields can't."""
    if not values:
        return False
    if name == "email":
        return not _most(values, _EMAIL)
    if name in {"value", "price"}:
        return not any(character.isdigit() for value in values for character in value)
    if name == "name":  # some shops call the order's number its name
        return _most(values, _ORDER_NUMBER)
    return name in {"phone", "order_id", "product_id"} and _most(values, _EMAIL)


def _most(values: Sequence[str], shape: re.Pattern[str]) -> bool:
    return bool(values) and sum(shape.fullmatch(value) is not None for value in values) >= _MOSTLY * len(values)


def simplify(header: str) -> str:
    """Lower case, no accents, words of letters and digits with one blank between."""
    plain = unicodedata.normalize("NFKD", re.sub("(?<=[a-z])(?=[A-Z])", " ", header)).casefold()
    return " ".join(re.findall("[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c))))


def column_values(columns: Sequence[str], sample: Sample, column: str) -> list[str]:
    """The texts of a column in the sample, without the empty ones."""
    return [str(value).strip() for value in _raw_values(columns, sample, column) if value not in {None, ""}]


def _raw_values(columns: Sequence[str], sample: Sample, column: str) -> Iterator[object]:
    place = columns.index(column)
    for row in sample:
        if row and not isinstance(row, Refusal):
            value = row[place]
            yield value if isinstance(value, (str, int, float, type(None))) else str(value)


def complete_plan(plan: Plan, columns: Sequence[str], sample: Sample, *, has_semicolons: bool = False) -> Plan:
    """Add what the values show: the order of dates, the decimal mark, a currency sign. Raises when they can't say."""
    changes: dict[str, object] = {}
    if plan.dates is None and "time" in plan.columns:
        changes["dates"] = _find_dates(plan.columns["time"], columns, sample)
    amounts = [
        value
        for name in ("value", "price")
        if name in plan.columns
        for value in column_values(columns, sample, plan.columns[name])
    ]
    if plan.decimal is None:
        decimal = find_decimal(amounts)
        if decimal == "mixed":
            raise ImportFailed("some amounts are written 1.50 and others 1,50; say which: --decimal point or comma")
        changes["decimal"] = decimal if decimal != "any" else "comma" if has_semicolons else "point"
    constants = dict(plan.constants)
    if "event" not in plan.columns:
        constants.setdefault("event", DEFAULT_EVENT)
    currency = find_currency(amounts)
    if currency and "currency" not in plan.columns:
        constants.setdefault("currency", currency)
    return plan.change(constants=constants, **changes)


def _find_dates(column: str, columns: Sequence[str], sample: Sample) -> str | None:
    order = find_date_order(_raw_values(columns, sample, column))
    if order == "unclear":
        example = column_values(columns, sample, column)[0]
        raise ImportFailed(
            f"{example} in column “{column}” could begin with the day or the month; "
            "say which: --dates day-first or --dates month-first"
        )
    if order == "mixed":
        raise ImportFailed(
            f"column “{column}” has dates with the day first and others with the month first; write them all one way"
        )
    return None if order == "any" else order


def find_missing(plan: Plan, columns: Sequence[str]) -> str | None:
    """The objection to a plan that can't give a single event, as a sentence; None when it can."""
    listed = ", ".join(columns)
    if "time" not in plan.columns and "time" not in plan.constants:
        return (
            f"no column holds the time of the event (there are {listed}); Meta must know it. "
            "Rename its column to “event time”, or name it in a file: --write-columns columns.toml"
        )
    if not any(FIELDS[name].is_personal or name in {"lead_id", "country"} for name in plan.columns):
        return (
            f"no column tells who the customer is (there are {listed}); Meta needs an e-mail address, a phone number, "
            "a name with an address, or your own id of the customer"
        )
    return None


def describe_unused(plan: Plan, columns: Sequence[str]) -> list[str]:
    """The columns that are not sent."""
    used: Mapping[str, object] = dict.fromkeys([*plan.columns.values(), *plan.properties])
    return [column for column in columns if column not in used]
