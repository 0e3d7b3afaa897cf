"""All checks in their order: what is configured, what is on this machine, and what Meta says."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import apsw

from signalpost.catalog import Catalog, Source
from signalpost.config.building import build_destinations, build_sources
from signalpost.config.reading import find_secret_files, read_config
from signalpost.config.sections import Config
from signalpost.connection_check import check_connection
from signalpost.doctor.folder_checks import check_disk, check_folder, check_lock, check_secret_files
from signalpost.doctor.meta_checks import check_api_version, check_clock, check_token
from signalpost.doctor.queue_checks import check_balance, check_queue_file, check_sqlite
from signalpost.ledger_file import read_ledgers
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.meta.client import MetaClient
from signalpost.model.check import Check
from signalpost.model.errors import ConfigError, SignalpostError
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import Ledger
from signalpost.queue.room import RoomLimits
from signalpost.store.connected_tokens import ConnectedToken, list_connected_tokens
from signalpost.store.database import SETTINGS_NAME
from signalpost.store.destinations import list_destinations
from signalpost.store.schema import check_file
from signalpost.vault import MASTER_KEY_NAME, Vault, parse_master_key, read_key_file
from signalpost.workspace.in_force import build_stored_destination, needs_token, use_connected_token

_OFFLINE: Final = "facebook-offline-conversions"
_AT_ONCE: Final = 8


@dataclass(slots=True)
class Examination:
    """What the doctor found. ledger: None while there is no queue, or none that can be read."""

    checks: list[Check] = field(default_factory=list)
    ledger: Ledger | None = None

    @property
    def is_broken(self) -> bool:
        """Whether anything is broken."""
        return any(check.verdict == "broken" for check in self.checks)


async def examine(file: Path | None, now: datetime) -> Examination:
    """Make every check. file: the configuration file, as `signalpost serve --config` takes it."""
    found = Examination()
    try:
        config = read_config(file)
        folder = file.parent if file else Path()
        destinations = build_destinations(config, folder)
        sources = build_sources(config, destinations)
        secret_files = find_secret_files(config, file)
    except ConfigError as error:
        fix = "Mend it; docs/reference/settings.md lists every setting. The other checks need it."
        found.checks.append(Check("configuration", "broken", str(error), fix))
        return found
    destinations, tokens, trouble = _add_what_is_stored(config, destinations)
    found.checks += [trouble or check_configuration(sources, destinations)]
    found.checks += [check_secret_files(secret_files), *_check_machine(config, found)]
    found.checks += await _ask_meta(config, destinations, tokens, now)
    found.checks += [check_token(name, token, now) for name, token in tokens.items()]
    return found


def check_configuration(sources: Sequence[Source], destinations: Sequence[Destination]) -> Check:
    """Whether anything can arrive and go anywhere. destinations: those made in the console too."""
    told = f"sources in the file: {len(sources)}, destinations: {len(destinations)}"
    if not destinations:
        fix = "Add one: docs/configuration.md shows how, and so does the console."
        return Check("configuration", "warning", f"{told}: calls are taken and go nowhere", fix)
    for source in sources:
        for destination in source.destinations:
            if source.kind == "browser" and destination.type.slug == _OFFLINE:
                fix = "Connect it to mobile and server sources only, or to a Conversions API destination."
                return Check(
                    "configuration",
                    "warning",
                    f"{source.name}, a browser source, sends to {destination.name}, which is for offline conversions",
                    fix,
                )
    return Check("configuration", "ok", told)


def _check_machine(config: Config, found: Examination) -> list[Check]:
    folder, queue = config.server.data_dir, config.queue
    file = folder / "queue.db"
    limits = RoomLimits(low_bytes=queue.low_disk_bytes, low_share=queue.low_disk_share)
    checks = [check_folder(folder)]
    if checks[0].verdict == "broken":
        return [*checks, check_sqlite()]
    checks += [check_lock(folder), check_disk(folder, limits), check_sqlite(), check_queue_file(file)]
    if file.exists() and checks[-1].verdict != "broken":
        try:
            found.ledger, _ = read_ledgers(file)
            checks.append(check_balance(found.ledger))
        except SignalpostError as error:
            checks.append(Check("ledger", "broken", str(error), "Run the doctor again; then keep a copy of the file."))
    return checks


def _add_what_is_stored(
    config: Config, declared: list[Destination]
) -> tuple[list[Destination], dict[str, ConnectedToken], Check | None]:
    """Add those made in the console, and the tokens of connections; or what keeps them from being read."""
    folder = config.server.data_dir
    try:
        if not (folder / SETTINGS_NAME).exists():
            return declared, {}, None
        if config.master_key is not None:
            vault = Vault(parse_master_key(config.master_key.get_secret_value()))
        else:
            vault = Vault(read_key_file(folder / MASTER_KEY_NAME))
        with closing(apsw.Connection(str(folder / SETTINGS_NAME), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            check_file(connection)
            names = {known.name for known in declared}
            stored = [each for each in list_destinations(connection, vault) if each.name not in names]
            tokens = list_connected_tokens(connection, vault) if _has_connected_tokens(connection) else {}
            found = [*declared, *map(build_stored_destination, stored)]
            used = {each.name: tokens[each.name] for each in found if each.name in tokens and needs_token(each)}
            return [use_connected_token(each, used) for each in found], used, None
    except (SignalpostError, apsw.Error, OSError) as error:
        fix = "Give the master key that the secrets were sealed with, or restore settings.db from a backup."
        return declared, {}, Check("configuration", "broken", f"what the console stored can't be read: {error}", fix)


def _has_connected_tokens(connection: apsw.Connection) -> bool:
    """False for a file that an earlier version wrote: the doctor changes nothing, so it stays as it is."""
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'connected_tokens'").get)


async def _ask_meta(
    config: Config, destinations: Sequence[Destination], connected: Iterable[str], now: datetime
) -> list[Check]:
    default = config.meta.api_version
    versions = {destination.settings.api_version or default for destination in destinations} or {default}
    checks = [check_api_version(version, now.date()) for version in sorted(versions)]
    secret = config.meta.app_secret
    app_secrets = dict.fromkeys(map(DestinationId, connected), secret) if secret is not None else {}
    catalog = Catalog((), destinations, default, app_secrets)
    at_once = asyncio.Semaphore(_AT_ONCE)
    started_at = time.monotonic()

    async def ask(destination: Destination) -> tuple[list[Check], datetime | None]:
        if not destination.is_enabled:
            name = f"destination {destination.name}"
            return [Check(name, "ok", "switched off: calls are not mapped for it")], None
        async with at_once:
            return await check_connection(destination, catalog, meta.probe)

    async with MetaClient(config.meta.base_url) as meta:
        answers = await asyncio.gather(*(ask(destination) for destination in destinations))
    checks += [check for found, _ in answers for check in found]
    meta_times = [meta_time for _, meta_time in answers if meta_time is not None]
    if destinations:
        checks.append(check_clock(now + timedelta(seconds=time.monotonic() - started_at), meta_times))
    return checks
