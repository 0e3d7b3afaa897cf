"""Giving up what waits for a paused destination: how many are lost, then the deed and what came of it."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from signalpost.console.access import Admin
from signalpost.console.api.delivery import Discarding, discard_waiting
from signalpost.console.delivery_view import describe_standing
from signalpost.console.parts import Parts
from signalpost.console.refusals import Refusal
from signalpost.console.rendering import format_count, redirect, render
from signalpost.model.ids import DestinationId

router = APIRouter()


@router.get("/delivery/discard")
async def show_discard(
    request: Request, parts: Parts, caller: Admin, destination: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """How many events are lost, before they are."""
    if not destination:
        return redirect(request, "/delivery")
    entry = parts.workspace.find_destination(destination)
    try:
        counted = await discard_waiting(parts, caller, entry.name, Discarding(dry_run=True))
    except Refusal as refusal:
        return redirect(request, _build_path(entry.name), said=refusal.message, kind="bad")
    backlog = (await parts.queue.read_backlogs()).get(entry.destination.id)
    state = next((each for each in parts.list_states() if each.destination_id == entry.destination.id), None)
    return render(
        request,
        "discard.html",
        caller=caller,
        name=entry.name,
        counted=counted,
        oldest_seconds=backlog.oldest_pending_seconds if backlog is not None else None,
        standing=describe_standing(state),
    )


@router.post("/delivery/discard")
async def discard(
    request: Request,
    parts: Parts,
    caller: Admin,
    destination: Annotated[str, Form(max_length=200)],
    until: Annotated[AwareDatetime, Form()],
) -> Response:
    """Give up what was counted: what has come since stays."""
    path = _build_path(DestinationId(destination))
    try:
        discarded = (await discard_waiting(parts, caller, destination, Discarding(until=until))).discarded
    except Refusal as refusal:
        return redirect(request, path, said=refusal.message, kind="bad")
    said = f"{format_count(discarded)} discarded. The ledger counts them as rejected; the audit log says who did it."
    return redirect(request, path, said=said)


def _build_path(name: str) -> str:
    return f"/delivery?{urlencode({'destination': name})}"
