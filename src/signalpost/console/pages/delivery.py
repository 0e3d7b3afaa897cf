"""Delivery: where the events of a period went, what is wrong, and what to do about it. Cheap, for it is read often."""

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import JSONResponse, Response

from signalpost.console.access import Admin, Caller, Viewer
from signalpost.console.delivery_figures import PERIODS, Period, build_stages, list_event_rows
from signalpost.console.delivery_view import explain, list_standings, list_troubles
from signalpost.console.pages.dead_letters import describe_samples
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import redirect, render, render_in_turns
from signalpost.model.dead_letters import DeadLetterFilter
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import PendingCounts, Statistics
from signalpost.store.audit import record_change
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()

Text = Annotated[str, Query(max_length=200)]

SAMPLES = 10
FIGURES = ("counts", "shares")


@dataclass(frozen=True, slots=True)
class View:
    """What of delivery is looked at, as it stands in the address. destination "": all.

    figures: what is shown large, counts or shares. code, reason: the reason whose samples are shown.
    """

    destination: str
    period: str
    figures: str
    code: str
    reason: str

    @property
    def chosen(self) -> Period:
        """The period."""
        return PERIODS[self.period]

    @property
    def destination_id(self) -> DestinationId | None:
        """What the queue is asked for."""
        return DestinationId(self.destination) if self.destination else None

    @property
    def query(self) -> str:
        """The view as an address has it."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def to(self, **changes: str) -> str:
        """The address of a view that differs in this; the samples stay behind."""
        return f"/delivery?{replace(self, **({'code': '', 'reason': ''} | changes)).query}"


def _read_view(
    destination: Text = "", period: Text = "24h", figures: Text = "counts", code: Text = "", reason: Text = ""
) -> View:
    shown = figures if figures in FIGURES else "counts"
    return View(destination, period if period in PERIODS else "24h", shown, code, reason)


Looked = Annotated[View, Depends(_read_view)]


@router.get("/delivery")
async def show_delivery(request: Request, parts: Parts, caller: Viewer, view: Looked) -> Response:
    """The whole page; with a code or reason also its latest samples."""
    context = await _build_context(parts, view)
    names = [entry.name for entry in parts.workspace.destinations]
    samples = await _read_samples(parts, view, caller) if view.code or view.reason else None
    return render(request, "delivery.html", caller=caller, names=names, periods=PERIODS, samples=samples, **context)


@router.get("/delivery/now")
async def show_now(request: Request, parts: Parts, caller: Viewer, view: Looked) -> Response:
    """The part that is read again every few seconds."""
    return await render_in_turns(request, "delivery_now.html", caller=caller, **await _build_context(parts, view))


@router.get("/delivery/ledger")
async def show_ledger(request: Request, parts: Parts, caller: Viewer, view: Looked) -> Response:
    """Whether every accepted event is in exactly one state. It counts rows, so it is asked for seldom."""
    ledger = await parts.queue.counts(view.destination_id)
    return render(request, "delivery_ledger.html", caller=caller, ledger=ledger, counted_at=parts.now())


@router.get("/delivery/trend")
async def read_trend(parts: Parts, _: Viewer, view: Looked) -> JSONResponse:
    """The charts' numbers: seconds since 1970, events per step, and seconds of latency (null without deliveries)."""
    trend = (await _read_statistics(parts, view)).trend
    return JSONResponse(
        {
            "times": [int(step.starts_at.timestamp()) for step in trend],
            "delivered": [step.events.delivered for step in trend],
            "failed": [step.events.rejected + step.events.expired for step in trend],
            "p50": [step.latency.p50_seconds for step in trend],
            "p95": [step.latency.p95_seconds for step in trend],
        }
    )


@router.post("/delivery/resume")
async def resume(
    request: Request, parts: Parts, caller: Admin, destination: Annotated[str, Form(max_length=200)]
) -> Response:
    """Try a destination again at once."""
    if not await parts.resume(DestinationId(destination)):
        raise ChangeRefused("not_found", "There is no destination of this name.")
    now = parts.now()
    await parts.store.write(
        lambda connection: record_change(connection, caller.actor, "destination.resumed", destination, now=now)
    )
    return redirect(request, "/delivery", said=f"{destination} is tried again now.")


async def _read_statistics(parts: ConsoleParts, view: View) -> Statistics:
    now, chosen = parts.now(), view.chosen
    return await parts.queue.read_statistics(now - chosen.length, now, chosen.step, destination_id=view.destination_id)


async def _read_statistics_before(parts: ConsoleParts, view: View, now: Statistics) -> Statistics:
    """The period of the same length that ended when this one began."""
    step = max(view.chosen.step, timedelta(minutes=1))
    return await parts.queue.read_statistics(
        now.since - (now.until - now.since), now.since, step, destination_id=view.destination_id
    )


async def _read_samples(parts: ConsoleParts, view: View, caller: Caller) -> dict[str, Any]:
    where = DeadLetterFilter(destination_id=view.destination_id, code=view.code or None, reason=view.reason or None)
    found = await parts.queue.browse_dead_letters(where, limit=SAMPLES, newest_first=True)
    meaning, fix = explain(view.code, view.reason)
    return {"meaning": meaning, "fix": fix, "letters": describe_samples(found, caller)}


async def _build_context(parts: ConsoleParts, view: View) -> dict[str, Any]:
    statistics = await _read_statistics(parts, view)
    before = await _read_statistics_before(parts, view, statistics)
    backlogs = await parts.queue.read_backlogs()
    states = {state.destination_id: state for state in parts.list_states()}
    waiting = [backlog.pending for name, backlog in backlogs.items() if view.destination in ("", name)]
    pending = PendingCounts(
        ready=sum(each.ready for each in waiting),
        leased=sum(each.leased for each in waiting),
        retrying=sum(each.retrying for each in waiting),
    )
    entries = parts.workspace.destinations
    configured = {entry.destination.id for entry in entries}
    rows = [
        {
            "name": name,
            "state": states.get(name),
            "standing": standing,
            "backlog": backlogs.get(name),
            "is_configured": name in configured,
        }
        for name, standing in list_standings(entries, states.values(), backlogs).items()
    ]
    return {
        "view": view,
        "rows": rows,
        "stages": build_stages(statistics, before, pending),
        "latency": statistics.latency,
        "troubles": list_troubles(statistics),
        "events": list_event_rows(statistics, before),
    }
