"""The OpenAPI document of the control API: FastAPI's, and how each operation refuses, which FastAPI can't see.

The body of a refusal is the one of refusals.py, whatever the status.
"""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from signalpost.console.access import admin, anyone, confirmed_admin
from signalpost.console.browsers import SAFE_METHODS
from signalpost.console.routes import ConsoleRoute, list_routes

_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token, made under People & tokens."}
}
_REFUSAL: Final = {
    "title": "Refusal",
    "type": "object",
    "description": "Why a request was refused. `faults`: field -> what is wrong with it.",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "faults": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["code", "message"],
    "additionalProperties": False,
}
_MEANINGS: Final = {
    "400": "The body can't be read.",
    "401": "Not signed in, or a token that is not valid (any more).",
    "403": "The role is too low, or the password must be given again.",
    "404": "There is nothing of this name or id.",
    "409": "It is in use, taken, or declared in signalpost.toml.",
    "422": "Some fields need another look.",
    "503": "The queue or the settings can't be read or written now; Retry-After says when to ask again.",
}
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")


def describe_api(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    schemas = components["schemas"]
    components["schemas"] = {name: schema for name, schema in schemas.items() if name not in _FASTAPIS_OWN}
    components["schemas"]["Refusal"] = _REFUSAL
    document["security"] = [{"token": []}]
    for route in list_routes(app):
        for method in route.methods:
            operation = document["paths"].get(route.path, {}).get(method.lower())
            if operation is not None:
                _describe_refusals(operation, route, method)
    return document


def _describe_refusals(operation: dict[str, Any], route: ConsoleRoute, method: str) -> None:
    if anyone in route.checks:
        operation["security"] = []
        return
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    for status in _list_refusals(operation, route, method):
        operation["responses"][status] = {"description": _MEANINGS[status], "content": content}


def _list_refusals(operation: dict[str, Any], route: ConsoleRoute, method: str) -> Iterator[str]:
    yield "401"
    if {admin, confirmed_admin} & route.checks:
        yield "403"
    if route.parameters:
        yield "404"
    if method not in SAFE_METHODS:
        yield "409"
    if "requestBody" in operation:
        yield "400"
    if "422" in operation["responses"]:
        yield "422"
    yield "503"
