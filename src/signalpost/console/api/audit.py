"""Who changed what, and the settings as a file."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from signalpost.console.access import Admin
from signalpost.console.export import export_settings
from signalpost.console.parts import Parts
from signalpost.store.audit import list_changes

router = APIRouter(prefix="/api", tags=["audit and export"])


class Change(BaseModel):
    """One row of the audit log."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("/audit", summary="Who changed what, newest first")
async def read_audit(
    parts: Parts,
    _: Admin,
    before_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[Change]:
    """`before_id`: the last id of the page before."""
    rows = parts.store.read(lambda connection: list_changes(connection, before_id=before_id, limit=limit))
    return [
        Change(
            id=row.id,
            at=row.at,
            actor=row.actor,
            address=row.address,
            action=row.action,
            subject=row.subject,
            before=dict(row.before) if row.before is not None else None,
            after=dict(row.after) if row.after is not None else None,
        )
        for row in rows
    ]


@router.get("/export", response_class=PlainTextResponse, summary="Everything in force as a signalpost.toml")
async def export(parts: Parts, _: Admin) -> str:
    """Secrets are named as files to write (`access_token_file`), and never stand in it."""
    return export_settings(parts.workspace)
