"""Times in a file: the usual spellings are read, and what can be read in two ways is not guessed."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.file_import.dates import DateReading, find_date_order

BERLIN = DateReading(ZoneInfo("Europe/Berlin"))
MONTH_FIRST = DateReading(UTC, "month-first")
HALF_PAST_EIGHT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T08:30:00Z",
        "2026-11-20 09:30",
        "2026-11-20T03:30:00-05:00",
        "20.11.2026 09:30",
        "20.11.2026, 09:30:00",
        "20/11/2026 09:30",
        "20/11/26 9:30 AM",
        "20-11-2026 09:30",
        "20 Nov 2026 09:30",
        "20-Nov-2026 09:30",
        "Nov 20, 2026 9:30 am",
        "Friday, 20 November 2026 09:30",
        "2026/11/20 09:30",
        "20261120T0930",
        "1795163400",
        "1795163400000",
        "46346.3958333333",
        datetime(2026, 11, 20, 9, 30),  # noqa: DTZ001 - Parquet has such
        datetime(2026, 11, 20, 8, 30, tzinfo=UTC),
        1795163400,
        1795163400.0,
    ],
)
def test_one_instant_in_many_spellings(text):
    """Times without a zone are those of the chosen one; Unix times and offsets are what they are."""
    assert BERLIN.read(text) == HALF_PAST_EIGHT


def test_a_date_alone_is_its_first_moment():
    """In the chosen zone."""
    assert BERLIN.read("20.11.2026") == datetime(2026, 11, 19, 23, tzinfo=UTC)
    assert BERLIN.read(date(2026, 11, 20)) == datetime(2026, 11, 19, 23, tzinfo=UTC)


def test_the_order_of_day_and_month():
    """Slashes and dashes are read as told; dots always have the day first."""
    assert MONTH_FIRST.read("03/04/2026") == datetime(2026, 3, 4, tzinfo=UTC)
    assert DateReading().read("03/04/2026") == datetime(2026, 4, 3, tzinfo=UTC)
    assert MONTH_FIRST.read("03.04.2026") == datetime(2026, 4, 3, tzinfo=UTC)
    assert MONTH_FIRST.read("20/11/2026") is None


@pytest.mark.parametrize(
    "text", ["yesterday", "31.02.2026", "2026-13-01", "20.11.2026 25:00", "12345", "", True, None, []]
)
def test_what_is_no_time(text):
    """None, never an exception."""
    assert DateReading().read(text) is None


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_anything_is_a_time_or_none(value):
    """Whatever a cell holds: an aware UTC instant or None."""
    read = DateReading().read(value)
    assert read is None or read.tzinfo is UTC


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["03/04/2026", "20/04/2026"], "day-first"),
        (["03/04/2026", "04/20/2026"], "month-first"),
        (["03/04/2026"], "unclear"),
        (["20/04/2026", "04/20/2026"], "mixed"),
        (["2026-04-03", "03.04.2026", 1795163400], "any"),
    ],
)
def test_the_order_is_decided_by_the_values(values, order):
    """Some value must say so."""
    assert find_date_order(values) == order
