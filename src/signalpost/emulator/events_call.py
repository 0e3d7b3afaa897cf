"""One call of the events edge: what was asked, the decision about it, and its record in memory.

Deciding and answering are separate steps, because a fault may come between them.
"""

import zlib
from email.utils import formatdate
from urllib.parse import urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from signalpost.emulator.access import check_dataset, check_proof, check_token, check_version
from signalpost.emulator.answers import GraphAnswer, build_refusal, build_success
from signalpost.emulator.connection import find_transport
from signalpost.emulator.decode import (
    MAX_BODY_BYTES,
    DecodedRequest,
    EventList,
    RequestHead,
    decode_request,
    read_events,
)
from signalpost.emulator.faults import Fault, RequestFacts
from signalpost.emulator.judge import Refusal, judge_batch
from signalpost.emulator.state import Emulator

KEPT_ANSWER_CHARACTERS = 2_000


class EventsCall:
    """A request to `/v{X.Y}/{id}/events` while it is being answered."""

    def __init__(self, emulator: Emulator, request: Request) -> None:
        self.emulator = emulator
        self.head = read_head(request)
        self.version = request.path_params.get("version", "")
        self.dataset_id = request.path_params.get("dataset_id", "")
        self.decoded = DecodedRequest()
        self.events = EventList([])
        self.logged = emulator.store.log_request(
            received_at=emulator.clock.now(), method=request.method, path=describe_path(request)
        )
        self.logged.dataset_id = self.dataset_id
        self._path = request.url.path
        self._transport = find_transport(request)

    def read_body(self, body: bytes) -> None:
        self.decoded = decode_request(self.head, body)
        self.events = read_events(self.decoded.data)
        logged = self.logged
        logged.size_bytes = len(body)
        logged.body_crc32 = f"{zlib.crc32(body):08x}"
        logged.event_count = len(self.events.events)
        logged.token_last4 = (self.decoded.token or "")[-4:]
        logged.token_place = self.decoded.token_place
        logged.test_event_code = self.decoded.test_event_code

    @property
    def facts(self) -> RequestFacts:
        return RequestFacts(self.dataset_id, self.decoded.token, self._path, self.events.events)

    def decide(self) -> GraphAnswer:
        """Accept and store all events, or refuse all: the checks run in Meta's order and the first objection wins."""
        now = self.emulator.clock.now()
        objection = (
            check_version(self.version, now)
            or check_token(self.decoded.token, self.emulator.grants)
            or check_proof(self.decoded.token, self.decoded.proof)
            or check_dataset(self.dataset_id, self.decoded.token)
            or self.decoded.objection
            or self.events.objection
        )
        if objection is not None:
            return self.refuse(objection, text=self.events.text if objection == self.events.objection else None)
        verdict = judge_batch(self.events.events, self.emulator.profile, int(now))
        if isinstance(verdict, Refusal):
            return self.refuse(
                verdict.row, rule=verdict.rule, confidence=verdict.confidence, title=verdict.title, text=verdict.text
            )
        self.emulator.store.accept(self.events.events, verdict, self.logged, now)
        return build_success(len(self.events.events), self.version, self.emulator.trace_ids.next())

    def refuse(
        self,
        row_id: str,
        *,
        rule: str | None = None,
        confidence: str | None = None,
        title: str | None = None,
        text: str | None = None,
    ) -> GraphAnswer:
        """Count the events as refused and return the row as the answer."""
        self.emulator.store.ledger.refuse(self.dataset_id, self.events.events)
        return build_refusal(
            self.emulator.rows[row_id],
            self.version,
            self.emulator.trace_ids.next(),
            rule=rule,
            confidence=confidence,
            title=title,
            text=text,
        )

    def respond(self, answer: GraphAnswer, *, is_lost: bool = False) -> Response:
        """Record the answer and return it; lost: the caller won't see it, so accepted events count as lost."""
        logged = self.logged
        logged.status = 0 if is_lost else answer.status
        logged.answer = answer.body.decode(errors="replace")[:KEPT_ANSWER_CHARACTERS]
        logged.rule, logged.confidence, logged.fbtrace_id = answer.rule, answer.confidence, answer.fbtrace_id
        if answer.rule == "accepted" and (is_lost or self._transport.is_closing()):
            self.emulator.store.ledger.lose(self.dataset_id, self.events.events)
        date = formatdate(self.emulator.clock.now(), usegmt=True)
        headers = {
            **answer.headers,
            "Date": date,
            "X-Emulator-Rule": answer.rule,
            "X-Emulator-Confidence": answer.confidence,
        }
        return Response(answer.body, answer.status, headers)

    def note_fault(self, fault: Fault) -> None:
        self.logged.fault = fault.name


def read_head(request: Request) -> RequestHead:
    headers = request.headers
    return RequestHead(
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
        authorization=headers.get("authorization", ""),
        query_string=request.url.query,
    )


def describe_path(request: Request) -> str:
    """Return path and query as they came, a token in them cut to its last four characters."""
    if not request.url.query:
        return request.url.path
    pairs = [
        (key, f"...{value[-4:]}" if key == "access_token" else value)
        for key, value in request.query_params.multi_items()
    ]
    return f"{request.url.path}?{urlencode(pairs)}"


async def read_bytes(request: Request) -> bytes | None:
    """Return the body, one byte over the limit at most matters; None when the caller left before its end."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                break
    except ClientDisconnect:
        return None
    return b"".join(chunks)
