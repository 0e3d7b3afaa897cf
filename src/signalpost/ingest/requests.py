"""One request to the tracking port as the routes see it: what HTTP says of it, and what they find out."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from signalpost.history.entries import RequestFacts
from signalpost.http_messages import BrokenRequest, HttpRequest
from signalpost.ingest.addresses import cut_to_network
from signalpost.ingest.message_ids import new_message_id

_LONGEST_SHOWN: Final = 200
"""Characters of a header that the debugger keeps."""


class TrackingRequest:
    """A request whose head has arrived. Text is decoded as Latin-1, as HTTP means it. The body is read in `bodies.py`.

    client_ip: of the client itself, also behind a trusted proxy; "" when unknown.
    shown_path: the path as the tables write it, "" when there is no such path: the real one could hold anything.
    """

    __slots__ = (
        "_http",
        "_query",
        "bytes_decompressed",
        "bytes_held",
        "bytes_received",
        "client_ip",
        "from_trusted_proxy",
        "headers",
        "id",
        "is_pixel",
        "method",
        "path",
        "read_part",
        "received_at",
        "shown_path",
        "surrogates_replaced",
    )

    def __init__(self, http: HttpRequest) -> None:
        self._http = http
        self.read_part = http.read_part
        self.received_at = datetime.now(UTC)
        self.id = http.id = new_message_id()
        self.method = http.method
        self.path = http.path
        self.headers = http.headers
        self.shown_path = ""
        self.is_pixel = False
        self.client_ip = http.address
        self.from_trusted_proxy = False
        self.bytes_received = 0
        self.bytes_decompressed = 0
        self.bytes_held = 0
        self.surrogates_replaced = False
        self._query: dict[str, str] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the body has come."""
        return self._http.is_whole

    def find_break(self) -> BrokenRequest | None:
        """Why the rest of the body will never come, when that is the request's own fault."""
        return self._http.broken

    def find_header(self, name: bytes) -> str | None:
        """The text of a header, named in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last."""
        if self._query is None:
            text = self._http.query_string.decode("latin-1")
            self._query = dict(parse_qsl(text, keep_blank_values=True)) if text else {}
        return self._query

    def describe(self, *, status: int = 200) -> RequestFacts:
        """What the debugger keeps of it: no key, no cookie, no whole address."""
        return RequestFacts(
            id=self.id,
            received_at=self.received_at,
            method=self.method,
            path=self.shown_path,
            client_network=cut_to_network(self.client_ip),
            user_agent=(self.find_header(b"user-agent") or "")[:_LONGEST_SHOWN],
            retry_count=(self.find_header(b"x-retry-count") or "")[:_LONGEST_SHOWN],
            bytes_received=self.bytes_received,
            bytes_decompressed=self.bytes_decompressed,
            status=status,
            surrogates_replaced=self.surrogates_replaced,
        )
