"""What the control API can do: the OpenAPI document, and the same as a page. FastAPI's own page has inline script."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from signalpost.console.access import Anyone, Viewer
from signalpost.console.api_description import describe_api
from signalpost.console.parts import Parts
from signalpost.console.rendering import render

router = APIRouter(tags=["reference"])


def build_document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app; built once."""
    if app.openapi_schema is None:
        app.openapi_schema = describe_api(app)
    return dict(app.openapi_schema)


@router.get("/openapi.json", include_in_schema=False)
async def read_document(request: Request, _: Viewer) -> dict[str, Any]:
    """The OpenAPI document."""
    return build_document(request.app)


@router.get("/tracking-openapi.json", include_in_schema=False)
async def read_tracking_document(parts: Parts, _: Anyone) -> dict[str, Any]:
    """The OpenAPI document of the tracking API; public, as that is."""
    return dict(parts.tracking_openapi)


@router.get("/docs", include_in_schema=False)
async def show_reference(request: Request, caller: Viewer) -> HTMLResponse:
    """Every operation with its parameters, body and answer."""
    document = build_document(request.app)
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            entry = {"path": path, "method": method.upper(), **operation}
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(entry)
    schemas = document.get("components", {}).get("schemas", {})
    return render(request, "api_reference.html", caller=caller, groups=groups, schemas=schemas)
