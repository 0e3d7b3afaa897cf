"""Where a request says which source it is from. Source: tracking API, section 2."""

import base64
from collections.abc import Iterator
from typing import Final

from signalpost.ingest.decode import DecodedBatch, RequestFault, read_call_keys
from signalpost.ingest.requests import TrackingRequest
from signalpost.model.segment_event import InvalidCall
from signalpost.turns import Turn

MISSING_KEY: Final = RequestFault(
    "missing_write_key", "a write key is required: as the user name of Basic authentication"
)
UNKNOWN_KEY: Final = RequestFault(
    "invalid_write_key", "the write key is not known here; check it in the source's settings"
)


def read_request_key(request: TrackingRequest) -> str | RequestFault | None:
    """Places in order of precedence: Basic authentication, X-Write-Key, the query. None: perhaps in the body.

    Bearer tokens are ignored: the gateway issues none, and their senders name a key elsewhere too.
    """
    authorization = request.headers.get(b"authorization")
    if authorization:
        scheme, _, credentials = authorization.partition(b" ")
        scheme = scheme.lower()
        if scheme == b"basic":
            return _read_basic(credentials) or UNKNOWN_KEY
        if scheme != b"bearer":
            return UNKNOWN_KEY
    header_key = request.find_header(b"x-write-key")
    if header_key is not None:
        return header_key.partition(":")[0]
    return request.query.get("writeKey")


def _read_basic(credentials: bytes) -> str:
    """The user name; "" when it can't be read."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode("ascii").partition(":")[0]
    except ValueError:  # not base64, or not ASCII, inside or out
        return ""


async def find_body_key(decoded: DecodedBatch) -> str | RequestFault | None:
    """The body's own key, else that of the first call that has one. RequestFault: the calls can't be read."""
    if decoded.write_key is not None:
        return decoded.write_key
    turn = Turn()
    for key in read_call_keys(decoded):
        if key is not None:
            return key
        if turn.is_over:
            await turn.give_way()
    return None


def refuse_other_keys(decoded: DecodedBatch, key: str) -> Iterator[object | InvalidCall | RequestFault]:
    """When only the calls name a key, the first one's counts; calls of another source don't belong in the request."""
    mismatch = InvalidCall("write_key_mismatch", "writeKey differs from that of the request's first call")
    for call, own_key in zip(decoded.calls, read_call_keys(decoded), strict=False):
        yield mismatch if own_key not in {None, key} and not isinstance(call, RequestFault) else call
