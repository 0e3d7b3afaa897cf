"""The debugger: the last calls of each source as they come, where each is now, and what was refused at the door.

The open page asks once a second, and half as often while more comes than anybody reads. While nothing has changed the
answer is empty, and costs next to nothing.
"""

from datetime import timedelta
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from signalpost.console.access import Admin, Caller, Viewer
from signalpost.console.api.sources import mask_key
from signalpost.console.call_search import SHOWN_CALLS, CallSearch, fingerprint
from signalpost.console.call_steps import list_call_rows, trace_journeys
from signalpost.console.call_warnings import list_call_warnings
from signalpost.console.door_fixes import find_fix
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import render, render_in_turns, take_turn
from signalpost.console.snippets import build_snippets
from signalpost.history.entries import CallEntry
from signalpost.history.views import ShownCall, show_call, show_refusal
from signalpost.model.ids import SourceId
from signalpost.redaction import mask_text
from signalpost.store.audit import record_change

router = APIRouter()

_UNCHANGED: Final = 204
_ROWS: Final = 100
_REFUSED_ROWS: Final = 6
_FLOOD: Final = timedelta(seconds=10)
"""A list that was filled within this time is not read line by line."""

TYPES: Final = ("track", "page", "screen", "identify", "group", "alias")
OUTCOMES: Final = (
    ("pending", "On the way"),
    ("delivered", "Delivered"),
    ("filtered", "Filtered"),
    ("rejected", "Rejected"),
    ("expired", "Expired"),
    ("duplicate", "Duplicate"),
    ("request_fault", "Refused request"),
)

Word = Annotated[str, Query(max_length=200)]


def _read_search(
    source: Word = "",
    type: Word = "",  # noqa: A002 - the word that calls use
    outcome: Word = "",
    search: Word = "",
) -> CallSearch:
    return CallSearch(source, type, outcome, search)


Search = Annotated[CallSearch, Depends(_read_search)]


@router.get("/debugger")
async def show_debugger(
    request: Request,
    parts: Parts,
    caller: Viewer,
    search: Search,
    call: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    *,
    paused: bool = False,
) -> Response:
    """The page. call: the number of one that is open beside the list."""
    entry = parts.history.find_entry(call) if call else None
    return _render_page(request, parts, caller, search, paused=paused, opened=entry, is_gone=bool(call and not entry))


@router.get("/debugger/calls")
async def show_calls(
    request: Request, parts: Parts, caller: Viewer, search: Search, seen: Word = "", *, paused: bool = False
) -> Response:
    """The list alone; nothing when it is what was `seen`."""
    turn = take_turn()
    while parts.history.catch_up_a_little():
        if turn.is_over:
            await turn.give_way()
    context = _collect(parts, caller, search, SHOWN_CALLS if paused else _ROWS)
    if context["seen"] == seen:
        return Response(status_code=_UNCHANGED)
    response = await render_in_turns(
        request, "debugger_calls.html", caller=caller, turn=turn, paused=paused, opened=None, **context
    )
    if not seen:
        response.headers["HX-Replace-Url"] = "/debugger?" + search.query
    return response


@router.get("/debugger/calls/{number}")
async def show_one(request: Request, parts: Parts, caller: Viewer, number: int, search: Search) -> Response:
    """One call, to stand beside the list."""
    entry = parts.history.find_entry(number)
    return render(
        request, "debugger_call.html", caller=caller, search=search, is_gone=entry is None, **_describe(entry)
    )


@router.get("/debugger/calls/{number}/steps")
async def show_steps(request: Request, parts: Parts, caller: Viewer, number: int) -> Response:
    """Where its events are now; asked for while one of them is on the way."""
    entry = parts.history.find_entry(number)
    return render(request, "debugger_steps.html", caller=caller, **_describe(entry))


@router.post("/debugger/calls/{number}/reveal")
async def reveal_call(request: Request, parts: Parts, caller: Admin, number: int, search: Search) -> Response:
    """One call as it was sent, personal data and all. Who looked is in the audit log before anything is shown."""
    entry = parts.history.find_entry(number)
    if entry is not None:
        about = {"number": number, "message_id": mask_text(entry.message_id or "")}
        subject, now = entry.source_id or "(no source)", parts.now()
        await parts.store.write(
            lambda c: record_change(c, caller.actor, "call.revealed", subject, now=now, after=about)
        )
    if "hx-request" in request.headers:
        context = _describe(entry, reveal=True)
        return render(request, "debugger_call.html", caller=caller, search=search, is_gone=entry is None, **context)
    return _render_page(request, parts, caller, search, opened=entry, is_gone=entry is None, reveal=True)


def _render_page(
    request: Request,
    parts: ConsoleParts,
    caller: Caller,
    search: CallSearch,
    *,
    opened: CallEntry | None,
    is_gone: bool,
    paused: bool = False,
    reveal: bool = False,
) -> Response:
    context = _collect(parts, caller, search, SHOWN_CALLS if paused else _ROWS) | _describe(opened, reveal=reveal)
    return render(
        request,
        "debugger.html",
        caller=caller,
        is_gone=is_gone,
        paused=paused,
        opened=opened,
        types=TYPES,
        outcomes=OUTCOMES,
        **context,
    )


def _collect(parts: ConsoleParts, caller: Caller, search: CallSearch, most_rows: int = _ROWS) -> dict[str, Any]:
    """What the list shows."""
    found = list(islice(search.find(parts.history), SHOWN_CALLS))
    shown = found[:most_rows]
    refused = parts.history.refused_requests(SourceId(search.source) if search.source else None)
    sources = parts.workspace.sources
    chosen = next((each for each in sources if each.name == search.source), sources[-1] if sources else None)
    key = chosen.keys[-1][0] if chosen is not None and chosen.keys else ""
    url = parts.find_tracking_url()
    return {
        "search": search,
        "sources": [source.name for source in sources],
        "found": len(found),
        "rows": list_call_rows(shown),
        "every_seconds": 2 if len(shown) >= _ROWS and parts.now() - shown[_ROWS - 1].received_at < _FLOOD else 1,
        "seen": fingerprint(search, shown, refused) + f"-{len(found)}",
        "refused": [(show_refusal(row), find_fix(row.kind.code)) for row in refused[:_REFUSED_ROWS]],
        "more_refused": max(0, len(refused) - _REFUSED_ROWS),
        "tracking_url": url,
        "curl": build_snippets(url, key if caller.is_admin else mask_key(key))[0].code if key else "",
        "chosen": chosen,
    }


def _describe(entry: CallEntry | None, *, reveal: bool = False) -> dict[str, Any]:
    """What the panel of one call shows."""
    if entry is None:
        return {"one": None, "journeys": [], "warnings": [], "is_revealed": False, "is_moving": False, "raw": ""}
    one: ShownCall = show_call(entry, reveal=reveal)
    return {
        "one": one,
        "journeys": trace_journeys(entry),
        "warnings": list_call_warnings(entry),
        "is_revealed": reveal,
        "is_moving": any(event.state == "pending" for event in entry.events),
        "raw": "" if one.call is None else msgspec.json.encode(one.call).decode(),
    }
