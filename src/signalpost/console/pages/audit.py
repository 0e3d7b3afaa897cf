"""The audit log, and the settings as a file."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from signalpost.console.access import Admin
from signalpost.console.export import export_settings
from signalpost.console.parts import Parts
from signalpost.console.rendering import render
from signalpost.store.audit import list_changes

router = APIRouter()

ROWS: Final = 50


@router.get("/audit")
async def show_audit(
    request: Request,
    parts: Parts,
    caller: Admin,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    subject: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Who changed what, newest first."""
    rows = parts.store.read(
        lambda connection: list_changes(connection, before_id=before, limit=ROWS + 1, subject=subject or None)
    )
    older = rows[ROWS - 1].id if len(rows) > ROWS else None
    return render(request, "audit.html", caller=caller, rows=rows[:ROWS], older=older, subject=subject, before=before)


@router.get("/export")
async def download_settings(parts: Parts, _: Admin) -> Response:
    """What is in force as signalpost.toml."""
    headers = {"Content-Disposition": 'attachment; filename="signalpost.toml"'}
    return PlainTextResponse(export_settings(parts.workspace), headers=headers)
