"""The times that clients send, and the correction for their clocks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.model.segment_event import InvalidCall, RequestContext, parse_call
from signalpost.model.timestamps import correct_clock_skew, read_timestamp

RECEIVED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SKEW = [
    ("T1_the_client_is_right", {"timestamp": "2026-03-01T11:58:20Z", "sentAt": "2026-03-01T11:58:30Z"}, "11:59:50"),
    ("T2_an_hour_fast", {"timestamp": "2026-03-01T12:59:50Z", "sentAt": "2026-03-01T13:00:00Z"}, "11:59:50"),
    ("T3_in_2001", {"timestamp": "2001-01-01T00:00:00Z", "sentAt": "2001-01-01T00:00:05Z"}, "11:59:55"),
    ("T5_no_sent_at", {"timestamp": "2026-03-01T11:00:00Z"}, "11:00:00"),
    ("T5_sent_at_null", {"timestamp": "2026-03-01T11:00:00Z", "sentAt": None}, "11:00:00"),
    ("T6_no_time", {}, "12:00:00"),
    ("T6_only_sent_at", {"sentAt": "2026-03-01T11:58:30Z"}, "12:00:00"),
    ("T7_sent_before_it_happened", {"timestamp": "2026-03-01T11:59:30Z", "sentAt": "2026-03-01T11:59:00Z"}, "12:00:30"),
    ("T8_original", {"originalTimestamp": "2026-03-01T11:58:20Z", "sentAt": "2026-03-01T11:58:30Z"}, "11:59:50"),
    ("T10_sent_at_unreadable", {"timestamp": "2026-03-01T11:00:00Z", "sentAt": "soon"}, "11:00:00"),
]


def parse(call: dict[str, object], **request: object):
    context = RequestContext(received_at=RECEIVED_AT, new_message_id=lambda: "made", **request)
    return parse_call({"type": "track", "userId": "u", "event": "x", **call}, context)


@pytest.mark.parametrize(("fields", "expected"), [row[1:] for row in SKEW], ids=[row[0] for row in SKEW])
def test_clock_correction(fields, expected):
    """timestamp = receivedAt - (sentAt - originalTimestamp), wherever all of them are known."""
    event = parse(fields)
    assert event.timestamp == utc(f"2026-03-01T{expected}")
    assert ("invalid_sent_at" in event.warnings) is (fields.get("sentAt") == "soon")


def test_t4_offline_for_three_days():
    """A call from three days ago keeps its time: nothing is clamped."""
    event = parse({"timestamp": "2026-02-26T12:00:00Z", "sentAt": "2026-03-01T12:00:00Z"})
    assert event.timestamp == utc("2026-02-26T12:00:00")


def test_t9_a_time_beside_the_original():
    """`timestamp` beside `originalTimestamp` has been corrected already and is taken as it is."""
    fields = {"timestamp": "2026-02-28T10:00:00Z", "originalTimestamp": "2026-03-01T11:58:20Z", "sentAt": "2026-03-01"}
    assert parse(fields).timestamp == utc("2026-02-28T10:00:00")


def test_t11_sent_at_of_the_call_beats_the_batch():
    """A batch's sentAt counts for calls without one of their own."""
    ten_early = {"timestamp": "2026-03-01T11:58:20Z"}
    assert parse(ten_early, sent_at="2026-03-01T11:58:30Z").timestamp == utc("2026-03-01T11:59:50")
    own = {**ten_early, "sentAt": "2026-03-01T11:58:40Z"}
    assert parse(own, sent_at="2026-03-01T11:58:30Z").timestamp == utc("2026-03-01T11:59:40")


@pytest.mark.parametrize(
    "value",
    ["yesterday", "2026-02-30", True, -1, {}, [], "", "2026-13-01", 1e300, "1763722798", "2026-11-21" + " " * 60],
)
def test_t12_an_unreadable_time(value):
    """The call is rejected: guessing "now" would report an old sale as today's."""
    for name in ("timestamp", "originalTimestamp"):
        refused = parse({name: value})
        assert isinstance(refused, InvalidCall)
        assert refused.code == "invalid_timestamp"
        assert refused.message.startswith(name)


