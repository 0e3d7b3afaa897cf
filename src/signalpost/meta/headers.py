"""What Meta's headers say beside the answer: how long to wait, how much of its limits is used up, what time it is.

Names in any case; what can't be read is ignored. Source: Marketing API, "Rate Limiting".
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

_MINUTE = 60
_LONGEST = 12 * 60 * _MINUTE
"""A longer wait is taken for this one: asking again does no harm, and events grow old meanwhile."""


def find_wait_seconds(headers: Mapping[str, str]) -> float | None:
    """The longest wait that any header names, in seconds; None when none does.

    `estimated_time_to_regain_access` is in minutes, `reset_time_duration` in seconds. `Retry-After`, seconds or a date,
    is not documented by Meta; proxies send it.
    """
    by_name = _lower_names(headers)
    minutes = _find_numbers(by_name.get("x-business-use-case-usage"), "estimated_time_to_regain_access")
    seconds = _find_numbers(by_name.get("x-ad-account-usage"), "reset_time_duration")
    waits = [*(each * _MINUTE for each in minutes), *seconds, *_read_retry_after(by_name)]
    longest = max(waits, default=0)
    return float(min(longest, _LONGEST)) if longest > 0 else None


_USAGE_PERCENTAGES = {
    "x-app-usage": ("call_count", "total_time", "total_cputime"),
    "x-business-use-case-usage": ("call_count", "total_time", "total_cputime"),
    "x-ad-account-usage": ("acc_id_util_pct",),
}


def find_usage(headers: Mapping[str, str]) -> float | None:
    """The highest share of a rate limit that any header names, 1.0 being all of it; None when none does."""
    by_name = _lower_names(headers)
    percentages = [
        number
        for header, names in _USAGE_PERCENTAGES.items()
        if header in by_name
        for name in names
        for number in _find_numbers(by_name[header], name)
    ]
    return max(percentages) / 100 if percentages else None


def find_date(headers: Mapping[str, str]) -> datetime | None:
    """What the clock of whoever answered showed; whole seconds."""
    try:
        date = parsedate_to_datetime(_lower_names(headers).get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _find_numbers(text: str | None, name: str) -> Iterator[float]:
    """Every number that stands under this name, at any depth: one entry for each business and use case."""
    waiting = [_read_json(text)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from _as_number(value.get(name))
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _read_retry_after(by_name: Mapping[str, str]) -> Iterator[float]:
    """The seconds, or how far the date lies after the date of the answer: both are by the same clock."""
    text = by_name.get("retry-after", "")
    yield from _as_number(_read_json(text))
    try:
        yield (parsedate_to_datetime(text) - parsedate_to_datetime(by_name.get("date", ""))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return


def _read_json(text: str | None) -> object:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _as_number(value: object) -> Iterator[float]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
