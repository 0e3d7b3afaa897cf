"""How long Meta's headers ask us to wait."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalpost.meta.headers import find_wait_seconds

HALF_A_DAY = 12 * 3600.0


def business_use_case(*minutes) -> str:
    return json.dumps({str(key): [{"estimated_time_to_regain_access": each}] for key, each in enumerate(minutes)})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "true"}, None),
        ({"X-Business-Use-Case-Usage": business_use_case(19)}, 19 * 60),
        ({"X-Business-Use-Case-Usage": business_use_case(1, 5, 3)}, 5 * 60),
        ({"X-Business-Use-Case-Usage": business_use_case(0)}, None),
        ({"X-Business-Use-Case-Usage": business_use_case("19", None, True)}, None),
        ({"X-Ad-Account-Usage": '{"acc_id_util_pct":100,"reset_time_duration":100}'}, 100),
        ({"X-Ad-Account-Usage": "[]", "Retry-After": "7"}, 7),
        ({"X-Business-Use-Case-Usage": business_use_case(2), "Retry-After": "121"}, 121),
        ({"X-App-Usage": '{"call_count":100}'}, None),
    ],
)
def test_wait(headers, seconds):
    """The longest wait wins; minutes and seconds are told apart; zero and nonsense are ignored."""
    assert find_wait_seconds(headers) == seconds


def test_date():
    """A date to retry after counts from the date of the answer, so that our own clock does not matter."""
    dates = {"retry-after": "Sat, 21 Nov 2026 12:02:00 GMT", "date": "Sat, 21 Nov 2026 12:00:30 GMT"}
    assert find_wait_seconds(dates) == 90
    assert find_wait_seconds({"retry-after": dates["retry-after"]}) is None
    assert find_wait_seconds({"retry-after": dates["date"], "date": dates["retry-after"]}) is None


@pytest.mark.parametrize("huge", ["1e300", "1" + "0" * 400, "99999999"])
def test_longest(huge):
    """No header makes a destination wait for longer than half a day."""
    assert find_wait_seconds({"Retry-After": huge}) == HALF_A_DAY


@given(st.sampled_from(["x-business-use-case-usage", "X-Ad-Account-Usage", "retry-after", "date"]), st.text())
@example("x-business-use-case-usage", "[" * 4_000 + "]" * 4_000)
@example("x-business-use-case-usage", "[" * 900 + "]" * 900)
@example("Retry-After", "\udcff")
@example("Retry-After", "Sat, 21 Nov 99999 12:00:00 GMT")
def test_any_text(name, text):
    """Whatever a header says, the wait is a sensible one or none."""
    date = "Sat, 21 Nov 2026 12:00:30 GMT"
    seconds = find_wait_seconds({"date": date, name: text})
    assert seconds is None or 0 < seconds <= HALF_A_DAY
