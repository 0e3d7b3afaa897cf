"""A row becomes the call that the mapping expects, or is refused with a reason that says how to mend it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.file_import.calls import CallBuilder
from signalpost.file_import.plan import Plan
from signalpost.file_import.tables import Refusal
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.mapper import map_event
from signalpost.model.results import Mapped
from signalpost.model.segment_event import RequestContext, SegmentEvent, parse_call
from tests.file_import.builders import DIGEST, NOW, build_call

SALE = {
    "order id": "R-1", "time": "2026-11-20 08:30", "email": " Ham.Solo@Example.com ", "phone": "+1 401 234 5678",
    "first name": "Ham", "last name": "Solo", "gender": "m", "birthday": "1990-01-31", "city": "East Greenwich",
    "state": "RI", "zip": "02818", "country": "US", "customer id": "c-7", "lead id": "123456789012345",
    "total": "39.95", "currency": "USD", "sku": "G-32", "quantity": "2", "unit price": "18.99",
}  # fmt: skip


def build(row, plan=None):
    return build_call(tuple(row), tuple(row.values()), plan)


def test_a_whole_row():
    """Every field has its place."""
    assert build(SALE) == {
        "type": "track",
        "messageId": f"import-{DIGEST[:24]}-2",
        "event": "Order Completed",
        "timestamp": datetime(2026, 11, 20, 8, 30, tzinfo=UTC),
        "userId": "c-7",
        "properties": {
            "order_id": "R-1",
            "revenue": 39.95,
            "currency": "USD",
            "products": [{"product_id": "G-32", "quantity": 2, "price": 18.99}],
        },
        "context": {
            "traits": {
                "email": "Ham.Solo@Example.com", "phone": "+1 401 234 5678", "firstName": "Ham", "lastName": "Solo",
                "gender": "m", "birthday": "1990-01-31",
                "address": {"city": "East Greenwich", "state": "RI", "postalCode": "02818", "country": "US"},
            },
            "Facebook Offline Conversions": {"leadId": "123456789012345"},
        },
    }  # fmt: skip


def test_it_maps_without_a_warning():
    """The mapping takes such a call as it is: every match key, the value, the contents, the order."""
    call = msgspec.json.decode(msgspec.json.encode(build(SALE)))
    event = parse_call(call, RequestContext(received_at=NOW, new_message_id=str))
    assert isinstance(event, SegmentEvent)
    offline = build_destination("facebook-offline-conversions", {"event_sets": {"Order Completed": "1234567890"}})
    (result,) = map_event(event, offline)
    assert isinstance(result, Mapped)
    assert result.warnings == ()
    sent = result.server_event
    keys = ("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country", "external_id", "lead_id")
    assert [key for key in keys if not getattr(sent.user_data, key)] == []
    assert (sent.event_name, sent.action_source, sent.event_time) == ("Purchase", "physical_store", 1795163400)
    assert sent.custom_data["value"] == 39.95


def test_a_customer_without_an_id_has_the_same_one_every_time():
    """Every call needs an id; it is made of the e-mail address, and does not show it."""
    row = {"email": "a@b.co", "time": "2026-11-20"}
    plan = Plan({"email": "email", "time": "time"}, {"event": "Visited"})
    first, second = build(row, plan), build({**row, "email": "A@B.co "}, plan)
    assert first["anonymousId"] == second["anonymousId"]
    assert "a@b.co" not in first["anonymousId"]
    other = build({**row, "email": "c@b.co"}, plan)
    assert other["anonymousId"] != first["anonymousId"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"time": ""}, "missing_time"),
        ({"time": "soon"}, "unreadable_time"),
        ({"time": "2026-09-24 11:59"}, "too_old"),
        ({"time": "2026-11-27"}, "in_future"),
        ({"total": ""}, "missing_value"),
        ({"total": "free"}, "unreadable_number"),
        ({"phone": "4.91701E+11"}, "shortened_number"),
        ({"products": "two"}, "unreadable_products"),
        (
            dict.fromkeys(
                set(SALE) - {"order id", "time", "total", "currency", "sku", "quantity", "unit price"}, "N/A"
            ),
            "no_match_key",
        ),
    ],
)
def test_rows_that_are_refused(change, code):
    """What Meta could never use is told here, where it can be mended; no value of the row is in the sentence."""
    refusal = build(
        {**SALE, **change}, Plan({name: column for name, column in COLUMNS.items() if column in {**SALE, **change}})
    )
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert not any(value and value in refusal.sentence for value in change.values() if len(value) > 3)


COLUMNS = {
    "order_id": "order id", "time": "time", "email": "email", "phone": "phone", "first_name": "first name",
    "last_name": "last name", "gender": "gender", "birthday": "birthday", "city": "city", "state": "state",
    "postal_code": "zip", "country": "country", "external_id": "customer id", "lead_id": "lead id", "value": "total",
    "currency": "currency", "product_id": "sku", "quantity": "quantity", "price": "unit price", "products": "products",
}  # fmt: skip


def test_events_of_62_days_are_taken():
    """As long as the mapping takes them; a phone call only for 7 days."""
    row = {"email": "a@b.co", "time": "2026-09-24T12:00:00Z", "value": "1"}
    assert "messageId" in build(row)
    plan = Plan(
        {"email": "email", "time": "time", "value": "value"}, {"action_source": "phone_call", "event": "Called"}
    )
    assert build(row, plan).code == "too_old"


def test_a_column_can_go_along_as_custom_data():
    """Only when the plan says so."""
    row = {"email": "a@b.co", "time": "2026-11-20", "total": "5", "store": "Harbour"}
    assert "store" not in build(row)["properties"]
    plan = Plan({"email": "email", "time": "time", "value": "total"}, properties={"store": "store_name"})
    assert build(row, plan)["properties"] == {"revenue": 5, "store_name": "Harbour"}


@given(
    st.lists(
        st.text() | st.none() | st.integers() | st.floats() | st.lists(st.text()) | st.booleans(),
        min_size=5,
        max_size=5,
    )
)
def test_any_row_becomes_a_call_or_a_refusal(values):
    """Never an exception; and what is built can be written as JSON."""
    plan = Plan({"email": "a", "time": "b", "value": "c", "products": "d", "phone": "e"}, {"event": "x"})
    built = CallBuilder(plan, ("a", "b", "c", "d", "e"), DIGEST, NOW).build(2, values)
    assert isinstance(built, Refusal) or msgspec.json.encode(built)


def test_the_future_is_a_day_away():
    """Clocks differ by hours; a day more is a mistake."""
    row = {"email": "a@b.co", "value": "1"}
    for hours, is_taken in ((23, True), (25, False)):
        time = (NOW + timedelta(hours=hours)).isoformat()
        assert isinstance(build({**row, "time": time}), dict) == is_taken
