"""The overview: are calls arriving, is everything delivered, what needs attention."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from signalpost.console.access import Viewer
from signalpost.console.delivery_view import list_standings
from signalpost.console.parts import Parts
from signalpost.console.rendering import render, render_in_turns

router = APIRouter()


@router.get("/overview")
async def show_overview(request: Request, parts: Parts, caller: Viewer) -> Response:
    """The last 24 hours, and this moment."""
    now = parts.now()
    statistics = await parts.queue.read_statistics(now - timedelta(hours=24), now, timedelta(hours=1))
    backlogs = await parts.queue.read_backlogs()
    standings = list_standings(parts.workspace.destinations, parts.list_states(), backlogs)
    context: dict[str, Any] = {
        "statistics": statistics,
        "backlogs": backlogs,
        "standings": standings,
        "sources": parts.workspace.sources,
        "destinations": parts.workspace.destinations,
        "pending": sum(backlog.pending.total for backlog in backlogs.values()),
        "dead": sum(backlog.dead_letters for backlog in backlogs.values()),
    }
    if "hx-request" in request.headers:
        return await render_in_turns(request, "overview_now.html", caller=caller, **context)
    return render(request, "overview.html", caller=caller, **context)
