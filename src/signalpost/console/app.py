"""The app of the console port: health, metrics, and the ledger as JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from signalpost.catalog import Catalog
from signalpost.model.ids import DestinationId
from signalpost.queue.interface import Queue
from signalpost.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """What the console looks at. find_unreadiness: why calls are not taken now, or None."""

    version: str
    queue: Queue
    catalog: Catalog
    telemetry: Telemetry
    find_unreadiness: Callable[[], str | None]


def build_console_app(parts: ConsoleParts) -> FastAPI:
    """The ASGI app of the console port; its description is at /openapi.json."""
    app = FastAPI(title="Signalpost control API", version=parts.version, docs_url=None, redoc_url=None)

    @app.get("/healthz", summary="The event loop answers")
    @app.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether calls are taken, and what that rests on")
    async def readiness() -> JSONResponse:
        reason = parts.find_unreadiness()
        details = {"durability": parts.queue.durability, "version": parts.version}
        if reason is None:
            return JSONResponse({"status": "ready", **details})
        return JSONResponse({"status": "not ready", "reason": reason, **details}, 503)

    @app.get("/api/ledger", summary="Where everything accepted went; the sums must agree")
    async def ledger(destination: str | None = None) -> dict[str, Any]:
        counted = await parts.queue.counts(DestinationId(destination) if destination else None)
        return dict(msgspec.to_builtins(counted))

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(parts.telemetry.registry), media_type=CONTENT_TYPE_LATEST)

    return app
