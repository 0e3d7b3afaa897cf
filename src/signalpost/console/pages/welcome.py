"""The first run: a source, a destination, a test event, and the moment it is delivered. Every step shows live."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from signalpost.console.access import Admin, Caller, Viewer
from signalpost.console.api.sources import mask_key
from signalpost.console.call_steps import list_call_rows
from signalpost.console.catalog_words import CATALOG_WORDS
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import redirect, render
from signalpost.console.snippets import build_snippets
from signalpost.history.entries import CallEntry
from signalpost.model.ids import SourceId
from signalpost.workspace.changes import ChangeRefused
from signalpost.workspace.entries import DestinationEntry, SourceEntry

router = APIRouter()

_SHOWN_CALLS: Final = 5
_TEST_EVENT: Final = "Signalpost test"
"""A custom event, so that no campaign counts it as a purchase."""


@router.get("/welcome")
async def show_welcome(request: Request, parts: Parts, caller: Viewer) -> Response:
    """The steps, with the first one that is not done open."""
    return _render(request, parts, caller, "welcome.html")


@router.get("/welcome/progress")
async def show_progress(request: Request, parts: Parts, caller: Viewer) -> Response:
    """The live part of the last step."""
    return _render(request, parts, caller, "welcome_progress.html")


@router.post("/welcome/source")
async def add_source(
    request: Request, parts: Parts, caller: Admin, name: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Step 1."""
    try:
        await parts.workspace.add_source(name, caller.actor)
    except ChangeRefused as refused:
        return _render(request, parts, caller, "welcome.html", status=422, faults=refused.faults, name=name)
    return redirect(request, "/welcome")


@router.post("/welcome/test-event")
async def send_test_event(request: Request, parts: Parts, _: Admin) -> Response:
    """Step 3: an event of nobody's, through the whole way."""
    source, destination = _find_pair(parts)
    if source is None:
        raise ChangeRefused("not_found", "There is no source yet.")
    is_accepted = await parts.send_call(source.keys[0][0], _build_test_call(destination))
    if not is_accepted:
        return redirect(request, "/welcome", said="The test event was refused; is the source enabled?", kind="bad")
    return redirect(request, "/welcome#send")


def _build_test_call(destination: DestinationEntry | None) -> dict[str, object]:
    """A track call that the destination takes: a type with a table of events takes no others."""
    tables = [destination.settings.model_dump().get("event_sets", {})] if destination else []
    names = [name for table in tables for name in table]
    return {
        "type": "track",
        "event": names[0] if names else _TEST_EVENT,
        "userId": "signalpost-test",
        "properties": {"revenue": 1, "currency": "USD"},
        "context": {
            "traits": {"email": "test@example.com"},
            "page": {"url": "https://example.com/"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        },
    }


def _render(
    request: Request, parts: ConsoleParts, caller: Caller, template: str, *, status: int = 200, **context: Any
) -> Response:
    source, destination = _find_pair(parts)
    calls: Sequence[CallEntry] = parts.history.recent(SourceId(source.name))[-_SHOWN_CALLS:][::-1] if source else ()
    states = {event.state for call in calls for event in call.events}
    key = source.keys[-1][0] if source else ""
    everything: dict[str, Any] = {
        "source": source,
        "destination": destination,
        "types": CATALOG_WORDS,
        "calls": list_call_rows(calls),
        "is_delivered": "delivered" in states,
        "snippets": build_snippets(parts.find_tracking_url(), key if caller.is_admin else mask_key(key)),
        "faults": {},
        "name": "",
    }
    return render(request, template, caller=caller, status=status, **(everything | context))


def _find_pair(parts: ConsoleParts) -> tuple[SourceEntry | None, DestinationEntry | None]:
    """The latest source that has a destination, and that; else the latest source alone."""
    workspace = parts.workspace
    for source in reversed(workspace.sources):
        if source.destinations:
            return source, workspace.find_destination(source.destinations[-1])
    return (workspace.sources[-1] if workspace.sources else None), None
