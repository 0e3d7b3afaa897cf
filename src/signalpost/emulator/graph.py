"""The Graph API side: the events edge, and Meta's answer to every path that is not there."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signalpost.emulator.connection import SilentConnection
from signalpost.emulator.decode import find_token
from signalpost.emulator.events_call import EventsCall, read_bytes
from signalpost.emulator.fault_effects import perform_fault
from signalpost.emulator.faults import UnknownFaultError
from signalpost.emulator.state import Emulator

Endpoint = Callable[[Request], Awaitable[Response]]
ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_events_route(emulator: Emulator) -> Route:
    return Route("/{version}/{dataset_id}/events", _build_events_endpoint(emulator), methods=["POST"])


def build_unknown_path_route(emulator: Emulator) -> Route:
    """Return the route that takes every path, so it belongs at the end of the table."""
    return Route("/{rest:path}", _build_unknown_path_endpoint(emulator), methods=ALL_METHODS)


def _build_events_endpoint(emulator: Emulator) -> Endpoint:
    async def receive_events(request: Request) -> Response:
        call = EventsCall(emulator, request)
        try:
            asked = emulator.faults.find_asked_by_header(request.headers.get("x-emulator-fault"))
        except UnknownFaultError as error:
            return call.respond(call.refuse("param_invalid", rule="fault_unknown", text=str(error)))
        asked = asked or emulator.faults.find_asked_by_token(find_token(call.head)[0])
        if asked is not None and asked.name == "reset_before":
            return await perform_fault(call, asked)
        body = await read_bytes(request)
        if body is None:
            return SilentConnection()
        call.read_body(body)
        fault = (
            asked or emulator.faults.find_asked_by_token(call.decoded.token) or emulator.faults.find_planned(call.facts)
        )
        return call.respond(call.decide()) if fault is None else await perform_fault(call, fault)

    return receive_events


def _build_unknown_path_endpoint(emulator: Emulator) -> Endpoint:
    async def refuse_path(request: Request) -> Response:
        call = EventsCall(emulator, request)
        return call.respond(call.refuse("unknown_path"))

    return refuse_path
