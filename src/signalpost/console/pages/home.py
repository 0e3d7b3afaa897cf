"""Where a person lands: setup before there is anybody, the wizard before there is anything, else the overview."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from signalpost.console.access import Anyone
from signalpost.console.parts import Parts

router = APIRouter()


@router.get("/")
async def show_home(request: Request, parts: Parts, _: Anyone) -> RedirectResponse:
    """Send the browser on."""
    if parts.people.is_empty:
        return RedirectResponse("/setup", 303)
    if not parts.workspace.sources or not parts.workspace.destinations:
        return RedirectResponse("/welcome", 303)
    return RedirectResponse("/overview" if "/overview" in request.app.state.page_paths else "/sources", 303)
