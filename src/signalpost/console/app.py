"""The app of the console port: the control API, health and metrics."""

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from signalpost.console.api import ROUTERS
from signalpost.console.parts import ConsoleParts


def build_console_app(parts: ConsoleParts) -> FastAPI:
    """The ASGI app of the console port; its description is at /openapi.json."""
    app = FastAPI(title="Signalpost control API", version=parts.version, docs_url=None, redoc_url=None)
    app.state.parts = parts
    for router in ROUTERS:
        app.include_router(router)

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

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(parts.telemetry.registry), media_type=CONTENT_TYPE_LATEST)

    return app
