"""The app of the console port: the control API, health and metrics."""

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from signalpost.console import health, metrics
from signalpost.console.api import ROUTERS
from signalpost.console.parts import ConsoleParts


def build_console_app(parts: ConsoleParts) -> FastAPI:
    """The ASGI app of the console port; its description is at /openapi.json."""
    app = FastAPI(title="Signalpost control API", version=parts.build.version, docs_url=None, redoc_url=None)
    app.state.parts = parts
    for router in (health.router, metrics.router, *ROUTERS):
        app.include_router(router)

    @app.get("/tracking-openapi.json", include_in_schema=False)
    async def describe_tracking_api() -> JSONResponse:
        return JSONResponse(dict(parts.tracking_openapi))

    return app
