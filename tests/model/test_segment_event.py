"""One decoded call becomes a SegmentEvent, or an InvalidCall with a code."""

import copy
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.model.segment_event import (
    CALL_TYPES,
    CallCode,
    CallWarning,
    InvalidCall,
    RequestContext,
    SegmentEvent,
    merge_objects,
    parse_call,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"


def request(**fields: Any) -> RequestContext:
    return RequestContext(received_at=NOON, new_message_id=lambda: "made-here", **fields)


def track(**fields: Any) -> dict[str, Any]:
    """A valid call; a field overridden with `...` is left out."""
    call = {"type": "track", "userId": "u1", "event": "Seen", **fields}
    return {name: value for name, value in call.items() if value is not ...}


def parse(call: object, **fields: Any) -> SegmentEvent:
    event = parse_call(call, request(**fields))
    assert isinstance(event, SegmentEvent), event
    return event


CODES: list[tuple[CallCode, object]] = [
    ("invalid_event", 7),
    ("invalid_event", None),
    ("invalid_event", [track()]),
    ("unknown_type", track(type=...)),
    ("unknown_type", track(type="TRACK")),
    ("no_user_anon_id", track(userId=...)),
    ("no_user_anon_id", track(userId="", anonymousId=None)),
    ("no_user_anon_id", track(type="alias", userId=..., previousId="")),
    ("id_not_string", track(userId=[])),
    ("id_not_string", track(userId=True)),
    ("id_not_string", track(anonymousId=1.5)),
    ("id_not_string", track(groupId={})),
    ("id_invalid", track(userId="x" * 513)),
    ("id_invalid", track(anonymousId="a\nb")),
    ("id_invalid", track(previousId="a\x7fb")),
    ("group_id_required", track(type="group", groupId="")),
    ("event_not_defined", track(event=" \t")),
    ("event_not_string", track(event=["x"])),
    ("properties_not_object", track(properties="x")),
    ("traits_not_object", track(traits=[])),
    ("name_not_string", track(type="page", name=1)),
    ("category_not_string", track(type="screen", category=[])),
    ("context_not_object", track(context=False)),
    ("integrations_not_object", track(integrations=["All"])),
    ("consent_categorypreferences_should_exist", track(context={"consent": {}})),
    ("consent_categorypreferences_should_exist", track(context={"consent": True})),
    ("consent_categorypreferences_fields_should_be_object", track(context={"consent": {"categoryPreferences": []}})),
    (
        "consent_categorypreferences_fields_should_be_bool",
        track(context={"consent": {"categoryPreferences": {"ads": "no"}}}),
    ),
    ("invalid_message_id", track(messageId={})),
    ("invalid_message_id", track(messageId="x" * 101)),
    ("invalid_message_id", track(messageId="a\x00")),
    ("invalid_timestamp", track(timestamp="yesterday")),
]
FOUND_EARLIER = {"event_too_large", "too_deep", "too_many_keys", "write_key_mismatch"}


@pytest.mark.parametrize(("code", "call"), CODES)
def test_codes(code, call):
    """Each fault has its code and a sentence."""
    refused = parse_call(call, request())
    assert isinstance(refused, InvalidCall)
    assert refused.code == code
    assert refused.message


def test_every_code_has_a_row():
    """The table above holds every code; the rest are found while the body is decoded."""
    assert {code for code, _ in CODES} | FOUND_EARLIER == set(get_args(CallCode))


@pytest.mark.parametrize("call_type", sorted(CALL_TYPES))
def test_types(call_type):
    """Every type is taken as the call names it, or as the path does, which wins with a warning."""
    fields = {"type": call_type, "groupId": "g", "previousId": "p"}
    assert parse(track(**fields)).type == call_type
    assert parse(track(**fields, event="x") | {"type": "nonsense"}, call_type=call_type).warnings == ("type_mismatch",)
    assert parse(track(**{**fields, "type": ...}), call_type=call_type).warnings == ()


def test_ids():
    """Empty and null ids are absent, whole numbers become text, and nothing is trimmed or re-cased."""
    event = parse(track(userId=7, anonymousId="", groupId=" G ", previousId=2.0))
    assert (event.user_id, event.anonymous_id, event.group_id, event.previous_id) == ("7", None, " G ", "2")
    assert event.warnings == ("id_coerced", "id_coerced")
    assert parse(track(userId=2**70)).user_id == str(2**70)
    assert parse(track(userId="x" * 512)).user_id == "x" * 512


def test_alias():
    """alias may have previousId alone; without it there is a warning."""
    assert parse({"type": "alias", "previousId": "p"}).user_id is None
    assert parse({"type": "alias", "userId": "u"}).warnings == ("previous_id_missing",)


def test_message_id():
    """A messageId is kept as given; absent, null and empty ones are made by the gateway."""
    for given_id in ("node-next-1763722798-8e7f", "x" * 100, "ü"):
        assert parse(track(messageId=given_id)).message_id == given_id
    for call in (track(), track(messageId=None), track(messageId="")):
        assert parse(call).message_id == "made-here"


def test_names():
    """`event` is that of a track call, or the name of a page or screen, or empty."""
    assert parse(track(event=" kept as given ")).event == " kept as given "
    assert parse(track(type="page", name="Home")).event == "Home"
    assert parse(track(type="screen", name=None, category=None)).event == ""
    assert parse(track(type="identify", event=7, name=7)).event == ""


def test_null_is_absent():
    """A null is as if the field were not there."""
    fields = dict.fromkeys(
        ("properties", "traits", "context", "integrations", "timestamp", "sentAt", "originalTimestamp", "groupId")
    )
    assert parse(track(**fields)) == parse(track())
    assert parse(track(context={"consent": None})).context == {"consent": None}


def test_what_the_client_may_not_set():
    """receivedAt, version, channel and unknown keys have no effect, whatever their type."""
    call = track(receivedAt=[], version={}, channel=1, _metadata="x", writeKey=7, foo="bar")
    assert parse(call) == parse(track())
    assert parse(call).received_at == NOON


# --- What the batch and the connection lend ---


def test_merging_a_batch_context():
    """Objects are merged at every depth, the call's values win, its nulls count as absent, arrays are replaced."""
    batch = {"device": {"type": "phone", "name": "A"}, "ip": "203.0.113.7", "tags": [1, 2]}
    call = track(context={"device": {"name": "B"}, "ip": None, "tags": [3], "new": None})
    assert parse(call, context=batch).context == {
        "device": {"type": "phone", "name": "B"},
        "ip": "203.0.113.7",
        "tags": [3],
        "new": None,
    }
    assert batch == {"device": {"type": "phone", "name": "A"}, "ip": "203.0.113.7", "tags": [1, 2]}
    assert parse(track(), context=batch).context == batch


def test_a_scalar_never_merges_with_an_object():
    """Where one side has an object and the other has none, the call's value is taken whole."""
    assert merge_objects({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merge_objects({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_merging_integrations():
    """Integrations merge by name: the batch's opt-out holds until a call says otherwise by name."""
    batch = {"All": False, "Other": {"a": 1}}
    call = track(integrations={"Facebook Conversions API": True, "All": None, "Other": {"b": 2}})
    assert parse(call, integrations=batch).integrations == {
        "All": False,
        "Other": {"b": 2},
        "Facebook Conversions API": True,
    }


def test_consent_of_a_batch_is_checked():
    """Consent that comes from the batch is held to the same rules as a call's own."""
    refused = parse_call(track(), request(context={"consent": {"categoryPreferences": {"ads": 1}}}))
    assert isinstance(refused, InvalidCall)
    assert refused.code == "consent_categorypreferences_fields_should_be_bool"


CLIENT_SIDE = [
    ({"direct": True}, False),
    ({"library": {"name": "analytics.js"}}, False),
    ({"library": {"name": "analytics-react-native"}}, False),
    ({"library": {"name": "analytics-kotlin"}}, False),
    ({"library": {"name": "analytics-swift"}}, False),
    ({"library": {"name": "analytics-ios"}}, False),
    ({"library": {"name": "analytics-android"}}, False),
    ({"library": {"name": "RudderLabs JavaScript SDK"}}, False),
    ({}, True),
]
SERVER_SIDE = [
    {},
    {"direct": "true"},
    {"direct": 1},
    {"library": {"name": "analytics-python"}},
    {"library": {"name": "analytics.js-fake"}},
    {"library": {"name": 7}},
    {"library": "analytics.js"},
]


@pytest.mark.parametrize(("context", "has_origin"), CLIENT_SIDE)
def test_client_side_calls_get_the_connection(context, has_origin):
    """A call straight from a person's device takes its address and browser from the connection."""
    lent = {"client_ip": "203.0.113.9", "client_user_agent": BROWSER, "is_client_side": has_origin}
    filled = parse(track(context=context), **lent).context
    assert (filled["ip"], filled["userAgent"]) == ("203.0.113.9", BROWSER)
    own = {**context, "ip": "0.0.0.0", "userAgent": "own"}
    assert parse(track(context=own), **lent).context == own


@pytest.mark.parametrize("context", SERVER_SIDE)
def test_server_side_calls_do_not(context):
    """A server's address and agent say nothing about the person."""
    lent = {"client_ip": "203.0.113.9", "client_user_agent": BROWSER}
    assert parse(track(context=context), **lent).context == context


@pytest.mark.parametrize("agent", ["analytics-python/2.4.0", "analytics-node-next/latest", "okhttp/4.9", "", None])
def test_the_agent_of_an_sdk_is_never_the_persons(agent):
    """Only a browser's agent is filled in."""
    lent = {"client_ip": "203.0.113.9", "client_user_agent": agent, "is_client_side": True}
    assert parse(track(), **lent).context == {"ip": "203.0.113.9"}


# --- Always ---

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    (
        *("type", "event", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp", "sentAt"),
        *("originalTimestamp", "properties", "traits", "context", "integrations", "name", "category"),
    )
)
CONTEXTS = st.dictionaries(st.sampled_from(["ip", "direct", "library", "consent", "userAgent"]), JSON_VALUES)
CALLS = st.dictionaries(FIELDS, st.sampled_from(["track", "alias", "u1"]) | CONTEXTS | JSON_VALUES)


@given(CALLS | JSON_VALUES, CONTEXTS, CONTEXTS, JSON_VALUES)
def test_parsing_never_raises_and_changes_nothing(call, context, integrations, sent_at):
    """Any JSON value is an event or a refusal, and neither it nor what the request lends is modified."""
    lent = request(
        sent_at=sent_at, context=context, integrations=integrations, client_ip="203.0.113.9", is_client_side=True
    )
    before = copy.deepcopy((call, context, integrations))
    parsed = parse_call(call, lent)
    assert (call, context, integrations) == before
    assert isinstance(parsed, (SegmentEvent, InvalidCall))
    if isinstance(parsed, InvalidCall):
        assert parsed.code in get_args(CallCode)
    else:
        assert set(parsed.warnings) <= set(get_args(CallWarning))
        assert parsed.timestamp.tzinfo is UTC
        assert 1 <= len(parsed.message_id) <= 100


def test_find_field():
    """A dotted path from the call's root finds a value by its wire names; anything missing is None."""
    event = parse(track(context={"traits": {"email": "e"}}, properties={"a": [1]}, anonymousId="a1"))
    found = {path: event.find_field(path) for path in ("userId", "anonymousId", "context.traits.email", "properties.a")}
    assert found == {"userId": "u1", "anonymousId": "a1", "context.traits.email": "e", "properties.a": [1]}
    for path in (
        "",
        "user_id",
        "received_at",
        "context.traits.email.x",
        "properties.a.0",
        "nothing.at.all",
        "__class__",
    ):
        assert event.find_field(path) is None
