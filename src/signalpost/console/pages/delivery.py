"""Delivery: where the events of a period went, what is wrong, and what to do about it. Cheap, for it is read often."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, Response

from signalpost.console.access import Admin, Viewer
from signalpost.console.delivery_view import (
    PERIODS,
    build_stages,
    describe_standing,
    explain,
    list_coverage,
    list_troubles,
)
from signalpost.console.pages.dead_letters import describe_samples
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import redirect, render
from signalpost.model.dead_letters import DeadLetterFilter
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import PendingCounts, Statistics
from signalpost.store.audit import record_change
from signalpost.workspace import ChangeRefused

router = APIRouter()

Text = Annotated[str, Query(max_length=200)]

SAMPLES = 10


@router.get("/delivery")
async def show_delivery(
    request: Request, parts: Parts, caller: Viewer, destination: Text = "", period: Text = "24h"
) -> Response:
    """The whole page."""
    context = await _build_context(parts, destination, period)
    names = [entry.name for entry in parts.workspace.destinations]
    return render(request, "delivery.html", caller=caller, names=names, periods=PERIODS, **context)


@router.get("/delivery/now")
async def show_now(
    request: Request, parts: Parts, caller: Viewer, destination: Text = "", period: Text = "24h"
) -> Response:
    """The part that is read again every two seconds."""
    context = await _build_context(parts, destination, period)
    return render(request, "delivery_now.html", caller=caller, **context)


@router.get("/delivery/ledger")
async def show_ledger(request: Request, parts: Parts, caller: Viewer, destination: Text = "") -> Response:
    """Whether every accepted event is in exactly one state. It counts rows, so it is asked for seldom."""
    ledger = await parts.queue.counts(DestinationId(destination) if destination else None)
    return render(request, "delivery_ledger.html", caller=caller, ledger=ledger)


@router.get("/delivery/trend")
async def read_trend(parts: Parts, _: Viewer, destination: Text = "", period: Text = "24h") -> JSONResponse:
    """The charts' numbers: seconds since 1970, events per step, and seconds of latency (null without deliveries)."""
    trend = (await _read_statistics(parts, destination, period)).trend
    return JSONResponse(
        {
            "times": [int(step.starts_at.timestamp()) for step in trend],
            "delivered": [step.events.delivered for step in trend],
            "failed": [step.events.rejected + step.events.expired for step in trend],
            "p50": [step.latency.p50_seconds for step in trend],
            "p95": [step.latency.p95_seconds for step in trend],
        }
    )


@router.get("/delivery/error")
async def show_error(
    request: Request, parts: Parts, caller: Viewer, code: Text = "", reason: Text = "", destination: Text = ""
) -> Response:
    """One reason: what it means, what to do, and the latest samples."""
    where = DeadLetterFilter(
        destination_id=DestinationId(destination) if destination else None, code=code or None, reason=reason or None
    )
    found = await parts.queue.browse_dead_letters(where, limit=SAMPLES, newest_first=True)
    meaning, fix = explain(code, reason)
    return render(
        request,
        "delivery_error.html",
        caller=caller,
        code=code,
        reason=reason,
        destination=destination,
        meaning=meaning,
        fix=fix,
        samples=describe_samples(found),
    )


@router.post("/delivery/resume")
async def resume(
    request: Request, parts: Parts, caller: Admin, destination: Annotated[str, Form(max_length=200)]
) -> Response:
    """Try a destination again at once."""
    if not parts.resume(DestinationId(destination)):
        raise ChangeRefused("not_found", "There is no destination of this name.")
    now = parts.now()
    await parts.store.write(
        lambda connection: record_change(connection, caller.actor, "destination.resumed", destination, now=now)
    )
    return redirect(request, "/delivery", said=f"{destination} is tried again now.")


async def _read_statistics(parts: ConsoleParts, destination: str, period: str) -> Statistics:
    chosen, now = PERIODS.get(period, PERIODS["24h"]), parts.now()
    destination_id = DestinationId(destination) if destination else None
    return await parts.queue.read_statistics(now - chosen.length, now, chosen.step, destination_id=destination_id)


async def _build_context(parts: ConsoleParts, destination: str, period: str) -> dict[str, Any]:
    statistics = await _read_statistics(parts, destination, period)
    backlogs = await parts.queue.read_backlogs()
    states = {state.destination_id: state for state in parts.list_states()}
    names = [destination] if destination else [entry.name for entry in parts.workspace.destinations]
    chosen = [backlog.pending for name, backlog in backlogs.items() if not destination or name == destination]
    pending = PendingCounts(
        ready=sum(each.ready for each in chosen),
        leased=sum(each.leased for each in chosen),
        retrying=sum(each.retrying for each in chosen),
    )
    rows = [
        {
            "name": name,
            "state": states.get(DestinationId(name)),
            "standing": describe_standing(states.get(DestinationId(name))),
            "backlog": backlogs.get(DestinationId(name)),
        }
        for name in names
    ]
    return {
        "destination": destination,
        "period": period if period in PERIODS else "24h",
        "rows": rows,
        "stages": build_stages(statistics, pending),
        "latency": statistics.latency,
        "troubles": list_troubles(statistics),
        "coverage": list_coverage(statistics),
    }
