"""A Segment call as the gateway keeps it, and how one is read from a client's JSON.

Lenient about clients (missing ids, odd timestamps, integers where text belongs), strict about types: a call that could
hide an opt-out or mean two things is refused with a code. Nothing here knows a destination. Source: tracking API,
sections 4 and 7.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, get_args

import msgspec

from signalpost.model.ids import MessageId
from signalpost.model.timestamps import LONGEST_TIMESTAMP, correct_clock_skew, read_timestamp

CallType = Literal["track", "identify", "page", "screen", "group", "alias"]
CALL_TYPES: Mapping[str, CallType] = {name: name for name in get_args(CallType)}

CallWarning = Literal["id_coerced", "type_mismatch", "previous_id_missing", "invalid_sent_at"]

CallCode = Literal[
    "invalid_event",
    "unknown_type",
    "no_user_anon_id",
    "id_not_string",
    "id_invalid",
    "group_id_required",
    "event_not_defined",
    "event_not_string",
    "properties_not_object",
    "traits_not_object",
    "name_not_string",
    "category_not_string",
    "context_not_object",
    "integrations_not_object",
    "consent_categorypreferences_should_exist",
    "consent_categorypreferences_fields_should_be_object",
    "consent_categorypreferences_fields_should_be_bool",
    "invalid_message_id",
    "invalid_timestamp",
    "event_too_large",
    "too_deep",
    "too_many_keys",
    "write_key_mismatch",
]

MAX_ID_CHARACTERS = 512
MAX_MESSAGE_ID_CHARACTERS = 100

JsonObject = Mapping[str, object]
_NOTHING: JsonObject = MappingProxyType({})


class SegmentEvent(msgspec.Struct, frozen=True, gc=False):
    """One track, page, identify... call as received, its time already corrected for the client's clock.

    event: the name of a track call, else the name of a page or screen, else "".
    timestamp, received_at: aware UTC instants; `timestamp` has whole milliseconds.
    properties, traits, context: JSON objects as the client sent them; empty when absent.
    integrations: None when absent.
    """

    type: CallType
    message_id: MessageId
    timestamp: datetime
    received_at: datetime
    user_id: str | None = None
    anonymous_id: str | None = None
    group_id: str | None = None
    previous_id: str | None = None
    event: str = ""
    properties: JsonObject = _NOTHING
    traits: JsonObject = _NOTHING
    context: JsonObject = _NOTHING
    integrations: JsonObject | None = None
    warnings: tuple[CallWarning, ...] = ()

    def find_field(self, path: str) -> object:
        """Return the value at a dotted path from the call's root, such as "context.traits.email"; None when absent.

        Names are case exact. A property whose own name holds dots is not reachable.
        """
        root, *names = path.split(".")
        attribute = _WIRE_NAMES.get(root)
        value: object = getattr(self, attribute) if attribute else None
        for name in names:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return value


_WIRE_NAMES = {
    "type": "type",
    "messageId": "message_id",
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "event": "event",
    "properties": "properties",
    "traits": "traits",
    "context": "context",
    "integrations": "integrations",
}


class InvalidCall(msgspec.Struct, frozen=True):
    """A call that is not a valid Segment call: the code Segment knows, and a sentence naming the field."""

    code: CallCode
    message: str


class RequestContext(msgspec.Struct, frozen=True):
    """What one request lends to each of its calls.

    received_at: aware UTC; one value for the whole request.
    new_message_id: gives the id for a call that has none.
    call_type: implied by the path; None in a batch, where each call names its own.
    sent_at, context, integrations: the batch's own, as decoded; a call's own values win.
    client_ip, client_user_agent: of the connection; used only for calls that come straight from a browser or a phone.
    is_client_side: True when the request or its source shows that it comes from a person's device.
    is_server_side: True when the source says that its calls come from servers, whatever library they name.
    """

    received_at: datetime
    new_message_id: Callable[[], str]
    call_type: CallType | None = None
    sent_at: object = None
    context: JsonObject = msgspec.field(default_factory=lambda: _NOTHING)
    integrations: JsonObject = msgspec.field(default_factory=lambda: _NOTHING)
    client_ip: str | None = None
    client_user_agent: str | None = None
    is_client_side: bool = False
    is_server_side: bool = False


class _Refused(Exception):
    def __init__(self, code: CallCode, message: str) -> None:
        self.invalid_call = InvalidCall(code, message)


def parse_call(raw: object, request: RequestContext) -> SegmentEvent | InvalidCall:
    """Read one decoded call; bad input is a value with a code, never an exception. `raw` is not changed."""
    try:
        return _read_call(raw, request)
    except _Refused as refused:
        return refused.invalid_call


def _read_call(raw: object, request: RequestContext) -> SegmentEvent:
    if not isinstance(raw, dict):
        raise _Refused("invalid_event", "each call must be a JSON object")
    warnings: list[CallWarning] = []
    call_type = _read_type(raw.get("type"), request.call_type, warnings)
    user_id = _read_id(raw, "userId", warnings)
    anonymous_id = _read_id(raw, "anonymousId", warnings)
    group_id = _read_id(raw, "groupId", warnings) if "groupId" in raw else None
    previous_id = _read_id(raw, "previousId", warnings) if "previousId" in raw else None
    if user_id is None and anonymous_id is None and not (call_type == "alias" and previous_id):
        raise _Refused("no_user_anon_id", "userId or anonymousId is required")
    if call_type == "group" and group_id is None:
        raise _Refused("group_id_required", "groupId is required")
    if call_type == "alias" and previous_id is None:
        warnings.append("previous_id_missing")
    properties = _read_object(raw, "properties", "properties_not_object")
    context = _read_object(raw, "context", "context_not_object")
    integrations = _read_object(raw, "integrations", "integrations_not_object") if "integrations" in raw else _NOTHING
    if request.context:
        context = merge_objects(request.context, context)
    if request.integrations:
        integrations = {**request.integrations, **_without_nulls(integrations)}
    if "consent" in context:
        _check_consent(context["consent"])
    return SegmentEvent(
        type=call_type,
        event=_read_event(raw) if call_type == "track" else _read_name(raw, call_type),
        message_id=_read_message_id(raw.get("messageId"), request),
        timestamp=_read_time(raw, request, warnings),
        received_at=request.received_at,
        user_id=user_id,
        anonymous_id=anonymous_id,
        group_id=group_id,
        previous_id=previous_id,
        properties=properties,
        traits=_read_object(raw, "traits", "traits_not_object") if "traits" in raw else _NOTHING,
        context=_fill_from_connection(context, request),
        integrations=integrations or None,
        warnings=tuple(warnings),
    )


def _read_type(given: object, implied: CallType | None, warnings: list[CallWarning]) -> CallType:
    if implied is not None:
        if given is not None and given != implied:
            warnings.append("type_mismatch")
        return implied
    known = CALL_TYPES.get(given) if isinstance(given, str) else None
    if known is None:
        raise _Refused("unknown_type", "type must be one of track, identify, page, screen, group, alias")
    return known


def _read_id(raw: JsonObject, name: str, warnings: list[CallWarning]) -> str | None:
    value = raw.get(name)
    if isinstance(value, str):
        text = value
    elif value is None:
        return None
    elif (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer()):
        text = str(int(value))
        warnings.append("id_coerced")
    else:
        raise _Refused("id_not_string", f"{name} must be a string")
    if len(text) > MAX_ID_CHARACTERS or not (text.isprintable() or _is_clean(text)):
        raise _Refused(
            "id_invalid", f"{name} must have at most {MAX_ID_CHARACTERS} characters and no control character"
        )
    return text or None


def _read_object(raw: JsonObject, name: str, code: CallCode) -> JsonObject:
    value = raw.get(name)
    if isinstance(value, dict):
        return value
    if value is None:
        return _NOTHING
    raise _Refused(code, f"{name} must be an object")


def _read_event(raw: JsonObject) -> str:
    event = raw.get("event")
    if isinstance(event, str):
        if event and not event.isspace():
            return event
    elif event is not None:
        raise _Refused("event_not_string", "event must be a string")
    raise _Refused("event_not_defined", "event is required: the name of what happened")


def _read_name(raw: JsonObject, call_type: CallType) -> str:
    if call_type not in {"page", "screen"}:
        return ""
    name, category = raw.get("name"), raw.get("category")
    if name is not None and not isinstance(name, str):
        raise _Refused("name_not_string", "name must be a string")
    if category is not None and not isinstance(category, str):
        raise _Refused("category_not_string", "category must be a string")
    return name or ""


def _read_message_id(value: object, request: RequestContext) -> MessageId:
    if value is None or value == "":
        return MessageId(request.new_message_id())
    if not isinstance(value, str):
        raise _Refused("invalid_message_id", "messageId must be a string")
    if len(value) > MAX_MESSAGE_ID_CHARACTERS or not (value.isprintable() or _is_clean(value)):
        limit = MAX_MESSAGE_ID_CHARACTERS
        raise _Refused("invalid_message_id", f"messageId must have at most {limit} characters and no control character")
    return MessageId(value)


def _read_time(raw: JsonObject, request: RequestContext, warnings: list[CallWarning]) -> datetime:
    """The time of the call by the server's clock. Source: Spec: Common, "Timestamps in calls"."""
    given, original = raw.get("timestamp"), raw.get("originalTimestamp")
    client_time = given if given is not None else original
    if client_time is None:
        return request.received_at
    happened_at = read_timestamp(client_time)
    if happened_at is None:
        field_name = "timestamp" if given is not None else "originalTimestamp"
        raise _Refused("invalid_timestamp", f"{field_name} must be an ISO 8601 date and time")
    if given is not None and original is not None:
        return happened_at  # `timestamp` beside `originalTimestamp` has been corrected by whoever sent it
    sent_at_given = raw.get("sentAt")
    if sent_at_given is None:
        sent_at_given = request.sent_at
    if sent_at_given is None:
        return happened_at
    is_worth_remembering = isinstance(sent_at_given, str) and len(sent_at_given) <= LONGEST_TIMESTAMP
    sent_at = _read_sent_at(sent_at_given) if is_worth_remembering else read_timestamp(sent_at_given)
    if sent_at is None:
        warnings.append("invalid_sent_at")
        return happened_at
    corrected = correct_clock_skew(happened_at, sent_at, request.received_at)
    if corrected is None:
        raise _Refused("invalid_timestamp", "timestamp and sentAt are too far apart")
    return corrected


