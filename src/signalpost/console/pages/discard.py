"""Giving up what waits for a paused destination: how many are lost, then the deed and what came of it."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from signalpost.console.access import Admin
from signalpost.console.api.delivery import Discarding, discard_waiting
from signalpost.console.delivery_view import list_standings
from signalpost.console.parts import Parts
from signalpost.console.refusals import Refusal
from signalpost.console.rendering import format_count, redirect, render
from signalpost.model.ids import DestinationId
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()


@router.get("/delivery/discard")
async def show_discard(
    request: Request, parts: Parts, caller: Admin, destination: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """How many events are lost, before they are."""
    if not destination:
        return redirect(request, "/delivery")
    name, backlogs = DestinationId(destination), await parts.queue.read_backlogs()
    standing = list_standings(parts.workspace.destinations, parts.list_states(), backlogs).get(name)
    if standing is None:
        raise ChangeRefused("not_found", f'There is no destination named "{name}".')
    try:
        counted = await discard_waiting(parts, caller, name, Discarding(dry_run=True))
    except Refusal as refusal:
        return redirect(request, _build_path(name), said=refusal.message, kind="bad")
    oldest = backlogs[name].oldest_pending_seconds if name in backlogs else None
    return render(
        request, "discard.html", caller=caller, name=name, counted=counted, oldest_seconds=oldest, standing=standing
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
