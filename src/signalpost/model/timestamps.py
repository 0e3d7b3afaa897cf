"""The times that clients send: many spellings in, aware UTC instants with whole milliseconds out. Reads no clock."""

import re
from datetime import UTC, datetime, timedelta, timezone

_MILLISECONDS_FROM = 10**11
_SHORTEST_PLAIN = len("2026-11-21T11:59:58")
LONGEST_TIMESTAMP = 64
"""Characters."""

_ISO_8601 = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?:?\s*(?:([Zz])|([+-])(\d{2}):?(\d{2})?)?)?",
    re.ASCII,
)


def read_timestamp(value: object) -> datetime | None:
    """Return the instant that a client's JSON value names, or None when it names none.

    value: an ISO 8601 date or date and time (no zone means UTC, second 60 is the next second), or a Unix time in
    seconds, or in milliseconds from 10^11 on. Fractions are cut to milliseconds. A text of over 64 characters is none.
    Source: tracking API 7.2; Segment's own batch example writes "2015-2-02".
    """
    if isinstance(value, str):
        return (_read_plain(value) or _read_text(value.strip())) if len(value) <= LONGEST_TIMESTAMP else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _read_number(value)
    return None


def correct_clock_skew(happened_at: datetime, sent_at: datetime, received_at: datetime) -> datetime | None:
    """Move an instant from the client's clock to the server's; None when the result lies outside the calendar."""
    try:
        return received_at - (sent_at - happened_at)
    except OverflowError:
        return None


def _read_plain(text: str) -> datetime | None:
    """What nearly every SDK writes, at the speed of the standard library; None for the unusual, such as second 60."""
    if len(text) < _SHORTEST_PLAIN or text[10] not in "T ":
        return None
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is not UTC:
            read = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    excess = read.microsecond % 1000
    return read - timedelta(microseconds=excess) if excess else read


def _read_text(text: str) -> datetime | None:
    found = _ISO_8601.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = found.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    try:
        start = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            tzinfo=timezone(-offset if sign == "-" else offset),
        )
        seconds = int(second or 0)
        if seconds > 60:
            return None
        return (start + timedelta(seconds=seconds, milliseconds=int((fraction or "0").ljust(3, "0")[:3]))).astimezone(
            UTC
        )
    except (ValueError, OverflowError):
        return None


def _read_number(number: float) -> datetime | None:
    if number < 0:
        return None
    milliseconds = number if number >= _MILLISECONDS_FROM else number * 1000
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds))
    except (ValueError, OverflowError):
        return None
