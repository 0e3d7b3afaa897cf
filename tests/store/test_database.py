"""settings.db as a file: private, whole, refused when it is not ours or was sealed with another key."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from pydantic import SecretStr

from signalpost.model.errors import ConfigError, NewerDataFolder, SecretUnreadable, SettingsUnavailable
from signalpost.model.ids import DestinationId, WriteKey
from signalpost.store import api_tokens, audit, destinations, sessions, sources, users
from signalpost.store.audit import Actor
from signalpost.store.database import SETTINGS_NAME, SettingsStore
from signalpost.store.destination_states import DestinationState, read_states, save_state
from signalpost.store.schema import SCHEMA
from signalpost.store.secrets import SEALED_COLUMNS, seal_all_again
from signalpost.vault import Vault

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOKEN = "EAABcanary0123456789"


def read_all(folder: Path) -> bytes:
    """Every byte of the data folder."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


def test_the_file_is_private(tmp_path: Path, store: SettingsStore) -> None:
    """Only its owner may read it."""
    assert stat.S_IMODE((tmp_path / SETTINGS_NAME).stat().st_mode) == 0o600


async def test_a_change_is_there_after_a_restart(tmp_path: Path, vault: Vault) -> None:
    """What was written is read by another process with the same key, secrets too."""
    store = SettingsStore.open(tmp_path, vault)
    await store.write(lambda c: destinations.add_destination(c, "main", "facebook-conversions-api", {"a": 1}, NOW))
    await store.write(lambda c: destinations.save_secret(c, vault, "main", "access_token", SecretStr(TOKEN)))
    key = await store.write(
        lambda c: (sources.add_source(c, "web", NOW), sources.add_write_key(c, vault, "web", NOW))[1]
    )
    await store.write(lambda c: sources.connect(c, "web", "main"))
    store.close()
    assert TOKEN.encode() not in read_all(tmp_path)
    assert key.encode() not in read_all(tmp_path)
    again = SettingsStore.open(tmp_path, vault)
    (destination,) = again.read(lambda c: destinations.list_destinations(c, vault))
    assert (destination.settings, destination.secrets) == ({"a": 1}, {"access_token": SecretStr(TOKEN)})
    (source,) = again.read(lambda c: sources.list_sources(c, vault))
    assert ([known.key for known in source.keys], source.destinations) == ([key], ["main"])
    again.close()


def test_another_key_is_refused_at_the_start(tmp_path: Path, store: SettingsStore) -> None:
    """Before anything is accepted, and with what to do."""
    with pytest.raises(SecretUnreadable, match="not the one that the stored secrets"):
        SettingsStore.open(tmp_path, Vault(os.urandom(32)))


async def test_swapped_secrets_are_refused(store: SettingsStore, vault: Vault) -> None:
    """Whoever can write to the file can't give one destination the token of another."""
    for name in ("a", "b"):
        await store.write(lambda c, name=name: destinations.add_destination(c, name, "t", {}, NOW))
        await store.write(
            lambda c, name=name: destinations.save_secret(c, vault, name, "access_token", SecretStr(name))
        )

    def swap(connection: apsw.Connection) -> None:
        (first, second) = [row[0] for row in connection.execute("SELECT sealed FROM destination_secrets ORDER BY 1")]
        for was, becomes in ((first, b"x"), (second, first), (b"x", second)):
            connection.execute("UPDATE destination_secrets SET sealed = ? WHERE sealed = ?", (becomes, was))

    await store.write(swap)
    with pytest.raises(SecretUnreadable, match="moved"):
        store.read(lambda c: destinations.list_destinations(c, vault))


async def test_a_change_of_the_master_key_seals_everything_again(
    tmp_path: Path, store: SettingsStore, vault: Vault
) -> None:
    """Afterwards the new key opens every secret, and the old one none."""
    await store.write(lambda c: destinations.add_destination(c, "main", "t", {}, NOW))
    await store.write(lambda c: destinations.save_secret(c, vault, "main", "access_token", SecretStr(TOKEN)))
    await store.write(lambda c: sources.add_source(c, "web", NOW))
    await store.write(lambda c: sources.add_write_key(c, vault, "web", NOW))
    new = Vault(os.urandom(32))
    assert await store.write(lambda c: seal_all_again(c, vault, new)) == 2
    assert store.read(lambda c: destinations.list_destinations(c, new))[0].secrets["access_token"] == SecretStr(TOKEN)
    with pytest.raises(SecretUnreadable):
        store.read(lambda c: sources.list_sources(c, vault))
    SettingsStore.open(tmp_path, new).close()
    with pytest.raises(SecretUnreadable):
        SettingsStore.open(tmp_path, vault)


def test_every_sealed_column_is_known(store: SettingsStore) -> None:
    """A table with a column named `sealed` is sealed again when the key changes; the known value is done apart."""
    tables = store.read(
        lambda c: {
            table
            for (table,) in c.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            if "sealed" in [row[1] for row in c.execute(f"PRAGMA table_info({table})")]
        }
    )
    assert tables == {"known_value", *(table for table, *_ in SEALED_COLUMNS)}


def test_a_newer_file_is_left_alone(tmp_path: Path, vault: Vault) -> None:
    """The message names both schemas; the file stays as it was."""
    SettingsStore.open(tmp_path, vault).close()
    connection = apsw.Connection(str(tmp_path / SETTINGS_NAME))
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    before = (tmp_path / SETTINGS_NAME).read_bytes()
    with pytest.raises(NewerDataFolder, match=f"schema {SCHEMA + 1}"):
        SettingsStore.open(tmp_path, vault)
    assert (tmp_path / SETTINGS_NAME).read_bytes() == before


