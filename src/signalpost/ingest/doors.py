"""Who gets in: finds the source of a request, and slows down whoever keeps guessing write keys.

A wrong key is refused in the same words whether it never existed, was deleted, or its source is switched off.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from signalpost.catalog import Catalog, Source
from signalpost.ingest.addresses import find_subscriber
from signalpost.ingest.decode import RequestFault
from signalpost.ingest.rate_limits import TokenBuckets
from signalpost.ingest.requests import TrackingRequest
from signalpost.ingest.write_keys import MISSING_KEY, UNKNOWN_KEY, read_request_key
from signalpost.telemetry import Telemetry

_UNKEYED_PARSES_PER_SECOND: Final = 50
_SECONDS_BETWEEN_WARNINGS: Final = 60

_TOO_MANY_REQUESTS: Final = "too many requests of this source; send it again later"
_TOO_MANY_BAD_KEYS: Final = "too many requests without a valid write key from this address; check the key"
_FOREIGN_ORIGIN: Final = RequestFault("origin_not_allowed", "this source takes no calls from pages of this origin")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no further. key: the wrong write key. wait_seconds: before it may be tried again."""

    fault: RequestFault
    source: Source | None = None
    key: str = ""
    wait_seconds: int = 0


class Doors:
    """Checks write keys, origins and rates. requests_per_second: of one source. bad_keys_per_minute: of one address.

    Of either 0 is no limit.
    """

    def __init__(
        self,
        catalog: Catalog,
        telemetry: Telemetry,
        *,
        requests_per_second: float,
        bad_keys_per_minute: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._telemetry = telemetry
        self._requests = TokenBuckets(requests_per_second, 2 * requests_per_second, monotonic)
        self._bad_keys = TokenBuckets(bad_keys_per_minute / 60, bad_keys_per_minute, monotonic)
        parses = _UNKEYED_PARSES_PER_SECOND if bad_keys_per_minute else 0
        self._unkeyed_parses = TokenBuckets(parses, parses, monotonic)
        self._warnings = TokenBuckets(1 / _SECONDS_BETWEEN_WARNINGS, 1, monotonic)

    def find_named_source(self, request: TrackingRequest) -> Source | Refusal | None:
        """By the key in a header or the query; None when the key, if any, is in a body that may be parsed for it."""
        key = read_request_key(request)
        if isinstance(key, str):
            return self._catalog.find_source(key) or self.refuse_key(request, key)
        if isinstance(key, RequestFault):
            return self.refuse_key(request, "")
        wait = self._unkeyed_parses.find_wait(find_subscriber(request.client_ip))
        return Refusal(RequestFault("rate_limited", _TOO_MANY_BAD_KEYS), wait_seconds=wait) if wait else None

    def find_source_of_body(self, request: TrackingRequest, key: str | None) -> Source | Refusal:
        """By the key that was found in the body."""
        source = self._catalog.find_source(key) if key else None
        if source is None:
            self.charge_parse(request)
            return self.refuse_key(request, key)
        return source

    def charge_parse(self, request: TrackingRequest) -> None:
        """A body was parsed for its key, in vain."""
        self._unkeyed_parses.take(find_subscriber(request.client_ip))

    def refuse_key(self, request: TrackingRequest, key: str | None) -> Refusal:
        """A missing key (None) or a wrong one; told in the log at most once a minute for each key and address."""
        wait = self._bad_keys.take(find_subscriber(request.client_ip))
        if wait:
            return Refusal(RequestFault("rate_limited", _TOO_MANY_BAD_KEYS), wait_seconds=wait)
        if key and not self._warnings.take(f"{key[-64:]} {request.client_ip}"):
            self._telemetry.write_key_refused(key[-4:], request.client_ip)
        return Refusal(MISSING_KEY if key is None else UNKNOWN_KEY, key=key or "")

    def find_objection(self, request: TrackingRequest, source: Source) -> Refusal | None:
        """Why a request of a known source is not taken: the page it comes from, or the source's rate."""
        if source.allowed_origins:
            origin = request.find_header(b"origin")
            if origin is not None and origin not in source.allowed_origins:
                return Refusal(_FOREIGN_ORIGIN, source)
        wait = self._requests.take(source.id)
        return Refusal(RequestFault("rate_limited", _TOO_MANY_REQUESTS), source, wait_seconds=wait) if wait else None
