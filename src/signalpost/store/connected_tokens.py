"""Tokens that people gave by connecting with Facebook, also for destinations of the configuration file."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import apsw
from pydantic import SecretStr

from signalpost.store.database import from_instant, to_instant
from signalpost.store.secrets import place_of
from signalpost.vault import Vault

_WARN_BEFORE_EXPIRY: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ConnectedToken:
    """A token, who gave it and when. expires_at: None for one that does not end by itself."""

    access_token: SecretStr
    connected_by: str
    connected_at: datetime
    expires_at: datetime | None

    def find_warning(self, now: datetime) -> str | None:
        """What to do when it has ended or ends within a week; None otherwise."""
        if self.expires_at is None or self.expires_at - now > _WARN_BEFORE_EXPIRY:
            return None
        if self.expires_at <= now:
            return f"The token expired on {self.expires_at:%Y-%m-%d}; events wait. Connect with Facebook again."
        days = (self.expires_at - now).days
        left = "in less than a day" if not days else "in 1 day" if days == 1 else f"in {days} days"
        return (
            f"The token expires {left}, on {self.expires_at:%Y-%m-%d}. "
            "Connect with Facebook again before: no event has to wait."
        )


def list_connected_tokens(connection: apsw.Connection, vault: Vault) -> dict[str, ConnectedToken]:
    """The token of every connected destination, opened. Raises SecretUnreadable."""
    rows: Any = connection.execute(
        "SELECT destination, sealed, connected_by, connected_at, expires_at FROM connected_tokens"
    )
    return {
        name: ConnectedToken(
            vault.open_sealed(sealed, place_of("connected_tokens", (name,))),
            connected_by,
            from_instant(connected_at),
            None if expires_at is None else from_instant(expires_at),
        )
        for name, sealed, connected_by, connected_at, expires_at in rows
    }


def save_connected_token(connection: apsw.Connection, vault: Vault, destination: str, token: ConnectedToken) -> None:
    """Seal a destination's token, instead of an earlier one."""
    sealed = vault.seal(token.access_token, place_of("connected_tokens", (destination,)))
    expires_at = None if token.expires_at is None else to_instant(token.expires_at)
    connection.execute(
        "INSERT OR REPLACE INTO connected_tokens (destination, sealed, connected_by, connected_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (destination, sealed, token.connected_by, to_instant(token.connected_at), expires_at),
    )


def forget_connected_token(connection: apsw.Connection, destination: str) -> None:
    """Remove it, if there is one."""
    connection.execute("DELETE FROM connected_tokens WHERE destination = ?", (destination,))
