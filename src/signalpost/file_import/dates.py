"""The times of a file: ISO 8601, 20.11.2026, 20/11/2026 or 11/20/2026, 20 Nov 2026, Unix time, Excel's day numbers.

What can be read in two ways is not guessed: a month swapped with a day would report a sale months away from its day.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

DateOrder = Literal["day-first", "month-first"]

_CLOCK = r"(?:[,T\s]+(\d{1,2})[:.h](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?\s*([AaPp])?\.?(?:[Mm]\.?)?)?"
_ZONE = r"\s*(?:(Z|UTC|GMT)|([+-])(\d{2}):?(\d{2}))?"
_NUMERIC = re.compile(rf"(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{2,4}}){_CLOCK}{_ZONE}", re.ASCII)
_NAMED = re.compile(
    rf"(?:[A-Za-z]{{3,9}},?\s+)?(?:(\d{{1,2}})[\s.-]+([A-Za-z]{{3,9}})|([A-Za-z]{{3,9}})\s+(\d{{1,2}}))[\s.,-]+(\d{{4}}){_CLOCK}{_ZONE}",
    re.ASCII,
)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_NUMBER = re.compile(r"\d{5}(?:\.\d+)?|\d{10}(?:\.\d+)?|\d{13}", re.ASCII)
_MILLISECONDS_FROM = 10**11
_EXCEL_DAYS = range(20_000, 80_000)  # 1954 to 2119; as Unix time it would be the first day of 1970
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - Excel knows no time zones
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DateReading:
    """How times without a zone, and dates such as 03/04/2026, are to be read."""

    zone: tzinfo = UTC
    order: DateOrder = "day-first"

    def read(self, value: object) -> datetime | None:
        """The instant that a cell names, in UTC; a date alone is its first moment. None when it names none."""
        try:
            found = self._read(value)
            return None if found is None else self._to_utc(found)
        except (ValueError, OverflowError):
            return None

    def _to_utc(self, found: datetime) -> datetime:
        return (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)

    def _read(self, value: object) -> datetime | None:
        if isinstance(value, str):
            return self._read_text(value)
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone comes after
        return _read_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def _read_text(self, text: str) -> datetime | None:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
        text = text.strip()
        if found := _NUMERIC.fullmatch(text):
            first, mark, second, third = found.group(1, 2, 3, 4)
            if len(first) == 4:
                year, month, day = first, second, third
            elif self.order == "day-first" or mark == ".":
                day, month, year = first, second, third
            else:
                month, day, year = first, second, third
            return _build(year, int(month), day, found.groups()[4:])
        if found := _NAMED.fullmatch(text):
            name = found.group(2) or found.group(3)
            month_number = _MONTHS.get(name[:3].lower())
            day = found.group(1) or found.group(4)
            return None if month_number is None else _build(found.group(5), month_number, day, found.groups()[5:])
        return _read_number(float(text)) if _NUMBER.fullmatch(text) else None


def _build(year: str, month: int, day: str, rest: tuple[str | None, ...]) -> datetime:
    hour, minute, second, half, utc, sign, zone_hours, zone_minutes = rest
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half in "Pp" else 0)
    full_year = int(year) + (2000 if len(year) == 2 else 0)
    built = datetime(full_year, month, int(day), hours, int(minute or 0), int(second or 0))  # noqa: DTZ001 - see below
    if utc:
        return built.replace(tzinfo=UTC)
    if sign:
        offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
        return built.replace(tzinfo=UTC) - (offset if sign == "+" else -offset)
    return built


def _read_number(number: float) -> datetime | None:
    if int(number) in _EXCEL_DAYS:
        return _EXCEL_EPOCH + timedelta(seconds=round(number % 1 * 86_400), days=int(number))
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
    return _EPOCH + timedelta(milliseconds=int(seconds * 1000)) if seconds > 10**8 else None


def find_date_order(values: Iterable[object]) -> DateOrder | Literal["any", "unclear", "mixed"]:
    """Whether dates such as 03/04/2026 have the day first: some value must say so.

    "any": no value depends on it. "unclear": some do, and none decides. "mixed": they contradict one another.
    """
    is_used = is_day_first = is_month_first = False
    for value in values:
        found = _NUMERIC.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None or len(found.group(1)) == 4 or found.group(2) == ".":
            continue
        is_used = True
        is_day_first = is_day_first or int(found.group(1)) > 12
        is_month_first = is_month_first or int(found.group(3)) > 12
    if is_day_first and is_month_first:
        return "mixed"
    if is_day_first or is_month_first:
        return "day-first" if is_day_first else "month-first"
    return "unclear" if is_used else "any"
