"""What to do about calls and requests that are refused before anything is mapped, by the code of the refusal."""

from collections.abc import Mapping
from typing import Final

from signalpost.model.segment_event import CallCode

CALL_FIXES: Final[Mapping[CallCode, str]] = {
    "write_key_mismatch": "Send all calls of a batch with one write key; or leave writeKey out of the calls.",
    "invalid_event": "Send each call as a JSON object.",
    "unknown_type": "Send type as track, page, screen, identify, group or alias.",
    "no_user_anon_id": "Send userId, or anonymousId for somebody who is not signed in.",
    "id_not_string": "Send userId and anonymousId as texts.",
    "id_invalid": "Send the person's real id; placeholders such as null or undefined are refused.",
    "group_id_required": "Send groupId with every group call.",
    "event_not_defined": "Send the name of what happened as event, such as Order Completed.",
    "event_not_string": "Send event as a text.",
    "properties_not_object": "Send properties as a JSON object, or leave it out.",
    "traits_not_object": "Send traits as a JSON object, or leave it out.",
    "name_not_string": "Send name as a text.",
    "category_not_string": "Send category as a text.",
    "context_not_object": "Send context as a JSON object, or leave it out.",
    "integrations_not_object": "Send integrations as a JSON object, or leave it out.",
    "consent_categorypreferences_should_exist": "Send context.consent with categoryPreferences, or leave it out.",
    "consent_categorypreferences_fields_should_be_object": "Send categoryPreferences as a JSON object.",
    "consent_categorypreferences_fields_should_be_bool": "Send true or false for each category of consent.",
    "invalid_message_id": "Send messageId as a short text, or leave it out: one is made.",
    "invalid_timestamp": "Send timestamp as ISO 8601, such as 2026-01-31T12:00:00Z, or leave it out.",
    "event_too_large": "Send at most 32 KB for each call; leave out what no destination uses.",
    "too_deep": "Send flatter JSON: fewer objects within objects.",
    "too_many_keys": "Send fewer fields in each object.",
}

REQUEST_FIXES: Final[Mapping[str, str]] = {
    "empty_body": "Send the call as the body of the request.",
    "invalid_json": "Send valid JSON, with Content-Type: application/json.",
    "invalid_utf8": "Send the body as UTF-8.",
    "invalid_encoding": "The body is not what Content-Encoding says: compress it with gzip, or leave the header out.",
    "incomplete_body": "The connection ended early: look at the sender's network, or at a proxy between.",
    "invalid_payload": "Send one JSON object as the body.",
    "empty_batch": "Send at least one call in batch.",
    "invalid_batch": "Send batch as a JSON array of calls.",
    "too_many_events": "Send fewer calls in each batch.",
    "bad_request": "The request is no valid HTTP: look at a proxy between.",
    "missing_write_key": "Give the sender a source's write key; SDKs send it as the user name of Basic authentication.",
    "invalid_write_key": "Copy the write key from the source's page to the sender. A disabled source's key is refused.",
    "origin_not_allowed": "Add the website's origin to the source's allowed origins.",
    "not_found": "Set the sender's host to the address of this gateway, without a path; SDKs add /v1/... themselves.",
    "unknown_source": "Use the write key of a source that exists in the address.",
    "method_not_allowed": "Send calls with POST.",
    "request_timeout": "The body came too slowly: look at the sender's network.",
    "payload_too_large": "Send smaller batches.",
    "unsupported_encoding": "Compress with gzip, or not at all.",
    "rate_limited": "The sender repeats by itself. If it lasts, raise the source's limit.",
    "temporarily_unavailable": "The sender repeats by itself; see /healthz and the log for why calls were not taken.",
}


_FIXES: Final[Mapping[str, str]] = {str(code): fix for code, fix in CALL_FIXES.items()} | dict(REQUEST_FIXES)


def find_fix(code: str) -> str:
    """What to do; "" for a code that is not of the door."""
    return _FIXES.get(code, "")
