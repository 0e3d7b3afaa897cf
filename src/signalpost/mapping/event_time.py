"""When it happened, in the whole seconds that Meta wants."""

from datetime import timedelta
from math import floor

from signalpost.mapping.findings import Findings
from signalpost.model.segment_event import SegmentEvent

_NO_TIME = timedelta(0)


def build_event_time(event: SegmentEvent, max_age: timedelta, findings: Findings) -> int:
    """Seconds since 1970, rounded down; a time in the future becomes the time of receipt.

    Older than `max_age` when received rejects the event: Meta would refuse the whole request that it travels in.
    Source: Meta, "Server Event Parameters", event_time.
    """
    event_time = floor(event.timestamp.timestamp())
    if _NO_TIME <= event.received_at - event.timestamp <= max_age:
        return event_time  # the ordinary case; the others are told apart in whole seconds
    received_at = floor(event.received_at.timestamp())
    if event_time > received_at:
        findings.warn("event_time_in_future")
        return received_at
    if received_at - event_time > max_age.total_seconds():
        findings.reject("event_too_old")
    return event_time
