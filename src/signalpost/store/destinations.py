"""Destinations made in the console. Here their settings are JSON and secrets; what they mean is the type's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw
from pydantic import SecretStr

from signalpost.store.connected_tokens import forget_connected_token
from signalpost.store.database import from_instant, to_instant
from signalpost.store.secrets import place_of
from signalpost.vault import Vault


@dataclass(frozen=True, slots=True)
class StoredDestination:
    """One destination: its type's slug, its plain settings, and its secret ones, opened."""

    name: str
    type: str
    is_enabled: bool
    settings: Mapping[str, Any]
    secrets: Mapping[str, SecretStr]
    created_at: datetime


def list_destinations(connection: apsw.Connection, vault: Vault) -> list[StoredDestination]:
    """Every destination in the order in which they were made. Raises SecretUnreadable."""
    rows: list[Any] = connection.execute(
        "SELECT name, type, is_enabled, settings, created_at FROM destinations ORDER BY created_at, name"
    ).fetchall()
    return [
        StoredDestination(
            name,
            slug,
            bool(is_enabled),
            json.loads(settings),
            _open_secrets(connection, vault, name),
            from_instant(created_at),
        )
        for name, slug, is_enabled, settings, created_at in rows
    ]


def _open_secrets(connection: apsw.Connection, vault: Vault, name: str) -> dict[str, SecretStr]:
    rows: Any = connection.execute("SELECT setting, sealed FROM destination_secrets WHERE destination = ?", (name,))
    return {
        setting: vault.open_sealed(sealed, place_of("destination_secrets", (name, setting))) for setting, sealed in rows
    }


def add_destination(
    connection: apsw.Connection, name: str, slug: str, settings: Mapping[str, Any], now: datetime
) -> None:
    """Add a destination without secrets. Raises apsw.ConstraintError when the name is taken."""
    forget_connected_token(connection, name)  # of one of this name that the configuration file had
    connection.execute(
        "INSERT INTO destinations (name, type, settings, created_at) VALUES (?, ?, ?, ?)",
        (name, slug, json.dumps(settings), to_instant(now)),
    )


def save_settings(connection: apsw.Connection, name: str, settings: Mapping[str, Any]) -> None:
    """Replace the plain settings as a whole."""
    connection.execute("UPDATE destinations SET settings = ? WHERE name = ?", (json.dumps(settings), name))


def save_secret(connection: apsw.Connection, vault: Vault, name: str, setting: str, secret: SecretStr | None) -> None:
    """Seal a secret setting; None removes it."""
    if secret is None:
        connection.execute("DELETE FROM destination_secrets WHERE destination = ? AND setting = ?", (name, setting))
        return
    sealed = vault.seal(secret, place_of("destination_secrets", (name, setting)))
    connection.execute(
        "INSERT OR REPLACE INTO destination_secrets (destination, setting, sealed) VALUES (?, ?, ?)",
        (name, setting, sealed),
    )


def set_destination_enabled(connection: apsw.Connection, name: str, *, is_enabled: bool) -> None:
    """Switch a destination on or off. Off: calls are filtered (DESTINATION_DISABLED); what waits is still delivered."""
    connection.execute("UPDATE destinations SET is_enabled = ? WHERE name = ?", (is_enabled, name))


def remove_destination(connection: apsw.Connection, name: str) -> None:
    """Remove a destination with its secrets and connections."""
    forget_connected_token(connection, name)
    connection.execute("DELETE FROM connections WHERE destination = ?", (name,))
    connection.execute("DELETE FROM destination_states WHERE destination = ?", (name,))
    connection.execute("DELETE FROM destinations WHERE name = ?", (name,))
