"""Whether the process lives, whether it takes calls, and what runs. Asked by machines, so without signing in."""

from typing import Any

import msgspec
from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from signalpost.console.access import anyone
from signalpost.console.parts import Parts

router = APIRouter(tags=["health"], dependencies=[Depends(anyone)])


@router.get(
    "/healthz",
    summary="The event loop answers and the queue can be written to",
    responses={503: {"description": "Only a restart helps."}},
)
@router.get("/health", include_in_schema=False)
async def read_health(parts: Parts) -> JSONResponse:
    """200, or 503 when only a restart helps. Ask with a time limit of a second: a stuck event loop doesn't answer."""
    if parts.find_unreadiness() == "queue_unavailable":
        return JSONResponse({"status": "failing", "reason": "queue_unavailable"}, 503)
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Whether calls are taken, and what that rests on",
    responses={503: {"description": "No calls are taken; `reason` says why."}},
)
async def read_readiness(parts: Parts) -> JSONResponse:
    """200, or 503 with the reason. Meta being down is none: calls are taken and wait.

    damaged: destinations of which a damaged page of the queue's file keeps events back; `/api/delivery` says more.
    """
    reason = parts.find_unreadiness()
    damaged = [state.destination_id for state in parts.list_states() if state.damage is not None]
    details = {"durability": parts.queue.durability, "version": parts.build.version, "damaged": damaged}
    if reason is None:
        return JSONResponse({"status": "ready", **details})
    return JSONResponse({"status": "not ready", "reason": reason, **details}, 503)


@router.get("/version", summary="What runs")
async def read_version(parts: Parts) -> dict[str, Any]:
    """commit: null unless the package was installed straight from a repository."""
    return dict(msgspec.to_builtins(parts.build))
