"""Where everything accepted went."""

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import AwareDatetime

from signalpost.console.access import Viewer
from signalpost.console.parts import Parts
from signalpost.model.ids import DestinationId, SourceId

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
    counted = await parts.queue.counts(
        DestinationId(destination) if destination else None,
        source_id=SourceId(source) if source else None,
        since=since,
    )
    return dict(msgspec.to_builtins(counted))
