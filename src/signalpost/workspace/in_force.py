"""What is in force: what the file declares, and what is stored; where both use a name, the file's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from signalpost.catalog import Source
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.model.errors import ConfigError
from signalpost.model.ids import DestinationId, SourceId, WriteKey
from signalpost.store import destinations as destination_rows
from signalpost.store import sources as source_rows
from signalpost.store.connected_tokens import ConnectedToken, list_connected_tokens
from signalpost.store.database import SettingsStore
from signalpost.workspace.changes import ChangeRefused
from signalpost.workspace.entries import DestinationEntry, SourceEntry
from signalpost.workspace.settings import check_settings


@dataclass(frozen=True, slots=True)
class InForce:
    """By name, in order: for the catalog, and as people see them."""

    sources: Mapping[str, Source]
    destinations: Mapping[str, Destination]
    source_entries: Mapping[str, SourceEntry]
    destination_entries: Mapping[str, DestinationEntry]


def read_in_force(
    store: SettingsStore, file_sources: Mapping[str, Source], file_destinations: Mapping[str, Destination]
) -> InForce:
    """Read what is stored, and put it behind what the file declares. Raises ConfigError."""
    destinations, connected = _read_destinations(store, file_destinations)
    sources, times = _read_sources(store, file_sources, destinations)
    source_entries = {
        name: SourceEntry(
            name,
            "file" if name in file_sources else "console",
            source.is_enabled,
            [(key, times.get(key)) for key in source.write_keys],
            [destination.name for destination in source.destinations],
        )
        for name, source in sources.items()
    }
    destination_entries = {
        name: DestinationEntry(
            name,
            "file" if name in file_destinations else "console",
            destination,
            [source.name for source in source_entries.values() if name in source.destinations],
            connected.get(name),
        )
        for name, destination in destinations.items()
    }
    return InForce(sources, destinations, source_entries, destination_entries)


def _read_destinations(
    store: SettingsStore, file_destinations: Mapping[str, Destination]
) -> tuple[dict[str, Destination], dict[str, ConnectedToken]]:
    """By name, each with its token; and the tokens among them that somebody connected with Facebook."""
    destinations = dict(file_destinations)
    for stored in store.read(lambda connection: destination_rows.list_destinations(connection, store.vault)):
        if stored.name not in destinations:
            destinations[stored.name] = build_stored_destination(stored)
    tokens = store.read(lambda connection: list_connected_tokens(connection, store.vault))
    connected = {name: tokens[name] for name, each in destinations.items() if needs_token(each) and name in tokens}
    return {name: use_connected_token(each, tokens) for name, each in destinations.items()}, connected


def _read_sources(
    store: SettingsStore, file_sources: Mapping[str, Source], destinations: Mapping[str, Destination]
) -> tuple[dict[str, Source], dict[WriteKey, datetime]]:
    """By name, each bound to the destinations in force; and when the keys that were made here were made."""
    sources = {
        name: replace(source, destinations=tuple(destinations[each.name] for each in source.destinations))
        for name, source in file_sources.items()
    }
    times: dict[WriteKey, datetime] = {}
    for stored in store.read(lambda connection: source_rows.list_sources(connection, store.vault)):
        if stored.name not in sources:
            sources[stored.name] = _build_source(stored, destinations)
            times |= {key.key: key.created_at for key in stored.keys}
    return sources, times


def needs_token(destination: Destination) -> bool:
    """Whether its settings give none, so that a connected one is used."""
    return destination.settings.access_token is None


def use_connected_token(destination: Destination, tokens: Mapping[str, ConnectedToken]) -> Destination:
    """The destination with its connected token, if it needs and has one."""
    token = tokens.get(destination.name)
    if token is None or not needs_token(destination):
        return destination
    settings = destination.settings.model_copy(update={"access_token": token.access_token})
    return replace(destination, settings=settings)


def build_stored_destination(stored: destination_rows.StoredDestination) -> Destination:
    """A destination as it is in force. Raises ConfigError when this program can't use what is stored."""
    destination_type = DESTINATION_TYPES.get(stored.type)
    if destination_type is None:
        raise ConfigError(f'The stored destination "{stored.name}" has a type that is not known here: {stored.type}')
    try:
        settings = check_settings(destination_type.settings, {**stored.settings, **stored.secrets})
    except ChangeRefused as refusal:
        faults = "; ".join(f"{key} {fault}" for key, fault in refusal.faults.items())
        raise ConfigError(f'The stored destination "{stored.name}" can\'t be used: {faults}') from None
    return Destination(DestinationId(stored.name), stored.name, destination_type, settings, stored.is_enabled)


def _build_source(stored: source_rows.StoredSource, destinations: Mapping[str, Destination]) -> Source:
    return Source(
        id=SourceId(stored.name),
        name=stored.name,
        write_keys=tuple(key.key for key in stored.keys),
        destinations=tuple(destinations[name] for name in stored.destinations if name in destinations),
        is_enabled=stored.is_enabled,
    )
