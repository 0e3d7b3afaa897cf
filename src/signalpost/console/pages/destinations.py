"""Destinations: the list, the catalog of types, and one destination with the form of its settings."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from signalpost.connection_check import check_connection
from signalpost.console.access import Admin, ConfirmedAdmin, Viewer
from signalpost.console.api.destinations import check_secrets_may_change
from signalpost.console.catalog_words import CATALOG_WORDS, describe_type
from signalpost.console.delivery_view import list_standings
from signalpost.console.pages.paths import path_of
from signalpost.console.parts import Parts
from signalpost.console.rendering import redirect, render
from signalpost.console.setting_forms import build_form, read_form
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()

Name = Annotated[str, Form(max_length=200)]


@router.get("/destinations")
async def show_destinations(request: Request, parts: Parts, caller: Viewer) -> Response:
    """Every destination."""
    standings = list_standings(parts.workspace.destinations, parts.list_states(), {})
    rows = [
        {"entry": entry, "words": describe_type(entry.type.slug), "standing": standings[entry.destination.id]}
        for entry in parts.workspace.destinations
    ]
    return render(request, "destinations.html", caller=caller, rows=rows)


@router.get("/destinations/new")
async def show_catalog(request: Request, caller: ConfirmedAdmin, source: str = "") -> Response:
    """The types to choose from. source: connected to what is made."""
    return render(request, "destination_catalog.html", caller=caller, types=CATALOG_WORDS, request_source=source)


@router.get("/destinations/new/{slug}")
async def show_new_destination(
    request: Request,
    parts: Parts,
    caller: ConfirmedAdmin,
    slug: str,
    source: str = "",
    next: str = "",  # noqa: A002 - in the address
) -> Response:
    """The form for a new destination of one type. source: connected to what is made. next: "welcome" goes back."""
    destination_type = _find_type(slug)
    context: dict[str, Any] = {"slug": slug, "words": describe_type(slug), "name": "", "faults": {}, "message": ""}
    fields = build_form(destination_type)
    sources = [each for each in parts.workspace.sources if each.origin == "console"]
    return render(
        request,
        "new_destination.html",
        caller=caller,
        fields=fields,
        source=source,
        sources=sources,
        next=next,
        **context,
    )


@router.post("/destinations/new/{slug}")
async def add_destination(
    request: Request,
    parts: Parts,
    caller: ConfirmedAdmin,
    slug: str,
    name: Name = "",
    source: Name = "",
    next: Name = "",  # noqa: A002 - a field
) -> Response:
    """Make it, and connect it to a source if one was chosen."""
    destination_type = _find_type(slug)
    sent = read_form(destination_type, await request.form())
    try:
        entry = await parts.workspace.add_destination(name, slug, sent, caller.actor)
    except ChangeRefused as refused:
        fields = build_form(destination_type, sent=sent, faults=refused.faults)
        sources = [each for each in parts.workspace.sources if each.origin == "console"]
        context: dict[str, Any] = {"slug": slug, "words": describe_type(slug), "name": name, "faults": refused.faults}
        return render(
            request,
            "new_destination.html",
            caller=caller,
            status=422,
            fields=fields,
            source=source,
            sources=sources,
            next=next,
            message=refused.message,
            **context,
        )
    if source:
        await parts.workspace.connect(source, entry.name, caller.actor)
    if next == "welcome":
        return redirect(request, "/welcome")
    said = (
        f"{entry.name} takes the calls of {source} now." if source else f"{entry.name} is made. Connect a source to it."
    )
    return redirect(request, path_of("destinations", entry.name), said=said)


@router.get("/destinations/{name}")
async def show_destination(request: Request, parts: Parts, caller: Viewer, name: str) -> Response:
    """Its settings, sources and state."""
    entry = parts.workspace.find_destination(name)
    fields = build_form(type(entry.settings), entry.settings)
    return _render_one(request, parts, caller, name, fields=fields)


@router.post("/destinations/{name}/settings")
async def change_settings(request: Request, parts: Parts, caller: Admin, name: str) -> Response:
    """Put the sent settings in force for the next call."""
    entry = parts.workspace.find_destination(name)
    sent = read_form(type(entry.settings), await request.form())
    check_secrets_may_change(parts, caller, name, sent)
    try:
        await parts.workspace.change_settings(name, sent, caller.actor)
    except ChangeRefused as refused:
        if refused.code != "invalid":
            raise
        fields = build_form(type(entry.settings), entry.settings, sent=sent, faults=refused.faults)
        return _render_one(request, parts, caller, name, fields=fields, message=refused.message, status=422)
    return redirect(request, path_of("destinations", name), said="Saved. The next call is mapped with these settings.")


@router.post("/destinations/{name}/check")
async def show_connection(request: Request, parts: Parts, caller: Admin, name: str) -> Response:
    """Ask Meta whether it would take this destination's events: the answer alone for htmx, else the whole page."""
    entry = parts.workspace.find_destination(name)
    checks, _ = await check_connection(entry.destination, parts.catalog, parts.probe)
    if "hx-request" in request.headers:
        return render(request, "connection.html", caller=caller, checks=checks)
    fields = build_form(type(entry.settings), entry.settings)
    return _render_one(request, parts, caller, name, fields=fields, checks=checks)


