"""Whether the queue's file is sound: SQLite itself, how the file was made, and whether its ledger balances."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw
from rich.filesize import decimal

from signalpost.model.check import Check
from signalpost.model.destination_state import DAMAGE_FIX
from signalpost.model.errors import ConfigError, NewerDataFolder, SignalpostError
from signalpost.model.ledger import Ledger
from signalpost.queue.database import check_sqlite_version, open_for_reading
from signalpost.queue.migrations import SCHEMA, check_file

_LARGE_LOG_BYTES: Final = 128 << 20
_INCREMENTAL: Final = 2
_JOURNAL: Final = "wal"
_LONGEST_LOOK_SECONDS: Final = 5.0


def check_sqlite() -> Check:
    """Whether this SQLite keeps what it has committed."""
    version = apsw.sqlite_lib_version()
    try:
        check_sqlite_version(version)
    except SignalpostError as error:
        return Check("SQLite", "broken", str(error), "Install a current apsw.")
    return Check("SQLite", "ok", version)


def check_queue_file(file: Path) -> Check:
    """The file's schema, its lasting settings, its size, and its pages. Nothing is written."""
    if not file.exists():
        return Check("queue", "ok", "no event was ever accepted")
    try:
        with closing(open_for_reading(file)) as connection:
            check_file(connection)
            schema = connection.pragma("user_version")
            journal, vacuum = connection.pragma("journal_mode"), connection.pragma("auto_vacuum")
            damage = _find_damage(connection)
    except NewerDataFolder as error:
        return Check("queue", "broken", str(error), "Start the newer program.")
    except (ConfigError, apsw.Error) as error:
        return Check(
            "queue",
            "broken",
            f"{file.name} can't be read: {error}",
            "Stop the gateway; `signalpost recover` saves what is intact.",
        )
    log = file.with_name(f"{file.name}-wal")
    log_bytes = log.stat().st_size if log.exists() else 0
    told = f"schema {schema}, {journal.upper()}, {decimal(file.stat().st_size)}"
    if damage is not None:
        return Check("queue", "broken", f"{told}: it is damaged: {damage}", DAMAGE_FIX)
    if (journal, vacuum) != (_JOURNAL, _INCREMENTAL):
        fix = "Another program has changed the file. Stop the gateway, and start it again: it sets WAL itself."
        return Check("queue", "broken", f"{told}: not as Signalpost makes it", fix)
    if log_bytes > _LARGE_LOG_BYTES:
        fix = "Somebody reads the file without an end: close other programs that have it open."
        return Check("queue", "warning", f"{told}, and a write-ahead log of {decimal(log_bytes)}", fix)
    if schema < SCHEMA:
        return Check("queue", "ok", f"{told}; the next start brings it to schema {SCHEMA}")
    return Check("queue", "ok", told)


def _find_damage(connection: apsw.Connection) -> str | None:
    """What is wrong with its pages, as far as they can be looked at in a few seconds; None when nothing is."""
    alarm = threading.Timer(_LONGEST_LOOK_SECONDS, connection.interrupt)
    alarm.start()
    try:
        said = str(connection.pragma("quick_check", 1))
    except apsw.InterruptError:
        return None
    except apsw.CorruptError as error:
        said = str(error)
    finally:
        alarm.cancel()
    return None if said == "ok" else " ".join(said.replace("*** in database main ***", "").split())


def check_balance(ledger: Ledger) -> Check:
    """Whether everything that was accepted is accounted for."""
    fix = "This should not be possible. Keep a copy of the data folder, and report it with `signalpost status --json`."
    if ledger.imbalance:
        return Check("ledger", "broken", f"{ledger.imbalance:+,} accepted events are unaccounted for", fix)
    if ledger.dead_letter_imbalance:
        return Check("ledger", "broken", f"{ledger.dead_letter_imbalance:+,} dead letters are unaccounted for", fix)
    events = ledger.events
    return Check("ledger", "ok", f"balances: {events.accepted:,} accepted, {events.pending.total:,} pending")
