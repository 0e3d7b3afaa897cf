"""From the bytes of a request to its events: gzip, JSON, form and multipart; the token from any of its four places.

Nothing is judged here except whether it can be read at all; an objection is the id of the row to answer with.
Sources: "Using the API" (parameters), facebook-python-business-sdk (elements of `data` as JSON strings).
"""

import zlib
from email import policy
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

import msgspec

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_EVENTS = 1000

Event = dict[str, Any]


class RequestHead(msgspec.Struct, frozen=True):
    """The parts of the request line and the headers that matter for reading the body. Absent is the empty text."""

    content_type: str
    content_encoding: str
    authorization: str
    query_string: str


class DecodedRequest(msgspec.Struct, frozen=True):
    """The parameters of one request. `token_place` is header, query, form, json or none."""

    token: str | None = None
    token_place: str = "none"  # noqa: S105 - the name of a place
    data: Any = None
    test_event_code: str | None = None
    proof: object = None
    objection: str | None = None


class EventList(msgspec.Struct, frozen=True):
    """The events of `data`. When the shape is wrong: whatever could be read, the objection's row and its words."""

    events: list[Event]
    objection: str | None = None
    text: str | None = None


def decode_request(head: RequestHead, body: bytes) -> DecodedRequest:
    """Read the parameters. Never raises: an unreadable body has an objection, and still the token of its head."""
    parameters: dict[str, Any] = {}
    body_place = "form"
    objection = None
    try:
        plain = _inflate(body) if "gzip" in head.content_encoding.lower() else body
        parameters, body_place = _read_parameters(head.content_type, plain)
    except _BodyTooLargeError:
        objection = "body_too_large_413"
    except (ValueError, LookupError, zlib.error):
        objection = "param_invalid"
    query = dict(parse_qsl(head.query_string))
    token, place = find_token(head)
    if token is None and isinstance(parameters.get("access_token"), str):
        token, place = parameters["access_token"], body_place
    test_event_code = parameters.get("test_event_code", query.get("test_event_code"))
    return DecodedRequest(
        token=token,
        token_place=place,
        data=parameters.get("data", query.get("data")),
        test_event_code=test_event_code if isinstance(test_event_code, str) else None,
        proof=parameters.get("appsecret_proof", query.get("appsecret_proof")),
        objection=objection,
    )


def find_token(head: RequestHead) -> tuple[str | None, str]:
    """Return the token and its place as far as the head tells; (None, "none") when only the body can have it."""
    scheme, _, credentials = head.authorization.partition(" ")
    if scheme.lower() in {"bearer", "oauth"} and credentials.strip():
        return credentials.strip(), "header"
    from_query = dict(parse_qsl(head.query_string)).get("access_token")
    return (from_query, "query") if from_query else (None, "none")


def read_events(data: Any) -> EventList:
    """Return the events of `data`: an array of objects. The array and each object may also come as JSON text."""
    if isinstance(data, str):
        try:
            data = msgspec.json.decode(data)
        except ValueError:
            return EventList([], "param_invalid", "data must be a JSON array")
    if not isinstance(data, list):
        return EventList([], "param_invalid", "data must be an array of events")
    if not data:
        return EventList([], "data_empty")
    events = [element for element in map(_read_element, data) if element is not None]
    if len(data) > MAX_EVENTS:
        return EventList(events, "batch_too_large")
    if len(events) != len(data):
        index = next(i for i, element in enumerate(data) if _read_element(element) is None)
        return EventList(events, "param_invalid", f"data[{index}] must be a JSON object")
    return EventList(events)


class _BodyTooLargeError(Exception):
    """The body is, or unpacks to, more than the emulator holds in memory."""


def _inflate(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    plain = unpacker.decompress(body, MAX_BODY_BYTES)
    if unpacker.unconsumed_tail:
        raise _BodyTooLargeError
    if not unpacker.eof:
        raise ValueError("the gzip stream ends too early")
    return plain


def _read_parameters(content_type: str, body: bytes) -> tuple[dict[str, Any], str]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)), "form"
    if media_type == "multipart/form-data":
        return _read_multipart(content_type, body), "form"
    if not body:
        return {}, "form"
    decoded = msgspec.json.decode(body)
    if not isinstance(decoded, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - unreadable input, like any other
    return decoded, "json"


def _read_multipart(content_type: str, body: bytes) -> dict[str, Any]:
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    fields: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload.decode()
    return fields


def _read_element(element: Any) -> Event | None:
    if isinstance(element, dict):
        return element
    if isinstance(element, str):
        try:
            decoded = msgspec.json.decode(element)
        except ValueError:
            return None
        return decoded if isinstance(decoded, dict) else None
    return None
