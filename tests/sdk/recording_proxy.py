"""A proxy between an SDK and the gateway: it keeps what was said, and can spoil the first request.

The gateway behind it answers all the rest, so what the proxy keeps is the real conversation.
"""

import base64
import gzip
import http.client
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Trouble = Literal["unavailable", "limited", "invalid", "too_large", "cut"]
"""What happens to the first POST. cut: the gateway has stored everything, but the connection breaks before its answer
gets through. The others: an answer as the gateway would give it, which never sees the request."""

REFUSALS: Mapping[Trouble, tuple[int, str, Mapping[str, str]]] = {
    "unavailable": (503, "temporarily_unavailable", {"Retry-After": "1"}),
    "limited": (429, "rate_limited", {"Retry-After": "1", "X-RateLimit-Reset": "1"}),
    "invalid": (400, "invalid_json", {}),
    "too_large": (413, "payload_too_large", {}),
}

SINGLE_TYPES = {kind[0]: kind for kind in ("track", "identify", "page", "screen", "group", "alias")}
NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    """A request of the SDK, and the answer it saw. status 0: none, the connection was cut."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The JSON of the request, unzipped."""
        is_gzip = self.headers.get("content-encoding") == "gzip"
        return dict(json.loads(gzip.decompress(self.body) if is_gzip else self.body))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of the request, each with its type, which single-call paths alone name."""
        if "batch" in self.content:
            return list(self.content["batch"])
        name = urlsplit(self.path).path.rpartition("/")[2]
        return [{**self.content, "type": SINGLE_TYPES.get(name, name)}]

    @property
    def receipt(self) -> tuple[int, int, int]:
        """How many calls the gateway accepted, knew already, and refused."""
        told = json.loads(self.answer)
        return told["accepted"], told["duplicates"], len(told["rejected"])

    @property
    def basic_user(self) -> str | None:
        """The user name of Basic authentication, where SDKs put the write key."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        return base64.b64decode(credentials).decode().partition(":")[0] if scheme == "Basic" else None


@dataclass
class RecordingProxy:
    """`url` stands in for the gateway's address; `posts` are the exchanges so far that carried calls."""

    target: str
    trouble: Trouble | None
    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def posts(self) -> list[Exchange]:
        with self.lock:
            return [exchange for exchange in self.exchanges if exchange.method == "POST"]

    def take_trouble(self) -> Trouble | None:
        with self.lock:
            trouble, self.trouble = self.trouble, None
            return trouble


@contextmanager
def recording_proxy(target: str, trouble: Trouble | None = None) -> Iterator[RecordingProxy]:
    """A proxy for the gateway at `target` that runs until the end of the block."""
    proxy = RecordingProxy(target, trouble)

    class Conversation(_Conversation):
        record = proxy

    server = _Server(("127.0.0.1", 0), Conversation)
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def split_by_status(exchanges: Sequence[Exchange], status: int) -> tuple[Exchange, list[Exchange]]:
    """The one that was spoilt, and the rest: a client may have several requests under way, answered in any order."""
    (spoilt,) = [exchange for exchange in exchanges if exchange.status == status]
    return spoilt, [exchange for exchange in exchanges if exchange is not spoilt]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has what it wants may break the connection; what it saw is in `exchanges`."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    record: RecordingProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        trouble = self.record.take_trouble() if self.command == "POST" else None
        if trouble in REFUSALS:
            status, code, headers = REFUSALS[trouble]
            refusal = json.dumps({"success": False, "code": code, "message": "no", "error": "no"}).encode()
            exposed = "Retry-After, X-RateLimit-Reset, X-Request-Id"
            allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": exposed}
            self._answer(body, status, {"Content-Type": "application/json", **allowed, **headers}, refusal)
            return
        status, headers, answer = self._ask_gateway(body)
        if trouble == "cut":
            self._note(body, 0, b"")
            self.close_connection = True
            return
        self._answer(body, status, headers, answer)

    do_GET = do_OPTIONS = do_POST  # noqa: N815 - http.server looks for methods of these names

    def _ask_gateway(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.record.target).netloc, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in NOT_PASSED_ON}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _answer(self, body: bytes, status: int, headers: Mapping[str, str], answer: bytes) -> None:
        self._note(body, status, answer)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _note(self, body: bytes, status: int, answer: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.record.lock:
            self.record.exchanges.append(Exchange(self.command, self.path, headers, body, status, answer))

    def log_message(self, *_arguments: object) -> None:
        """The tests look at `exchanges`; nothing is printed."""
