"""Who is signed in. Only the SHA-256 of a session id is stored, so that a copy of the file signs nobody in."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import apsw

from signalpost.store.database import from_instant, to_instant
from signalpost.store.users import User, find_user

IDLE_FOR: Final = timedelta(minutes=30)
LASTS_FOR: Final = timedelta(hours=12)
CONFIRMED_FOR: Final = timedelta(minutes=10)
_SEEN_STEP: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser."""

    user: User
    created_at: datetime
    seen_at: datetime
    confirmed_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Whether the password was given recently enough for what needs it again."""
        return now - self.confirmed_at < CONFIRMED_FOR

    def needs_touch(self, now: datetime) -> bool:
        """Whether `seen_at` is old enough to be worth a write."""
        return now - self.seen_at >= _SEEN_STEP


def start_session(connection: apsw.Connection, user_id: int, now: datetime) -> str:
    """Return the id of a new session: 256 bits, for the cookie alone."""
    session_id = secrets.token_urlsafe(32)
    instant = to_instant(now)
    connection.execute(
        "INSERT INTO sessions (digest, user_id, created_at, seen_at, confirmed_at) VALUES (?, ?, ?, ?, ?)",
        (_digest(session_id), user_id, instant, instant, instant),
    )
    return session_id


def find_session(connection: apsw.Connection, session_id: str, now: datetime) -> Session | None:
    """The session of this id unless it has ended: 30 minutes idle, or 12 hours old."""
    row = connection.execute(
        "SELECT user_id, created_at, seen_at, confirmed_at FROM sessions WHERE digest = ?", (_digest(session_id),)
    ).fetchone()
    if row is None:
        return None
    created_at, seen_at, confirmed_at = (from_instant(instant) for instant in row[1:])
    if now - seen_at >= IDLE_FOR or now - created_at >= LASTS_FOR:
        return None
    user = find_user(connection, row[0])
    return Session(user, created_at, seen_at, confirmed_at) if user else None


def touch_session(connection: apsw.Connection, session_id: str, now: datetime) -> None:
    """Remember that the session was used."""
    connection.execute("UPDATE sessions SET seen_at = ? WHERE digest = ?", (to_instant(now), _digest(session_id)))


def confirm_session(connection: apsw.Connection, session_id: str, now: datetime) -> None:
    """Remember that the password was given again."""
    connection.execute("UPDATE sessions SET confirmed_at = ? WHERE digest = ?", (to_instant(now), _digest(session_id)))


def end_session(connection: apsw.Connection, session_id: str) -> None:
    """Sign one browser out."""
    connection.execute("DELETE FROM sessions WHERE digest = ?", (_digest(session_id),))


def end_sessions(connection: apsw.Connection, user_id: int) -> int:
    """Sign a user out everywhere; return in how many browsers."""
    connection.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,))
    return connection.changes()


def forget_ended_sessions(connection: apsw.Connection, now: datetime) -> None:
    """Remove what has ended by itself."""
    connection.execute(
        "DELETE FROM sessions WHERE seen_at <= ? OR created_at <= ?",
        (to_instant(now - IDLE_FOR), to_instant(now - LASTS_FOR)),
    )


def _digest(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode()).digest()
