"""How long settings.db remembers what is over: sessions until they end, changes for 400 days."""

from datetime import datetime, timedelta
from typing import Final

import apsw

from signalpost.store.audit import forget_changes
from signalpost.store.sessions import forget_ended_sessions

CHANGES_KEPT_FOR: Final = timedelta(days=400)

# The file counts its own 400 days in whole seconds, and refuses everything when one row is too young for it.
_MARGIN: Final = timedelta(minutes=1)


def forget_what_is_over(connection: apsw.Connection, now: datetime) -> None:
    """Remove the sessions that have ended by themselves, and the changes that are older than 400 days."""
    forget_ended_sessions(connection, now)
    forget_changes(connection, now - CHANGES_KEPT_FOR - _MARGIN)