def test_a_correction_out_of_the_calendar():
    """A time that no calendar holds is rejected, not a crash."""
    refused = parse({"timestamp": "9999-12-31T00:00:00Z", "sentAt": "0001-01-01T00:00:00Z"})
    assert isinstance(refused, InvalidCall)
    assert refused.code == "invalid_timestamp"
    assert correct_clock_skew(datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), RECEIVED_AT) is None


SPELLINGS = [
    ("2026-11-21T11:59:58Z", "2026-11-21T11:59:58"),
    ("2026-11-21T11:59:58z", "2026-11-21T11:59:58"),
    ("2026-11-21 11:59:58", "2026-11-21T11:59:58"),
    ("2026-11-21T11:59:58", "2026-11-21T11:59:58"),
    ("2026-11-21T11:59", "2026-11-21T11:59:00"),
    ("2026-11-21", "2026-11-21T00:00:00"),
    ("2015-2-02", "2015-02-02T00:00:00"),
    ("2015-2-2T1:05:09Z", "2015-02-02T01:05:09"),
    ("2015-2-2T1:05:09-08:30", "2015-02-02T09:35:09"),
    ("2026-11-21T11:59:58.1Z", "2026-11-21T11:59:58.100"),
    ("2026-11-21T11:59:58.1239Z", "2026-11-21T11:59:58.123"),
    ("2026-11-21T11:59:58.123456Z", "2026-11-21T11:59:58.123"),
    ("2026-11-21T11:59:58.123999999Z", "2026-11-21T11:59:58.123"),
    ("2026-11-21T11:59:58+02:00", "2026-11-21T09:59:58"),
    ("2026-11-21T11:59:58+0530", "2026-11-21T06:29:58"),
    ("2026-11-21T11:59:58-08", "2026-11-21T19:59:58"),
    ("2026-11-21T11:59:58.5-08:00", "2026-11-21T19:59:58.500"),
    ("2026-11-21T11:59:60Z", "2026-11-21T12:00:00"),
    ("2026-11-21T11:59:60.5+01:00", "2026-11-21T11:00:00.500"),
    ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00"),
    ("2026-11-21T11:59:58:Z", "2026-11-21T11:59:58"),
    (" 2026-11-21T11:59:58Z ", "2026-11-21T11:59:58"),
    (1_763_722_798, "2025-11-21T10:59:58"),
    (1_763_722_798.1239, "2025-11-21T10:59:58.123"),
    (1_763_722_798_123, "2025-11-21T10:59:58.123"),
    (10**11, "1973-03-03T09:46:40"),
    (10**11 - 1, "5138-11-16T09:46:39"),
    (0, "1970-01-01T00:00:00"),
]


@pytest.mark.parametrize(("value", "expected"), SPELLINGS)
def test_spellings(value, expected):
    """Every spelling of an instant that clients use is read, as UTC with whole milliseconds."""
    assert read_timestamp(value) == utc(expected)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-21T11:59:61Z",
        "2026-11-21T24:30:00Z",
        "2026-11-21T11:60:00Z",
        "2026-11-21T11:59:58+24:00",
        "2026-11-21T11:59:58 UTC",
        "21.11.2026",
        "2026-11-21T",
        "20261121",
        "2026-11-21  11:59:58",
        "２０２６-11-21",
        "now",
        None,
        float("nan"),
        float("inf"),
        10**400,
        False,
        b"2026-11-21",
    ],
)
def test_what_is_no_time(value):
    """Anything else is None, never a guess and never an exception."""
    assert read_timestamp(value) is None


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones() | st.just(UTC)))  # noqa: DTZ001
def test_what_python_writes_is_read(instant):
    """An ISO 8601 text with an offset comes back as the same instant, cut to milliseconds."""
    offset = instant.utcoffset() or timedelta(0)
    instant = instant.replace(tzinfo=timezone(timedelta(minutes=offset // timedelta(minutes=1))))
    read = read_timestamp(instant.isoformat())
    assert read is not None
    assert read.tzinfo is UTC
    assert timedelta(0) <= instant - read < timedelta(milliseconds=1)
    assert read.microsecond % 1000 == 0


@given(
    st.text() | st.from_regex(r"\d{1,4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d\d(:\d\d)?.{0,8}") | st.integers() | st.floats()
)
def test_reading_never_raises(value):
    """Any text or number is an aware UTC instant or None."""
    read = read_timestamp(value)
    assert read is None or read.tzinfo is UTC
