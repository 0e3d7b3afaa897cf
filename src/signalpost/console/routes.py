"""The route table of the console: what is served where, and which role checks stand before it."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts


@dataclass(frozen=True, slots=True)
class ConsoleRoute:
    """One route. checks: every function that it depends on, at any depth."""

    path: str
    methods: frozenset[str]
    parameters: frozenset[str]
    checks: frozenset[object]


def list_routes(app: FastAPI) -> Iterator[ConsoleRoute]:
    """Every route of the app but the static files."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            yield ConsoleRoute(
                context.path or "",
                frozenset(context.methods or ()),
                frozenset(context.param_convertors),
                frozenset(_list_dependencies(context.dependant)),
            )


def list_page_paths(app: FastAPI) -> frozenset[str]:
    """The addresses that answer a GET."""
    return frozenset(route.path for route in list_routes(app) if "GET" in route.methods)


def _list_dependencies(dependant: Dependant) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _list_dependencies(dependency)
