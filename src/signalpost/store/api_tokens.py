"""Tokens of the control API, for programs. Shown once; only the SHA-256 is stored."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import apsw

from signalpost.store.database import from_instant, to_instant
from signalpost.store.users import Role

PREFIX: Final = "spk_"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token, without its text."""

    id: int
    name: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


_COLUMNS = "id, name, role, created_by, created_at, expires_at, used_at"


def _read(row: tuple[int, str, Role, str, int, int | None, int | None]) -> ApiToken:
    number, name, role, created_by, *instants = row
    created_at, expires_at, used_at = (from_instant(instant) if instant else None for instant in instants)
    assert created_at is not None  # noqa: S101 - the column is NOT NULL
    return ApiToken(number, name, role, created_by, created_at, expires_at, used_at)


def list_tokens(connection: apsw.Connection) -> list[ApiToken]:
    """Every token, also expired ones, by name."""
    return [_read(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM api_tokens ORDER BY name, id")]  # noqa: S608


def add_token(
    connection: apsw.Connection, name: str, role: Role, created_by: str, expires_at: datetime | None, now: datetime
) -> tuple[ApiToken, str]:
    """Make a token; its text is known to the caller alone from here on."""
    text = PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO api_tokens (name, digest, role, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        (name, _digest(text), role, created_by, to_instant(now), to_instant(expires_at) if expires_at else None),
    )
    return ApiToken(connection.last_insert_rowid(), name, role, created_by, now, expires_at, None), text


def find_token(connection: apsw.Connection, text: str, now: datetime) -> ApiToken | None:
    """The token with this text unless it has expired."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM api_tokens WHERE digest = ?", (_digest(text),)).fetchone()  # noqa: S608
    token = _read(row) if row else None
    return None if token is None or (token.expires_at is not None and token.expires_at <= now) else token


def mark_used(connection: apsw.Connection, token_id: int, now: datetime) -> None:
    """Remember the last use."""
    connection.execute("UPDATE api_tokens SET used_at = ? WHERE id = ?", (to_instant(now), token_id))


def remove_token(connection: apsw.Connection, token_id: int) -> ApiToken | None:
    """Remove a token and return it; None when there is none."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM api_tokens WHERE id = ?", (token_id,)).fetchone()  # noqa: S608
    connection.execute("DELETE FROM api_tokens WHERE id = ?", (token_id,))
    return _read(row) if row else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
