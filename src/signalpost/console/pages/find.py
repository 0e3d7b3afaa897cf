"""Where is my event? What became of one call, for each destination, by its messageId or the event_id that Meta shows.

The queue tells what is on disk; the debugger's memory adds what leaves no event behind: filtered ones, repeats, calls
that were not valid.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from signalpost.console.access import Caller, Viewer
from signalpost.console.call_steps import CallRow, list_call_rows, trace_found
from signalpost.console.delivery_view import Standing, list_standings
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import render
from signalpost.history.entries import CallFilter
from signalpost.model.errors import QueueUnavailable
from signalpost.model.found_events import MOST_FOUND, FoundEvent, FoundEvents
from signalpost.model.ids import DestinationId

router = APIRouter()

_NOTHING = FoundEvents((), ())


@router.get("/find")
async def show_find(
    request: Request, parts: Parts, caller: Viewer, sought: Annotated[str, Query(alias="id", max_length=1_000)] = ""
) -> Response:
    """The field, and what is known of the id in it. Copied out of JSON with its quotes, it is found as well."""
    sought = sought.strip()
    if len(sought) > 2 and sought[0] == sought[-1] == '"':
        sought = sought[1:-1]
    found, trouble = _NOTHING, ""
    if sought:
        try:
            found = await parts.queue.find_events(sought)
        except QueueUnavailable as unavailable:
            trouble = str(unavailable)
    rows = _find_remembered(parts, {sought, *(event.message_id for event in found.events)}) if sought else []
    return render(
        request,
        "find.html",
        caller=caller,
        sought=sought,
        trouble=trouble,
        found=found,
        most=MOST_FOUND,
        places=await _describe_places(parts, caller, found.events),
        filtered=[journey for row in rows for journey in row.journeys if journey.state == "filtered"],
        rows=rows,
    )


def _find_remembered(parts: ConsoleParts, message_ids: set[str]) -> list[CallRow]:
    """The calls that the debugger remembers, the newest first: the accepted one, repeats of it, invalid ones."""
    calls = [call for id_ in message_ids for call in parts.history.recent(wanted=CallFilter(message_id=id_))]
    return list_call_rows(sorted(calls, key=lambda call: -call.number))


async def _describe_places(parts: ConsoleParts, caller: Caller, events: Sequence[FoundEvent]) -> list[dict[str, Any]]:
    """Each event with its way and its payload, and how its destination stands while it waits for it."""
    standings: Mapping[DestinationId, Standing] = {}
    if any(event.state == "pending" for event in events):
        backlogs = await parts.queue.read_backlogs()
        standings = list_standings(parts.workspace.destinations, parts.list_states(), backlogs)
    return [
        {
            "event": event,
            "journey": trace_found(event),
            "payload": caller.see(event.server_event) if event.server_event is not None else None,
            "standing": standings.get(event.destination_id) if event.state == "pending" else None,
        }
        for event in events
    ]
