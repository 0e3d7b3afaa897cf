"""Who may sign in to the console, and with which role. Passwords are hashed before they come here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import apsw

from signalpost.store.database import from_instant, to_instant

Role = Literal["viewer", "admin"]


@dataclass(frozen=True, slots=True)
class User:
    """One person."""

    id: int
    name: str
    role: Role
    created_at: datetime
    signed_in_at: datetime | None


_COLUMNS = "id, name, role, created_at, signed_in_at"


def _read(row: tuple[int, str, Role, int, int | None]) -> User:
    number, name, role, created_at, signed_in_at = row
    return User(number, name, role, from_instant(created_at), from_instant(signed_in_at) if signed_in_at else None)


def count_users(connection: apsw.Connection) -> int:
    """How many people may sign in; none before the first run."""
    return int(connection.execute("SELECT count(*) FROM users").get)


def list_users(connection: apsw.Connection) -> list[User]:
    """Everybody, by name."""
    return [_read(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM users ORDER BY name")]  # noqa: S608


def find_user(connection: apsw.Connection, user_id: int) -> User | None:
    """The user with this id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM users WHERE id = ?", (user_id,)).fetchone()  # noqa: S608
    return _read(row) if row else None


def find_user_and_hash(connection: apsw.Connection, name: str) -> tuple[User, str] | None:
    """The user of this name, in any case, and the hash of the password."""
    row = connection.execute(f"SELECT {_COLUMNS}, password_hash FROM users WHERE name = ?", (name,)).fetchone()  # noqa: S608
    return (_read(row[:-1]), row[-1]) if row else None


def add_user(connection: apsw.Connection, name: str, password_hash: str, role: Role, now: datetime) -> User:
    """Add a user. Raises apsw.ConstraintError when the name is taken."""
    connection.execute(
        "INSERT INTO users (name, password_hash, role, created_at) VALUES (?, ?, ?, ?)",
        (name, password_hash, role, to_instant(now)),
    )
    return User(connection.last_insert_rowid(), name, role, now, None)


def set_password(connection: apsw.Connection, user_id: int, password_hash: str) -> None:
    """Store another password; the caller ends the sessions that the old one opened."""
    connection.execute("UPDATE users SET password_hash = ? WHERE id = ?", (password_hash, user_id))


def set_role(connection: apsw.Connection, user_id: int, role: Role) -> None:
    """Change what a user may do, from the next request on."""
    connection.execute("UPDATE users SET role = ? WHERE id = ?", (role, user_id))


def mark_signed_in(connection: apsw.Connection, user_id: int, now: datetime) -> None:
    """Remember the last sign-in."""
    connection.execute("UPDATE users SET signed_in_at = ? WHERE id = ?", (to_instant(now), user_id))


def remove_user(connection: apsw.Connection, user_id: int) -> None:
    """Remove a user, and with it every session."""
    connection.execute("DELETE FROM users WHERE id = ?", (user_id,))


def is_last_admin(connection: apsw.Connection, user_id: int) -> bool:
    """Whether nobody else could manage this gateway from the console."""
    others = "SELECT count(*) FROM users WHERE role = 'admin' AND id <> ?"
    return not connection.execute(others, (user_id,)).get
