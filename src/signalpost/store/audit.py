"""Who changed what, when and from where. A change and its row are one transaction; rows are only added."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw

from signalpost.store.database import from_instant, to_instant


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from which address. `name`: a user's, "token <name>", or "command line"."""

    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change. `action`: "<noun>.<past verb>", such as destination.changed. No secrets in before and after."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def record_change(
    connection: apsw.Connection,
    actor: Actor,
    action: str,
    subject: str,
    *,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add a row, inside the transaction of the change that it tells of."""
    row = (to_instant(now), actor.name, actor.address, action, subject, _to_json(before), _to_json(after))
    connection.execute(
        "INSERT INTO audit (at, actor, address, action, subject, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)", row
    )


def list_changes(
    connection: apsw.Connection, *, before_id: int | None = None, limit: int = 100, subject: str | None = None
) -> list[AuditRow]:
    """Return the newest changes first, those before `before_id` when given; `subject` narrows to one thing."""
    rows = connection.execute(
        "SELECT id, at, actor, address, action, subject, before, after FROM audit"
        " WHERE id < coalesce(?1, 9223372036854775807) AND (?2 IS NULL OR subject = ?2) ORDER BY id DESC LIMIT ?3",
        (before_id, subject, limit),
    )
    return [
        AuditRow(row_id, from_instant(at), actor, address, action, about, _from_json(old), _from_json(new))
        for row_id, at, actor, address, action, about, old, new in rows
    ]


def forget_changes(connection: apsw.Connection, older_than: datetime) -> None:
    """Remove the rows before an instant; the file refuses those of the last 400 days."""
    connection.execute("DELETE FROM audit WHERE at < ?", (to_instant(older_than),))


def _to_json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _from_json(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else dict(json.loads(text))
