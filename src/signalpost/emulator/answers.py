"""What goes back to the caller: status, headers and body, with the rule that decided it.

The two X-Emulator headers are for people and tests; nothing about confidence ever enters the Graph body.
"""

import random
import string
from collections.abc import Mapping

import msgspec

from signalpost.emulator.errors import ErrorRow, build_error_body

JSON_TYPE = "application/json; charset=UTF-8"
TRACE_ALPHABET = string.ascii_letters + string.digits + "_-"


class GraphAnswer(msgspec.Struct, frozen=True):
    """A complete HTTP answer; `rule` is "accepted" or the id of the rule or row that refused."""

    status: int
    headers: dict[str, str]
    body: bytes
    rule: str
    confidence: str
    fbtrace_id: str

    def with_headers(self, extra: Mapping[str, str]) -> "GraphAnswer":
        return msgspec.structs.replace(self, headers={**self.headers, **extra})


class TraceIds:
    """Makes ids of Meta's shape: "A" and 22 characters of [A-Za-z0-9_-]. The same seed gives the same ids."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - an id to look things up by, not a secret

    def next(self) -> str:
        return "A" + "".join(self._random.choices(TRACE_ALPHABET, k=22))


def build_success(event_count: int, version: str, fbtrace_id: str) -> GraphAnswer:
    body = {"events_received": event_count, "messages": [], "fbtrace_id": fbtrace_id}
    return GraphAnswer(
        status=200,
        headers={"Content-Type": JSON_TYPE, **_graph_headers(version, fbtrace_id)},
        body=msgspec.json.encode(body),
        rule="accepted",
        confidence="documented",
        fbtrace_id=fbtrace_id,
    )


def build_refusal(
    row: ErrorRow,
    version: str,
    fbtrace_id: str,
    *,
    rule: str | None = None,
    confidence: str | None = None,
    title: str | None = None,
    text: str | None = None,
) -> GraphAnswer:
    """Return the row as an answer. A text row (a proxy's page, an empty 500) gets no header of the Graph API."""
    is_graph = isinstance(row.body, dict)
    headers = {**row.headers, **_graph_headers(version, fbtrace_id)} if is_graph else dict(row.headers)
    return GraphAnswer(
        status=row.http_status,
        headers=headers,
        body=build_error_body(row, fbtrace_id, title=title, text=text),
        rule=rule or row.id,
        confidence=confidence or row.confidence,
        fbtrace_id=fbtrace_id,
    )


def _graph_headers(version: str, fbtrace_id: str) -> dict[str, str]:
    return {"facebook-api-version": version, "x-fb-trace-id": fbtrace_id, "x-fb-request-id": fbtrace_id[::-1]}
