"""The live debugger: the last calls of each source, as they come, and the requests that were refused at the door."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from signalpost.console.access import Viewer
from signalpost.console.parts import Parts
from signalpost.history.calls import History
from signalpost.history.entries import CallEntry, CallFilter, Verdict
from signalpost.history.refused_requests import RefusedRequest
from signalpost.history.subscriptions import FeedItem, Skipped
from signalpost.history.views import show_call, show_refusal
from signalpost.model.ids import SourceId

router = APIRouter(prefix="/api", tags=["live debugger"])


def _read_filter(
    source: str | None = None,
    type: str | None = None,  # noqa: A002 - the word that calls use
    event: str | None = None,
    verdict: Verdict | None = None,
    code: str | None = None,
    message_id: str | None = None,
) -> CallFilter:
    return CallFilter(SourceId(source) if source else None, type, event, verdict, code, message_id)


Wanted = Annotated[CallFilter, Depends(_read_filter)]


@router.get("/calls", summary="The last calls, oldest first")
async def read_calls(
    parts: Parts, _: Viewer, wanted: Wanted, after: int = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> list[dict[str, Any]]:
    """The latest `limit` calls that are wanted and came after number `after`; personal data is masked."""
    entries = parts.history.recent(wanted.source_id, wanted, after=after)
    return [_to_json(entry) for entry in entries[-limit:]]


@router.get("/calls/live", summary="Calls as they come, one JSON object a line", response_class=StreamingResponse)
async def watch_calls(parts: Parts, _: Viewer, wanted: Wanted) -> StreamingResponse:
    """A call comes when it arrives and again whenever one of its events changes state.

    `kind` is call, refused (a request that names no source) or skipped (so many came faster than they were read).
    """
    return StreamingResponse(_stream(parts.history, wanted), media_type="application/x-ndjson")


@router.get("/refused-requests", summary="Requests that were refused as a whole, the latest first")
async def read_refused_requests(parts: Parts, _: Viewer, source: str | None = None) -> list[dict[str, Any]]:
    """Like refusals are one row with a count; those that named no known source always stay."""
    rows = parts.history.refused_requests(SourceId(source) if source else None)
    return [_to_json(row) for row in rows]


async def _stream(history: History, wanted: CallFilter) -> AsyncIterator[bytes]:
    with history.subscribe(wanted) as feed:
        yield b"\n"  # the watcher knows that from here on nothing is missed
        async for item in feed:
            yield msgspec.json.encode(_to_json(item)) + b"\n"


def _to_json(item: FeedItem) -> dict[str, Any]:
    match item:
        case CallEntry():
            return {"kind": "call", **msgspec.to_builtins(show_call(item))}
        case RefusedRequest():
            return {"kind": "refused", **msgspec.to_builtins(show_refusal(item))}
        case Skipped(count):
            return {"kind": "skipped", "count": count}
