"""Every sealed column, by name: what a change of the master key must seal again."""

import json
from collections.abc import Iterable
from typing import Any, Final

import apsw

from signalpost.vault import Place, Vault

# Table, the columns that name a row, the sealed column. A new sealed column is one row here.
SEALED_COLUMNS: Final = (
    ("write_keys", ("source", "digest"), "sealed"),
    ("destination_secrets", ("destination", "setting"), "sealed"),
    ("connected_tokens", ("destination",), "sealed"),
)


def check_master_key(connection: apsw.Connection, vault: Vault) -> None:
    """Raise SecretUnreadable unless the file's secrets were sealed with this vault's key. A new file takes the key."""
    sealed = connection.execute("SELECT sealed FROM known_value").get
    if sealed is None:
        connection.execute("INSERT INTO known_value (id, sealed) VALUES (1, ?)", (vault.seal_known_value(),))
    else:
        vault.check_known_value(sealed)


def seal_all_again(connection: apsw.Connection, old: Vault, new: Vault) -> int:
    """Seal every secret of the file with another key, inside the caller's transaction. Return how many there were."""
    count = 0
    for table, names, column in SEALED_COLUMNS:
        listed = ", ".join(names)
        matched = " AND ".join(f"{name} = ?" for name in names)
        rows: list[Any] = connection.execute(f"SELECT {listed}, {column} FROM {table}").fetchall()  # noqa: S608 - ours
        for *row, sealed in rows:
            place = place_of(table, row, column)
            again = new.seal(old.open_sealed(sealed, place), place)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {matched}", (again, *row))  # noqa: S608
            count += 1
    connection.execute("UPDATE known_value SET sealed = ?", (new.seal_known_value(),))
    return count


def place_of(table: str, row: Iterable[str | bytes], column: str = "sealed") -> Place:
    """Where a row's secret lies. The parts of its key are written as JSON, so that no two rows are written alike."""
    return Place(table, json.dumps([part.hex() if isinstance(part, bytes) else part for part in row]), column)
