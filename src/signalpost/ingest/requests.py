"""One request to the tracking port as the routes see it: a thin view of what the server hands over.

Headers come once, in lower case, repeats joined by a comma; the body is read in `bodies.py`.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from signalpost.history.entries import RequestFacts
from signalpost.ingest.addresses import cut_to_network
from signalpost.ingest.message_ids import new_message_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_LONGEST_SHOWN: Final = 200
"""Characters of a header that the debugger keeps."""


class TrackingRequest:
    """A request whose head has arrived. Text is decoded as Latin-1, as HTTP means it.

    client_ip: of the client itself, also behind a trusted proxy; "" when unknown.
    shown_path: the path as the tables write it, "" when there is no such path: the real one could hold anything.
    """

    __slots__ = (
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
        "receive",
        "received_at",
        "scope",
        "shown_path",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.received_at = datetime.now(UTC)
        self.id = new_message_id()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.shown_path = ""
        self.is_pixel = False
        self.client_ip = ""
        self.from_trusted_proxy = False
        self.bytes_received = 0
        self.bytes_decompressed = 0
        self.bytes_held = 0
        self._query: dict[str, str] | None = None
        self.headers: dict[bytes, bytes] = {}
        headers = self.headers
        for name, value in scope["headers"]:
            headers[name] = b"%s, %s" % (headers[name], value) if name in headers else value

    def find_header(self, name: bytes) -> str | None:
        """The text of a header, named in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last."""
        if self._query is None:
            text = self.scope["query_string"].decode("latin-1")
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
        )
