"""What delivery must not forget at a restart: which destination is paused, why, and since when."""

from dataclasses import dataclass
from datetime import datetime

import apsw

from signalpost.model.ids import DestinationId
from signalpost.store.database import from_instant, to_instant


@dataclass(frozen=True, slots=True)
class DestinationState:
    """A state other than the ordinary one. `reason`: a code; `detail`: a sentence for people."""

    state: str
    reason: str
    detail: str
    since: datetime


def read_states(connection: apsw.Connection) -> dict[DestinationId, DestinationState]:
    """Every destination that is not in its ordinary state."""
    rows = connection.execute("SELECT destination, state, reason, detail, since FROM destination_states")
    return {
        DestinationId(destination): DestinationState(state, reason, detail, from_instant(since))
        for destination, state, reason, detail, since in rows
    }


def save_state(connection: apsw.Connection, destination: DestinationId, state: DestinationState | None) -> None:
    """Remember a destination's state; None is the ordinary one."""
    if state is None:
        connection.execute("DELETE FROM destination_states WHERE destination = ?", (destination,))
        return
    connection.execute(
        "INSERT OR REPLACE INTO destination_states (destination, state, reason, detail, since) VALUES (?, ?, ?, ?, ?)",
        (destination, state.state, state.reason, state.detail, to_instant(state.since)),
    )
