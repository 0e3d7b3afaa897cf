"""The sources and destinations that the file declares, checked and bound to each other. Raises ConfigError."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from signalpost.catalog import Source
from signalpost.config.faults import describe_faults, suggest
from signalpost.config.secret_files import read_secret_files
from signalpost.config.sections import Config
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.model.errors import ConfigError
from signalpost.model.ids import DestinationId, SourceId, WriteKey


def build_destinations(config: Config, folder: Path = Path()) -> list[Destination]:
    """Every configured destination with the checked settings of its type. `folder`: where relative secret files lie."""
    destinations = [_build_destination(index, row, folder) for index, row in enumerate(config.destinations)]
    _check_unique("destinations", [destination.name for destination in destinations])
    return destinations


def build_sources(config: Config, destinations: Sequence[Destination]) -> list[Source]:
    """Every configured source, bound to its destinations."""
    _check_unique("sources", [source.name for source in config.sources])
    _check_unique("sources[].write_keys", [key for source in config.sources for key in source.write_keys])
    by_name = {destination.name: destination for destination in destinations}
    sources = []
    for index, section in enumerate(config.sources):
        for name in section.destinations:
            if name not in by_name:
                hint = suggest(name, by_name) if by_name else "; none is configured"
                raise ConfigError(f'sources[{index}].destinations: there is no destination named "{name}"{hint}')
        sources.append(
            Source(
                id=SourceId(section.name),
                name=section.name,
                write_keys=tuple(WriteKey(key) for key in section.write_keys),
                destinations=tuple(by_name[name] for name in section.destinations),
                kind=section.kind,
                allowed_origins=section.allowed_origins,
                is_enabled=section.enabled,
            )
        )
    return sources


def _build_destination(index: int, row: Mapping[str, Any], folder: Path) -> Destination:
    where = f"destinations[{index}]"
    settings = dict(row)
    name, slug, is_enabled = settings.pop("name", None), settings.pop("type", None), settings.pop("enabled", True)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}.name: must be a text that names the destination")
    if not isinstance(is_enabled, bool):
        raise ConfigError(f"{where}.enabled: must be true or false")
    destination_type = DESTINATION_TYPES.get(str(slug))
    if destination_type is None:
        hint = suggest(str(slug), DESTINATION_TYPES, show_all=False)
        raise ConfigError(f"{where}.type: must be one of {', '.join(DESTINATION_TYPES)}{hint}")
    settings = read_secret_files(settings, destination_type.settings.model_fields, where, folder)
    checked = check_settings(destination_type.settings, settings, where)
    return Destination(DestinationId(name), name, destination_type, checked, is_enabled)


def check_settings(settings_type: type[BaseModel], given: Mapping[str, Any], where: str) -> Any:
    """Check the settings of one destination; raises ConfigError naming the key under `where`."""
    try:
        return settings_type.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError("\n".join(describe_faults(error, where, settings_type))) from None


def _check_unique(where: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            shown = "a write key" if where.endswith("write_keys") else f'"{name}"'
            raise ConfigError(f"{where}: {shown} is used twice; each must be unique")
        seen.add(name)
