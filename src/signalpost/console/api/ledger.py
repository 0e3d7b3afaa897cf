"""Where everything accepted went."""

from typing import Any

import msgspec
from fastapi import APIRouter

from signalpost.console.access import Viewer
from signalpost.console.parts import Parts
from signalpost.model.ids import DestinationId

router = APIRouter(prefix="/api", tags=["ledger"])


@router.get("/ledger", summary="Where everything accepted went; the sums must agree")
async def read_ledger(parts: Parts, _: Viewer, destination: str | None = None) -> dict[str, Any]:
    """Counts of calls and events; `imbalance` is 0, or something is wrong."""
    counted = await parts.queue.counts(DestinationId(destination) if destination else None)
    return dict(msgspec.to_builtins(counted))
