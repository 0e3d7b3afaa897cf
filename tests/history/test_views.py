"""What people see of a call: its shape, its numbers and its end; no person, no key."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.history.entries import CallEntry, EventState, RequestFacts
from signalpost.history.masking import mask_call
from signalpost.history.views import show_call
from signalpost.model.ids import DestinationId, MessageId, SourceId
from signalpost.model.timestamps import read_timestamp

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HASH = "a" * 64


def show(call: dict[str, Any], *, reveal: bool = False, sent_at: datetime | None = None, **payload: Any) -> Any:
    events = [EventState(DestinationId("p"), "Purchase", "pending", "", payload=json.dumps(payload).encode())]
    request = RequestFacts("r", NOON, sent_at=sent_at)
    text = json.dumps(call).encode()
    entry = CallEntry(
        SourceId("website"), NOON, MessageId("m"), "track", "x", "accepted", "", events, request=request, text=text
    )
    return msgspec.to_builtins(show_call(entry, reveal=reveal))


def test_the_person_is_masked():
    """Traits, ids, addresses and whatever looks like contact data are masked; names of fields and numbers stay."""
    shown = show(
        {
            "userId": "jo-bloggs",
            "event": "Order Completed",
            "properties": {"revenue": 12.5, "note": "ask jo@example.com", "items": [{"e-mail": "jo@example.com"}]},
            "context": {"ip": "203.0.113.7", "traits": {"plan": "gold", "age": 41, "address": {"city": "Delft"}}},
        }
    )
    assert shown["call"] == {
        "userId": "***",
        "event": "Order Completed",
        "properties": {"revenue": 12.5, "note": "ask ***", "items": [{"e-mail": "***"}]},
        "context": {"ip": "***", "traits": {"plan": "***", "age": "***", "address": {"city": "***"}}},
    }
    assert (shown["has_user_id"], shown["has_anonymous_id"]) == (True, False)


def test_hashes_stay():
    """What Meta gets is shown with its hashes, which are no secret between the two; what is in clear is masked."""
    user_data = {"em": [HASH], "ph": HASH, "external_id": "u1", "client_ip_address": "203.0.113.7", "fbp": "fb.1.2.3"}
    (event,) = show({}, user_data=user_data, custom_data={"value": 1, "order_id": "A7"})["events"]
    assert event["server_event"] == {
        "user_data": {"em": [HASH], "ph": HASH, "external_id": "***", "client_ip_address": "***", "fbp": "***"},
        "custom_data": {"value": 1, "order_id": "A7"},
    }


def test_revealing():
    """Who may see the call as it was sent does."""
    assert show({"userId": "jo"}, reveal=True)["call"] == {"userId": "jo"}


@pytest.mark.parametrize(
    ("own", "of_batch", "skew"),
    [
        ("2026-11-21T11:59:58.500Z", None, 1_500),
        (None, "2026-11-21T12:00:01Z", -1_000),
        ("2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z", 3_600_000),
        (None, None, None),
        ("yesterday", None, None),
    ],
)
def test_the_clock_of_the_client(own, of_batch, skew):
    """The call's own sentAt says how far its clock is off, else the batch's."""
    assert show({"sentAt": own}, sent_at=read_timestamp(of_batch))["skew_ms"] == skew


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda below: st.dictionaries(st.text(), below)))
def test_masking_never_fails(call):
    """Any JSON can be shown, and masking twice changes nothing more."""
    once = mask_call(call)
    assert mask_call(once) == once