@router.post("/destinations/{name}/enabled")
async def switch_destination(
    request: Request, parts: Parts, caller: Admin, name: str, enabled: Annotated[bool, Form()]
) -> Response:
    """Enable or disable."""
    await parts.workspace.set_destination_enabled(name, caller.actor, is_enabled=enabled)
    said = f"{name} takes calls again." if enabled else f"{name} is disabled; what waits is still delivered."
    return redirect(request, path_of("destinations", name), said=said)


@router.post("/destinations/{name}/remove")
async def remove_destination(request: Request, parts: Parts, caller: ConfirmedAdmin, name: str) -> Response:
    """Remove it, unless events wait."""
    try:
        await parts.workspace.remove_destination(name, caller.actor)
    except ChangeRefused as refused:
        return redirect(request, path_of("destinations", name), said=refused.message, kind="bad")
    return redirect(request, "/destinations", said=f"{name} is removed.")


@router.post("/destinations/{name}/connect")
async def connect(request: Request, parts: Parts, caller: Admin, name: str, source: Name) -> Response:
    """Take a source's calls."""
    await parts.workspace.connect(source, name, caller.actor)
    return redirect(request, path_of("destinations", name), said=f"{name} takes the calls of {source} now.")


@router.post("/destinations/{name}/disconnect")
async def disconnect(request: Request, parts: Parts, caller: Admin, name: str, source: Name) -> Response:
    """Take no more of them."""
    await parts.workspace.disconnect(source, name, caller.actor)
    return redirect(request, path_of("destinations", name), said=f"{name} takes no more calls of {source}.")


def _find_type(slug: str) -> type[Any]:
    if slug not in DESTINATION_TYPES:
        raise ChangeRefused("not_found", "There is no destination type of this name.")
    return DESTINATION_TYPES[slug].settings


def _render_one(
    request: Request, parts: Parts, caller: Viewer, name: str, *, status: int = 200, message: str = "", **context: Any
) -> Response:
    entry = parts.workspace.find_destination(name)
    can_edit = caller.is_admin and entry.origin == "console"
    others = [each for each in parts.workspace.sources if each.origin == "console" and each.name not in entry.sources]
    return render(
        request,
        "destination.html",
        caller=caller,
        status=status,
        entry=entry,
        words=describe_type(entry.type.slug),
        can_edit=can_edit,
        standing=list_standings([entry], parts.list_states(), {})[entry.destination.id],
        others=others,
        message=message,
        **context,
    )
