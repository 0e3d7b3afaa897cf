"""Sources made in the console, their write keys, and the destinations that take their calls."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw
from pydantic import SecretStr

from signalpost.model.ids import WriteKey
from signalpost.store.database import from_instant, to_instant
from signalpost.store.secrets import place_of
from signalpost.vault import Vault


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One write key of a source."""

    key: WriteKey
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredSource:
    """One source. `destinations`: names, also of some that are not there any more."""

    name: str
    is_enabled: bool
    keys: Sequence[StoredKey]
    destinations: Sequence[str]
    created_at: datetime


def list_sources(connection: apsw.Connection, vault: Vault) -> list[StoredSource]:
    """Every source in the order in which they were made. Raises SecretUnreadable."""
    rows: list[Any] = connection.execute(
        "SELECT name, is_enabled, created_at FROM sources ORDER BY created_at, name"
    ).fetchall()
    return [
        StoredSource(
            name,
            bool(is_enabled),
            _list_keys(connection, vault, name),
            _list_connected(connection, name),
            from_instant(created_at),
        )
        for name, is_enabled, created_at in rows
    ]


def _list_connected(connection: apsw.Connection, source: str) -> list[str]:
    rows: Any = connection.execute(
        "SELECT destination FROM connections WHERE source = ? ORDER BY destination", (source,)
    )
    return [destination for (destination,) in rows]


def _list_keys(connection: apsw.Connection, vault: Vault, source: str) -> list[StoredKey]:
    rows: Any = connection.execute(
        "SELECT digest, sealed, created_at FROM write_keys WHERE source = ? ORDER BY created_at, digest", (source,)
    )
    return [
        StoredKey(
            WriteKey(vault.open_sealed(sealed, place_of("write_keys", (source, digest))).get_secret_value()),
            from_instant(created_at),
        )
        for digest, sealed, created_at in rows
    ]


def add_source(connection: apsw.Connection, name: str, now: datetime) -> None:
    """Add a source without keys. Raises apsw.ConstraintError when the name is taken."""
    connection.execute("INSERT INTO sources (name, created_at) VALUES (?, ?)", (name, to_instant(now)))


def set_source_enabled(connection: apsw.Connection, name: str, *, is_enabled: bool) -> None:
    """Switch a source on or off; its keys stay."""
    connection.execute("UPDATE sources SET is_enabled = ? WHERE name = ?", (is_enabled, name))


def remove_source(connection: apsw.Connection, name: str) -> None:
    """Remove a source, its keys and its connections."""
    connection.execute("DELETE FROM sources WHERE name = ?", (name,))


def add_write_key(connection: apsw.Connection, vault: Vault, source: str, now: datetime) -> WriteKey:
    """Make a write key: 32 random bytes behind a prefix that log filters know."""
    key = WriteKey("wk_" + secrets.token_urlsafe(32))
    digest = hashlib.sha256(key.encode()).digest()
    sealed = vault.seal(SecretStr(key), place_of("write_keys", (source, digest)))
    connection.execute(
        "INSERT INTO write_keys (digest, source, sealed, created_at) VALUES (?, ?, ?, ?)",
        (digest, source, sealed, to_instant(now)),
    )
    return key


def remove_write_key(connection: apsw.Connection, source: str, key: WriteKey) -> None:
    """Remove a key: calls with it are refused from now on."""
    digest = hashlib.sha256(key.encode()).digest()
    connection.execute("DELETE FROM write_keys WHERE source = ? AND digest = ?", (source, digest))


def connect(connection: apsw.Connection, source: str, destination: str) -> None:
    """Let a destination take a source's calls."""
    connection.execute("INSERT OR IGNORE INTO connections (source, destination) VALUES (?, ?)", (source, destination))


def disconnect(connection: apsw.Connection, source: str, destination: str) -> None:
    """Let a destination take no more of a source's calls."""
    connection.execute("DELETE FROM connections WHERE source = ? AND destination = ?", (source, destination))
