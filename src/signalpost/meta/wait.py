"""How long Meta's headers ask us to wait."""

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import msgspec

_MINUTE = 60
_LONGEST = 12 * 60 * _MINUTE
"""A longer wait is taken for this one: asking again does no harm, and events grow old meanwhile."""


def find_wait_seconds(headers: Mapping[str, str]) -> float | None:
    """The longest wait that any header names, in seconds; None when none does. What can't be read is ignored.

    Source: Marketing API, "Rate Limiting": `estimated_time_to_regain_access` is in minutes, `reset_time_duration` in
    seconds. `Retry-After`, seconds or a date, is not documented by Meta; proxies send it.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    minutes = _find_numbers(by_name.get("x-business-use-case-usage"), "estimated_time_to_regain_access")
    seconds = _find_numbers(by_name.get("x-ad-account-usage"), "reset_time_duration")
    waits = [*(each * _MINUTE for each in minutes), *seconds, *_read_retry_after(by_name)]
    longest = max(waits, default=0)
    return float(min(longest, _LONGEST)) if longest > 0 else None


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
