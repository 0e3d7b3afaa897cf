"""The body of one request: queued bytes spliced together as they are, and what goes beside `data`."""

import hashlib
import hmac

import msgspec

from signalpost.model.delivery import Batch, Target


def build_body(batch: Batch, target: Target) -> bytes:
    """Return the JSON body for a batch; the events' own bytes are not touched, so a repeat is the same."""
    return b'{"data":[%b]%b}' % (b",".join(event.payload for event in batch.events), _build_request_fields(target))


def build_probe_body(target: Target) -> bytes:
    """Return the body of an empty request: Meta looks at token and dataset, and records nothing."""
    return b'{"data":[]%b}' % _build_proof(target)


def _build_request_fields(target: Target) -> bytes:
    fields = {"test_event_code": target.test_event_code, "upload_tag": target.upload_tag}
    return b"".join(_build_field(name, value) for name, value in fields.items() if value) + _build_proof(target)


def _build_proof(target: Target) -> bytes:
    """HMAC-SHA256 of the token: the sender knows the app's secret too. Source: Graph API, "Secure Requests"."""
    if not target.app_secret:
        return b""
    secret, token = target.app_secret.get_secret_value(), target.access_token.get_secret_value()
    return _build_field("appsecret_proof", hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest())


def _build_field(name: str, value: str) -> bytes:
    return b',"%b":%b' % (name.encode(), msgspec.json.encode(value))
