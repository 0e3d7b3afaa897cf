"""The app of the console port: pages for people, the control API, health and metrics."""

from fastapi import Depends, FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from signalpost.console import api_reference, health, metrics, static_files
from signalpost.console.access import ROLE_CHECKS
from signalpost.console.api import ROUTERS
from signalpost.console.first_looks import prepare_first_looks
from signalpost.console.guard import Guard
from signalpost.console.pages import PAGES
from signalpost.console.parts import ConsoleParts
from signalpost.console.refusals import answer_refusals
from signalpost.console.routes import list_page_paths, list_routes


def build_console_app(parts: ConsoleParts) -> FastAPI:
    """The ASGI app of the console port; its description is at /openapi.json."""
    app = FastAPI(
        title="Signalpost control API", version=parts.build.version, openapi_url=None, docs_url=None, redoc_url=None
    )
    app.state.parts = parts
    for router in (health.router, metrics.router, *ROUTERS, api_reference.router):
        app.include_router(router)
    for router in PAGES:
        app.include_router(router, include_in_schema=False, dependencies=[Depends(prepare_first_looks)])
    app.mount("/static", static_files.build_static_files())
    app.add_middleware(Guard, host_names=parts.host_names)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(parts.trusted_proxies))
    answer_refusals(app)
    _check_every_route_asks_for_a_role(app)
    app.state.page_paths = list_page_paths(app)
    return app


def _check_every_route_asks_for_a_role(app: FastAPI) -> None:
    """A route that was forgotten would be open to everybody; so it stops the start."""
    for route in list_routes(app):
        if not route.checks & set(ROLE_CHECKS):
            raise RuntimeError(f"{route.path} depends on none of Anyone, Viewer, Admin, ConfirmedAdmin (access.py)")
