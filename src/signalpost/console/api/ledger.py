"""Where everything accepted went."""

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import AwareDatetime

from signalpost.console.access import Viewer
from signalpost.console.parts import Parts
from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import hold

router = APIRouter(prefix="/api", tags=["ledger"])


@router.get("/ledger", summary="Where everything accepted went; the sums must agree")
async def read_ledger(
    parts: Parts,
    _: Viewer,
    destination: str | None = None,
    source: str | None = None,
    since: AwareDatetime | None = None,
) -> dict[str, Any]:
    """Counts of calls and events; `imbalance` is 0, or something is wrong.

    since: count what happened from then on; what is pending, and both imbalances, are those of now in any case.
    """
    wanted = DestinationId(destination) if destination else None
    of_source = SourceId(source) if source else None
    counted = await parts.queue.counts(wanted, source_id=of_source, since=since)
    pending = counted.events.pending
    for paused in (state.destination_id for state in parts.list_states() if state.pause is not None):
        if wanted in {None, paused}:
            pending = hold(pending, (await parts.queue.counts(paused, source_id=of_source)).events.pending)
    events = msgspec.structs.replace(counted.events, pending=pending)
    return dict(msgspec.to_builtins(msgspec.structs.replace(counted, events=events)))
