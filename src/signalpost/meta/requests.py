"""The body of one request: queued bytes spliced together as they are, and what goes beside `data`."""

import msgspec

from signalpost.model.delivery import Batch, Target


def build_body(batch: Batch, target: Target) -> bytes:
    """Return the JSON body for a batch; the events' own bytes are not touched, so a repeat is the same."""
    return b'{"data":[%b]%b}' % (b",".join(event.payload for event in batch.events), _build_request_fields(target))


def _build_request_fields(target: Target) -> bytes:
    fields = {"test_event_code": target.test_event_code, "upload_tag": target.upload_tag}
    return b"".join(
        b',"%b":%b' % (name.encode(), msgspec.json.encode(value)) for name, value in fields.items() if value
    )
