"""An entry as people and programs may see it: the console, the control API and `signalpost tail` show the same."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from signalpost.history.entries import CallEntry, EventState
from signalpost.history.masking import mask_call, mask_object
from signalpost.history.refused_requests import RefusedRequest
from signalpost.model.timestamps import read_timestamp
from signalpost.redaction import MASK, mask_text


class ShownEvent(msgspec.Struct, frozen=True):
    """One server event: where it goes and how it stands. server_event: hashed, its address masked."""

    destination: str | None
    dataset_id: str | None
    event_name: str
    state: str
    detail: str
    warnings: Sequence[str]
    server_event: object


class ShownRequest(msgspec.Struct, frozen=True):
    """The request that brought a call. client_network: /24 or /48."""

    id: str
    method: str
    path: str
    status: int
    user_agent: str
    retry_count: str
    client_network: str
    bytes_received: int
    bytes_decompressed: int


class ShownCall(msgspec.Struct, frozen=True):
    """One call. skew_ms: how far the client's clock is behind ours, with the way here; None when it said no time.

    call: the call's JSON, masked unless it was revealed; None when it was too large or could not be read.
    """

    number: int
    received_at: datetime
    source: str
    type: str
    event: str
    message_id: str | None
    verdict: str
    code: str
    warnings: Sequence[str]
    has_user_id: bool
    has_anonymous_id: bool
    library: str
    skew_ms: int | None
    request: ShownRequest
    events: Sequence[ShownEvent]
    call: object


class ShownRefusal(msgspec.Struct, frozen=True):
    """One kind of request that was refused as a whole. key_ending: of a wrong write key."""

    status: int
    code: str
    message: str
    path: str
    source: str | None
    key_ending: str
    client_network: str
    user_agent: str
    first_at: datetime
    last_at: datetime
    count: int


def show_call(entry: CallEntry, *, reveal: bool = False) -> ShownCall:
    """Build what may be seen of an entry. `reveal` leaves the call as it was sent: for an admin, and audited."""
    decoded = msgspec.json.decode(entry.text) if entry.text else None
    call = decoded if isinstance(decoded, dict) else {}
    request = entry.request
    return ShownCall(
        number=entry.number,
        received_at=entry.received_at,
        source=entry.source_id,
        type=entry.call_type,
        event=mask_text(entry.event_name),
        message_id=entry.message_id,
        verdict=entry.verdict,
        code=entry.code,
        warnings=entry.warnings,
        has_user_id=bool(call.get("userId")),
        has_anonymous_id=bool(call.get("anonymousId")),
        library=mask_text(entry.library),
        skew_ms=_find_skew(entry, call.get("sentAt")),
        request=ShownRequest(
            id=request.id,
            method=request.method,
            path=request.path,
            status=request.status,
            user_agent=mask_text(request.user_agent),
            retry_count=request.retry_count,
            client_network=request.client_network,
            bytes_received=request.bytes_received,
            bytes_decompressed=request.bytes_decompressed,
        ),
        events=[_show_event(event) for event in entry.events],
        call=decoded if reveal else mask_call(decoded),
    )


def show_refusal(refusal: RefusedRequest) -> ShownRefusal:
    """Build what may be seen of a kind of refusal."""
    kind = refusal.kind
    return ShownRefusal(
        status=kind.status,
        code=kind.code,
        message=refusal.message,
        path=kind.path,
        source=kind.source_id,
        key_ending=kind.key_ending,
        client_network=kind.client_network,
        user_agent=mask_text(refusal.user_agent),
        first_at=refusal.first_at,
        last_at=refusal.last_at,
        count=refusal.count,
    )


def _show_event(event: EventState) -> ShownEvent:
    return ShownEvent(
        destination=event.destination_id,
        dataset_id=event.dataset_id,
        event_name=mask_text(event.event_name),
        state=event.state,
        detail=mask_text(event.detail),
        warnings=event.warnings,
        server_event=None if event.payload is None else mask_server_event(msgspec.json.decode(event.payload)),
    )


def mask_server_event(event: Mapping[str, object]) -> dict[str, object]:
    """Hashes stay, so that they can be compared with what Meta received; what is in clear is masked."""
    user_data = event.get("user_data")
    if not isinstance(user_data, Mapping):
        return mask_object(event)
    return {**mask_object(event), "user_data": {name: _mask_unhashed(value) for name, value in user_data.items()}}


def _mask_unhashed(value: object) -> object:
    if isinstance(value, list):
        return [_mask_unhashed(each) for each in value]
    return value if isinstance(value, str) and _HASH_SHAPE.fullmatch(value) else MASK


_HASH_SHAPE = re.compile("[0-9a-f]{64}")


def _find_skew(entry: CallEntry, sent_at: object) -> int | None:
    sent = read_timestamp(sent_at) if sent_at is not None else entry.request.sent_at
    return None if sent is None else round((entry.received_at.astimezone(UTC) - sent).total_seconds() * 1_000)
