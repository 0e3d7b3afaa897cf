"""When it happened, in the whole seconds that Meta wants."""

from datetime import UTC, datetime, timedelta

from signalpost.mapping.findings import Findings
from signalpost.model.segment_event import SegmentEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = timedelta(0)
_SECONDS_A_DAY = 86_400


def build_event_time(event: SegmentEvent, max_age: timedelta, findings: Findings) -> int:
    """Seconds since 1970, rounded down; a time in the future becomes the time of receipt.

    Older than `max_age` when received rejects the event: Meta would refuse the whole request that it travels in.
    Source: Meta, "Server Event Parameters", event_time.
    """
    event_time = _count_seconds(event.timestamp)
    if _NO_TIME <= event.received_at - event.timestamp <= max_age:
        return event_time  # the ordinary case; the others are told apart in whole seconds
    received_at = _count_seconds(event.received_at)
    if event_time > received_at:
        findings.warn("event_time_in_future")
        return received_at
    if received_at - event_time > max_age.total_seconds():
        findings.reject("event_too_old")
    return event_time


def _count_seconds(instant: datetime) -> int:
    since = instant - _EPOCH
    return since.days * _SECONDS_A_DAY + since.seconds  # exact, unlike a float, and so it rounds down