def test_another_programs_file_is_refused(tmp_path: Path, vault: Vault) -> None:
    """Nothing is written into it."""
    connection = apsw.Connection(str(tmp_path / SETTINGS_NAME))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(ConfigError, match="is not a Signalpost settings store"):
        SettingsStore.open(tmp_path, vault)


async def test_a_step_that_fails_changes_nothing(store: SettingsStore) -> None:
    """The change and its audit row are stored together or not at all."""

    def fail(connection: apsw.Connection) -> None:
        audit.record_change(connection, Actor("ann"), "source.added", "web", now=NOW)
        sources.add_source(connection, "web", NOW)
        sources.add_source(connection, "web", NOW)

    with pytest.raises(SettingsUnavailable, match="Nothing was changed"):
        await store.write(fail)
    assert store.read(audit.list_changes) == []


async def test_audit_rows_are_only_added(store: SettingsStore) -> None:
    """The file itself refuses to change one, and to remove one before its time."""
    await store.write(
        lambda c: audit.record_change(c, Actor("ann", "192.0.2.1"), "source.added", "web", now=datetime.now(UTC))
    )
    old = datetime.now(UTC) - timedelta(days=401)
    await store.write(lambda c: audit.record_change(c, Actor("bob"), "source.removed", "web", now=old, before={"x": 1}))
    for statement in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit"):
        with pytest.raises(SettingsUnavailable, match="audit rows"):
            await store.write(lambda c, statement=statement: c.execute(statement).fetchall())
    await store.write(lambda c: audit.forget_changes(c, datetime.now(UTC) - timedelta(days=400)))
    (row,) = store.read(audit.list_changes)
    assert (row.actor, row.address, row.action, row.subject) == ("ann", "192.0.2.1", "source.added", "web")


async def test_sessions_end(store: SettingsStore) -> None:
    """After 30 idle minutes, after 12 hours, at sign-out; only a digest of the id is stored."""
    user = await store.write(lambda c: users.add_user(c, "ann", "hash", "admin", NOW))
    session_id = await store.write(lambda c: sessions.start_session(c, user.id, NOW))

    def find(after: timedelta) -> sessions.Session | None:
        return store.read(lambda c: sessions.find_session(c, session_id, NOW + after))

    assert find(timedelta(minutes=29)) is not None
    assert find(timedelta(minutes=30)) is None
    for minutes in range(0, 12 * 60, 20):
        now = NOW + timedelta(minutes=minutes)
        await store.write(lambda c, now=now: sessions.touch_session(c, session_id, now))
    assert find(timedelta(hours=11, minutes=59)) is not None
    assert find(timedelta(hours=12)) is None
    await store.write(lambda c: sessions.end_session(c, session_id))
    assert find(timedelta()) is None
    assert store.read(lambda c: c.execute("SELECT count(*) FROM sessions").get) == 0


async def test_a_removed_user_is_signed_out(store: SettingsStore) -> None:
    """Sessions go with the user."""
    user = await store.write(lambda c: users.add_user(c, "ann", "hash", "viewer", NOW))
    session_id = await store.write(lambda c: sessions.start_session(c, user.id, NOW))
    await store.write(lambda c: users.remove_user(c, user.id))
    assert store.read(lambda c: sessions.find_session(c, session_id, NOW)) is None


async def test_tokens_expire_and_are_stored_as_digests(store: SettingsStore, tmp_path: Path) -> None:
    """The text is known to whoever made it, and to nobody else."""
    ends = NOW + timedelta(days=30)
    token, text = await store.write(lambda c: api_tokens.add_token(c, "ci", "viewer", "ann", ends, NOW))
    assert text.startswith("spk_")
    assert store.read(lambda c: api_tokens.find_token(c, text, NOW)) == token
    assert store.read(lambda c: api_tokens.find_token(c, text, ends)) is None
    assert store.read(lambda c: api_tokens.find_token(c, text[:-1], NOW)) is None
    assert text.encode() not in read_all(tmp_path)


async def test_names_of_users_ignore_case(store: SettingsStore) -> None:
    """Ann and ann are one person."""
    await store.write(lambda c: users.add_user(c, "Ann", "hash", "admin", NOW))
    found = store.read(lambda c: users.find_user_and_hash(c, "ann"))
    assert found is not None
    assert store.read(lambda c: users.is_last_admin(c, found[0].id))


async def test_a_pause_is_remembered(store: SettingsStore) -> None:
    """Until the destination is in its ordinary state again."""
    state = DestinationState("paused", "token", "Meta refused the token", NOW)
    await store.write(lambda c: save_state(c, DestinationId("main"), state))
    assert store.read(read_states) == {"main": state}
    await store.write(lambda c: save_state(c, DestinationId("main"), None))
    assert store.read(read_states) == {}


async def test_a_removed_key_is_gone(store: SettingsStore, vault: Vault) -> None:
    """The other keys of the source stay."""
    await store.write(lambda c: sources.add_source(c, "web", NOW))
    first = await store.write(lambda c: sources.add_write_key(c, vault, "web", NOW))
    second = await store.write(lambda c: sources.add_write_key(c, vault, "web", NOW + timedelta(seconds=1)))
    await store.write(lambda c: sources.remove_write_key(c, "web", WriteKey(first)))
    (source,) = store.read(lambda c: sources.list_sources(c, vault))
    assert [key.key for key in source.keys] == [second]
