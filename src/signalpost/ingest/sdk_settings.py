"""What browser and mobile SDKs ask before they send: no destination, id or token is ever in it."""

from collections.abc import Mapping
from typing import Final

from signalpost.catalog import Source
from signalpost.http_messages import Answer
from signalpost.ingest.answers import build_answer
from signalpost.ingest.requests import TrackingRequest
from signalpost.ingest.write_keys import read_request_key

_FIVE_MINUTES: Final = (b"cache-control", b"max-age=300")


class SdkSettings:
    """Builds the answers. public_url: where clients reach the tracking API; None: where this one did."""

    def __init__(self, public_url: str | None) -> None:
        self._public_url = public_url.rstrip("/") if public_url else None

    def describe_project(self, request: TrackingRequest, write_key: str) -> Answer:
        """For analytics.js and Segment's mobile SDKs: what made version 1.84 of the browser SDK run.

        `integrations` must hold exactly one key: for any other the browser SDK would fetch code.
        """
        scheme, _, host = self._find_address(request).partition("://")
        own: Mapping[str, object] = {
            "apiKey": write_key,
            "apiHost": f"{host}/v1",
            "protocol": scheme,
            "unbundledIntegrations": [],
            "addBundledMetadata": True,
        }
        body = {
            "integrations": {"Segment.io": own},
            "plan": {},
            "edgeFunction": {},
            "analyticsNextEnabled": True,
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "metrics": {"sampleRate": 0},
            "legacyVideoPluginsEnabled": False,
            "remotePlugins": [],
        }
        answer = build_answer(200, body)
        return answer.with_headers(_FIVE_MINUTES) if self._public_url else answer

    def _find_address(self, request: TrackingRequest) -> str:
        if self._public_url:
            return self._public_url
        scheme = "http"
        if request.from_trusted_proxy:
            forwarded = request.find_header(b"x-forwarded-proto")
            scheme = forwarded if forwarded in {"http", "https"} else scheme
        return f"{scheme}://{request.find_header(b'host') or ''}"


def describe_source(source: Source, request: TrackingRequest) -> Answer:
    """For RudderStack's browser SDK, which wants `id`, an object `config` and an array `destinations`.

    The key is the one that was sent: who has one of a source's keys learns no other.
    """
    described: Mapping[str, object] = {
        "id": source.id,
        "name": source.name,
        "writeKey": read_request_key(request),
        "enabled": True,
        "config": {},
        "destinations": [],
        "workspaceId": "signalpost",
    }
    return build_answer(200, {"source": described})
