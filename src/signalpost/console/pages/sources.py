"""Sources: the list, and one source with its write keys, snippets and destinations."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from signalpost.console.access import Admin, Viewer
from signalpost.console.api.sources import mask_key
from signalpost.console.call_steps import list_call_rows
from signalpost.console.pages.paths import path_of
from signalpost.console.parts import Parts
from signalpost.console.rendering import redirect, render
from signalpost.console.snippets import build_snippets
from signalpost.model.ids import SourceId
from signalpost.workspace.changes import ChangeRefused

router = APIRouter()

Name = Annotated[str, Form(max_length=200)]
RECENT_CALLS = 5


@router.get("/sources")
async def show_sources(request: Request, parts: Parts, caller: Viewer) -> Response:
    """Every source, with what it received last."""
    rows = [
        {"entry": source, "last": list_call_rows(parts.history.recent(SourceId(source.name))[-1:])}
        for source in parts.workspace.sources
    ]
    return render(request, "sources.html", caller=caller, rows=rows)


@router.get("/sources/new")
async def show_new_source(request: Request, caller: Admin) -> Response:
    """The form for a new source."""
    return render(request, "new_source.html", caller=caller, name="", faults={})


@router.post("/sources/new")
async def add_source(request: Request, parts: Parts, caller: Admin, name: Name = "") -> Response:
    """Make it, and show its key and snippets."""
    try:
        source = await parts.workspace.add_source(name, caller.actor)
    except ChangeRefused as refused:
        context: dict[str, Any] = {"name": name, "faults": refused.faults}
        return render(request, "new_source.html", caller=caller, status=422, **context)
    return redirect(request, path_of("sources", source.name), said=f"{source.name} takes calls now.")


@router.get("/sources/{name}")
async def show_source(request: Request, parts: Parts, caller: Viewer, name: str) -> Response:
    """Its keys, snippets, destinations and last calls."""
    source = parts.workspace.find_source(name)
    keys = [(key, key if caller.is_admin else mask_key(key), made_at) for key, made_at in source.keys]
    others = [each for each in parts.workspace.destinations if each.name not in source.destinations]
    snippets = build_snippets(parts.find_tracking_url(), keys[-1][1]) if keys else []
    calls = parts.history.recent(SourceId(name))[-RECENT_CALLS:]
    context: dict[str, Any] = {
        "source": source,
        "keys": keys,
        "others": others,
        "snippets": snippets,
        "calls": list_call_rows(calls[::-1]),
    }
    return render(request, "source.html", caller=caller, **context)


@router.post("/sources/{name}/enabled")
async def switch_source(
    request: Request, parts: Parts, caller: Admin, name: str, enabled: Annotated[bool, Form()]
) -> Response:
    """Enable or disable."""
    await parts.workspace.set_source_enabled(name, caller.actor, is_enabled=enabled)
    said = f"{name} takes calls again." if enabled else f"{name} is disabled: its calls are refused."
    return redirect(request, path_of("sources", name), said=said)


@router.post("/sources/{name}/remove")
async def remove_source(request: Request, parts: Parts, caller: Admin, name: str) -> Response:
    """Remove it."""
    await parts.workspace.remove_source(name, caller.actor)
    return redirect(request, "/sources", said=f"{name} is removed. Events that wait are still delivered.")


@router.post("/sources/{name}/keys")
async def add_key(request: Request, parts: Parts, caller: Admin, name: str) -> Response:
    """A second write key, to rotate."""
    await parts.workspace.add_write_key(name, caller.actor)
    said = "Both keys work now. Move your senders to the new one, then remove the old one."
    return redirect(request, path_of("sources", name), said=said)


@router.post("/sources/{name}/keys/remove")
async def remove_key(
    request: Request, parts: Parts, caller: Admin, name: str, key: Annotated[str, Form(max_length=100)]
) -> Response:
    """End a key."""
    await parts.workspace.remove_write_key(name, key, caller.actor)
    return redirect(request, path_of("sources", name), said="The key is removed: calls with it are refused.")


@router.post("/sources/{name}/connect")
async def connect(request: Request, parts: Parts, caller: Admin, name: str, destination: Name) -> Response:
    """Let a destination take its calls."""
    await parts.workspace.connect(name, destination, caller.actor)
    return redirect(request, path_of("sources", name), said=f"{destination} takes the calls of {name} now.")


@router.post("/sources/{name}/disconnect")
async def disconnect(request: Request, parts: Parts, caller: Admin, name: str, destination: Name) -> Response:
    """Let it take no more."""
    await parts.workspace.disconnect(name, destination, caller.actor)
    return redirect(request, path_of("sources", name), said=f"{destination} takes no more calls of {name}.")