_read_sent_at = lru_cache(maxsize=64)(read_timestamp)
"""All calls of a batch were sent at one time."""


def _check_consent(consent: object) -> None:
    """Source: Segment, "Consent in Segment Connections", error codes of the HTTP API."""
    if consent is None:
        return
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if preferences is None:
        message = "context.consent needs categoryPreferences"
        raise _Refused("consent_categorypreferences_should_exist", message)
    if not isinstance(preferences, dict):
        message = "context.consent.categoryPreferences must be an object"
        raise _Refused("consent_categorypreferences_fields_should_be_object", message)
    if not all(isinstance(value, bool) for value in preferences.values()):
        message = "context.consent.categoryPreferences must hold only true and false"
        raise _Refused("consent_categorypreferences_fields_should_be_bool", message)


_BROWSER_AGENT_PREFIX = "Mozilla/"
"""How the user agent of every browser begins, and that of no SDK or HTTP library."""

_LONGEST_LIBRARY_NAME = 100
_CLIENT_SIDE_LIBRARIES = ("react-native", "kotlin", "swift", "ios", "android", "RudderLabs JavaScript SDK")


def _fill_from_connection(context: JsonObject, request: RequestContext) -> JsonObject:
    """Add the connection's IP address and browser, only to calls that come straight from a person's device."""
    if (request.client_ip is None and request.client_user_agent is None) or not (
        request.is_client_side or _names_client_side(context, request)
    ):
        return context
    agent = request.client_user_agent
    is_browser = agent is not None and agent.startswith(_BROWSER_AGENT_PREFIX)
    found = {"ip": request.client_ip, "userAgent": agent if is_browser else None}
    missing = {name: value for name, value in found.items() if value and context.get(name) is None}
    return {**context, **missing} if missing else context


def _names_client_side(context: JsonObject, request: RequestContext) -> bool:
    if context.get("direct") is True:
        return True
    if request.is_server_side:
        return False
    library = context.get("library")
    name = library.get("name") if isinstance(library, dict) else None
    if not isinstance(name, str):
        return False
    return _runs_at_a_person(name[:_LONGEST_LIBRARY_NAME])


@lru_cache(maxsize=256)
def _runs_at_a_person(library: str) -> bool:
    return library == "analytics.js" or any(part in library for part in _CLIENT_SIDE_LIBRARIES)


def merge_objects(base: JsonObject, over: JsonObject) -> JsonObject:
    """Merge two JSON objects at every depth; `over` wins, but its nulls count as absent. Neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if value is None and key in merged:
            continue
        merged[key] = merge_objects(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _without_nulls(given: JsonObject) -> JsonObject:
    return {key: value for key, value in given.items() if value is not None}


def _is_clean(text: str) -> bool:
    """Tell whether there is no control character, as in any printable text and in some that Python won't print."""
    return not any(character < " " or "\x7f" <= character <= "\x9f" for character in text)
