"""The sources and destinations that people change while the gateway runs, beside those of the configuration file.

Every change is one transaction with its audit row, and is in force for the next call as soon as it is stored. What the
file declares belongs to the file: it is shown, and not changed here; where both use a name, the file's is in force.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import apsw
from pydantic import SecretStr

from signalpost.catalog import Catalog, Source
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.model.ids import DestinationId, WriteKey
from signalpost.store import destinations as destination_rows
from signalpost.store import sources as source_rows
from signalpost.store.audit import Actor, record_change
from signalpost.store.connected_tokens import ConnectedToken, forget_connected_token, save_connected_token
from signalpost.store.database import SettingsStore
from signalpost.workspace.changes import ChangeRefused, check_name
from signalpost.workspace.entries import DestinationEntry, SourceEntry
from signalpost.workspace.in_force import InForce, read_in_force
from signalpost.workspace.settings import (
    build_plain_settings,
    build_secret_settings,
    check_settings,
    compare_settings,
)

MAX_WRITE_KEYS: Final = 2
_SECRET_SHOWN: Final = "(secret)"  # noqa: S105 - what is shown in its place

Answer = TypeVar("Answer")


class Workspace:
    """What is in force, and the only way to change it from a console or a program."""

    def __init__(
        self,
        store: SettingsStore,
        catalog: Catalog,
        *,
        now: Callable[[], datetime],
        on_change: Callable[[], None],
        count_pending: Callable[[DestinationId], Awaitable[int]],
    ) -> None:
        """on_change: called when something else is in force. count_pending: how many events wait for a destination."""
        self._store = store
        self._catalog = catalog
        self._now = now
        self._on_change = on_change
        self._count_pending = count_pending
        self._changing = asyncio.Lock()
        self._file_sources: Mapping[str, Source] = {}
        self._file_destinations: Mapping[str, Destination] = {}
        self._api_version = ""
        self._app_secret: SecretStr | None = None
        self._in_force = InForce({}, {}, {}, {})

    def apply_file(
        self,
        sources: Iterable[Source],
        destinations: Iterable[Destination],
        api_version: str,
        app_secret: SecretStr | None = None,
    ) -> None:
        """Put what the configuration file declares in force, with what was made here. Raises ConfigError.

        app_secret: of the Meta app that connected tokens belong to.
        """
        self._file_sources = {source.name: source for source in sources}
        self._file_destinations = {destination.name: destination for destination in destinations}
        self._api_version = api_version
        self._app_secret = app_secret
        self._put_in_force()

    @property
    def sources(self) -> Sequence[SourceEntry]:
        """The sources in force: the file's, then those made here, each in order."""
        return tuple(self._in_force.source_entries.values())

    @property
    def destinations(self) -> Sequence[DestinationEntry]:
        """The destinations in force, in the same order."""
        return tuple(self._in_force.destination_entries.values())

    def find_source(self, name: str) -> SourceEntry:
        """The source of this name. Raises ChangeRefused (not_found)."""
        entry = self._in_force.source_entries.get(name)
        if entry is None:
            raise ChangeRefused("not_found", f'There is no source named "{name}".')
        return entry

    def find_destination(self, name: str) -> DestinationEntry:
        """The destination of this name. Raises ChangeRefused (not_found)."""
        entry = self._in_force.destination_entries.get(name)
        if entry is None:
            raise ChangeRefused("not_found", f'There is no destination named "{name}".')
        return entry

    async def add_source(self, name: str, actor: Actor) -> SourceEntry:
        """Make a source with one write key. Raises ChangeRefused."""
        async with self._changing:
            name = check_name(name, self._in_force.source_entries, "source")

            def add(connection: apsw.Connection) -> None:
                source_rows.add_source(connection, name, self._now())
                source_rows.add_write_key(connection, self._store.vault, name, self._now())
                self._record(connection, actor, "source.added", name)

            await self._change(add)
        return self.find_source(name)

    async def set_source_enabled(self, name: str, actor: Actor, *, is_enabled: bool) -> None:
        """Switch a source on or off; off, its keys are refused like unknown ones. Raises ChangeRefused."""
        async with self._changing:
            self._find_own_source(name)

            def switch(connection: apsw.Connection) -> None:
                source_rows.set_source_enabled(connection, name, is_enabled=is_enabled)
                self._record(connection, actor, "source.enabled" if is_enabled else "source.disabled", name)

            await self._change(switch)

    async def remove_source(self, name: str, actor: Actor) -> None:
        """Remove a source; its events that wait are still delivered. Raises ChangeRefused."""
        async with self._changing:
            entry = self._find_own_source(name)

            def remove(connection: apsw.Connection) -> None:
                source_rows.remove_source(connection, name)
                before = {"destinations": list(entry.destinations), "write_keys": len(entry.keys)}
                self._record(connection, actor, "source.removed", name, before=before)

            await self._change(remove)

    async def add_write_key(self, name: str, actor: Actor) -> WriteKey:
        """Give a source a second write key, so that senders can move to it. Raises ChangeRefused."""
        async with self._changing:
            entry = self._find_own_source(name)
            if len(entry.keys) >= MAX_WRITE_KEYS:
                raise ChangeRefused("invalid", f"A source has at most {MAX_WRITE_KEYS} write keys; remove one first.")

            def add(connection: apsw.Connection) -> WriteKey:
                self._record(connection, actor, "write_key.added", name)
                return source_rows.add_write_key(connection, self._store.vault, name, self._now())

            return await self._change(add)

    async def remove_write_key(self, name: str, key: str, actor: Actor) -> None:
        """Refuse calls with this key from now on. Raises ChangeRefused."""
        async with self._changing:
            entry = self._find_own_source(name)
            if key not in [known for known, _ in entry.keys]:
                raise ChangeRefused("not_found", f'The source "{name}" has no such write key.')
            if len(entry.keys) == 1:
                raise ChangeRefused(
                    "invalid", "This is the only write key; add another one first, or disable the source."
                )

            def remove(connection: apsw.Connection) -> None:
                source_rows.remove_write_key(connection, name, WriteKey(key))
                self._record(connection, actor, "write_key.removed", name)

            await self._change(remove)

    async def add_destination(
        self, name: str, type_slug: str, settings: Mapping[str, Any], actor: Actor
    ) -> DestinationEntry:
        """Make a destination. settings: as its type reads them, secrets as text. Raises ChangeRefused."""
        async with self._changing:
            name = check_name(name, self._in_force.destination_entries, "destination")
            destination_type = DESTINATION_TYPES.get(type_slug)
            if destination_type is None:
                known = ", ".join(DESTINATION_TYPES)
                raise ChangeRefused("invalid", "Choose a type.", {"type": f"must be one of {known}"})
            checked = check_settings(destination_type.settings, settings)

            def add(connection: apsw.Connection) -> None:
                plain = build_plain_settings(checked)
                destination_rows.add_destination(connection, name, type_slug, plain, self._now())
                for setting, secret in build_secret_settings(checked).items():
                    destination_rows.save_secret(connection, self._store.vault, name, setting, secret)
                after = {"type": type_slug, **build_plain_settings(checked)}
                self._record(connection, actor, "destination.added", name, after=after)

            await self._change(add)
        return self.find_destination(name)

    async def change_settings(self, name: str, changes: Mapping[str, Any], actor: Actor) -> DestinationEntry:
        """Change the named settings and leave the others. A secret that is None is removed. Raises ChangeRefused."""
        async with self._changing:
            old = self._find_own_destination(name).settings
            new = check_settings(type(old), {**old.model_dump(exclude_unset=True), **changes})
            before, after = compare_settings(build_plain_settings(old), build_plain_settings(new))
            old_secrets, new_secrets = build_secret_settings(old), build_secret_settings(new)
            moved = {key: new_secrets.get(key) for key in {*old_secrets, *new_secrets}}
            moved = {key: secret for key, secret in moved.items() if secret != old_secrets.get(key)}
            for key in moved:
                before[key], after[key] = (_SECRET_SHOWN if key in old_secrets else None), _SECRET_SHOWN + " changed"

            def change(connection: apsw.Connection) -> None:
                if "access_token" in moved:
                    forget_connected_token(connection, name)
                destination_rows.save_settings(connection, name, build_plain_settings(new))
                for setting, secret in moved.items():
                    destination_rows.save_secret(connection, self._store.vault, name, setting, secret)
                self._record(connection, actor, "destination.changed", name, before=before, after=after)

            if before or after:
                await self._change(change)
        return self.find_destination(name)

    async def set_destination_enabled(self, name: str, actor: Actor, *, is_enabled: bool) -> None:
        """Switch a destination on or off; what waits for it is delivered all the same. Raises ChangeRefused."""
        async with self._changing:
            self._find_own_destination(name)

            def switch(connection: apsw.Connection) -> None:
                destination_rows.set_destination_enabled(connection, name, is_enabled=is_enabled)
                self._record(connection, actor, "destination.enabled" if is_enabled else "destination.disabled", name)

            await self._change(switch)

    async def remove_destination(self, name: str, actor: Actor) -> None:
        """Remove a destination for which nothing waits. Raises ChangeRefused (in_use) while something does."""
        async with self._changing:
            entry = self._find_own_destination(name)
            waiting = await self._count_pending(DestinationId(name))
            if waiting:
                raise ChangeRefused(
                    "in_use",
                    f"{waiting} events wait for {name}. Disable it and let them be delivered, then remove it.",
                )

            def remove(connection: apsw.Connection) -> None:
                destination_rows.remove_destination(connection, name)
                before = {"type": entry.type.slug, **build_plain_settings(entry.settings)}
                self._record(connection, actor, "destination.removed", name, before=before)

            await self._change(remove)

    def check_connectable(self, name: str) -> None:
        """Raise ChangeRefused when a connected token would not be used: the file's own token comes first."""
        entry = self.find_destination(name)
        if entry.origin == "file" and entry.settings.access_token is not None and entry.connected is None:
            raise ChangeRefused(
                "from_file",
                f'The destination "{name}" has a token in signalpost.toml, which comes first: remove it there, '
                "then connect.",
            )

    async def connect_token(self, name: str, token: ConnectedToken, actor: Actor) -> None:
        """Use a token that was given at Facebook from now on, instead of any other. Raises ChangeRefused."""
        async with self._changing:
            self.check_connectable(name)
            entry = self.find_destination(name)
            before = {"access_token": _SECRET_SHOWN if entry.settings.access_token is not None else None}
            after = {"access_token": _SECRET_SHOWN + " changed", "expires_at": str(token.expires_at)}

            def connect(connection: apsw.Connection) -> None:
                if entry.origin == "console":
                    destination_rows.save_secret(connection, self._store.vault, name, "access_token", None)
                save_connected_token(connection, self._store.vault, name, token)
                self._record(connection, actor, "destination.connected", name, before=before, after=after)

            await self._change(connect)

    async def forget_token(self, name: str, actor: Actor) -> None:
        """Forget a connected token; events wait from then on. Raises ChangeRefused."""
        async with self._changing:
            if self.find_destination(name).connected is None:
                raise ChangeRefused("not_found", f'The destination "{name}" is not connected with Facebook.')

            def forget(connection: apsw.Connection) -> None:
                forget_connected_token(connection, name)
                self._record(connection, actor, "destination.disconnected", name)

            await self._change(forget)

    async def connect(self, source: str, destination: str, actor: Actor) -> None:
        """Let a destination take a source's calls. Raises ChangeRefused."""
        async with self._changing:
            entry = self._find_own_source(source)
            self.find_destination(destination)

            def connect(connection: apsw.Connection) -> None:
                source_rows.connect(connection, source, destination)
                self._record(connection, actor, "source.connected", source, after={"destination": destination})

            if destination not in entry.destinations:
                await self._change(connect)

    async def disconnect(self, source: str, destination: str, actor: Actor) -> None:
        """Let a destination take no more of a source's calls; what waits is still delivered. Raises ChangeRefused."""
        async with self._changing:
            entry = self._find_own_source(source)

            def disconnect(connection: apsw.Connection) -> None:
                source_rows.disconnect(connection, source, destination)
                self._record(connection, actor, "source.disconnected", source, before={"destination": destination})

            if destination in entry.destinations:
                await self._change(disconnect)

    async def _change(self, step: Callable[[apsw.Connection], Answer]) -> Answer:
        answer = await self._store.write(step)
        self._put_in_force()
        return answer

    def _record(
        self,
        connection: apsw.Connection,
        actor: Actor,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        record_change(connection, actor, action, subject, now=self._now(), before=before, after=after)

    def _find_own_source(self, name: str) -> SourceEntry:
        entry = self.find_source(name)
        if entry.origin == "file":
            raise ChangeRefused("from_file", f'The source "{name}" is declared in signalpost.toml: change it there.')
        return entry

    def _find_own_destination(self, name: str) -> DestinationEntry:
        entry = self.find_destination(name)
        if entry.origin == "file":
            raise ChangeRefused(
                "from_file", f'The destination "{name}" is declared in signalpost.toml: change it there.'
            )
        return entry

    def _put_in_force(self) -> None:
        self._in_force = read_in_force(self._store, self._file_sources, self._file_destinations)
        self._catalog.replace(
            self._in_force.sources.values(),
            self._in_force.destinations.values(),
            self._api_version,
            self._find_app_secrets(),
        )
        self._on_change()

    def _find_app_secrets(self) -> Mapping[DestinationId, SecretStr]:
        """The app secret for those whose token is a connected one."""
        connected = [entry.name for entry in self.destinations if entry.connected is not None]
        secret = self._app_secret
        return dict.fromkeys(map(DestinationId, connected), secret) if secret is not None else {}
