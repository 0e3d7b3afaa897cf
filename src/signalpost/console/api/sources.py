"""Sources: where calls come from, their write keys, and the destinations that take their calls."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from signalpost.console.access import Admin, Viewer
from signalpost.console.parts import Parts
from signalpost.workspace.entries import Origin, SourceEntry

router = APIRouter(prefix="/api/sources", tags=["sources"])

Name = Annotated[str, Path(max_length=200)]


class WriteKey(BaseModel):
    """One write key. It is public: it can only write events of its source. `created_at` is null for the file's."""

    key: str
    created_at: datetime | None


class SourceView(BaseModel):
    """One source. `origin` "file": declared in signalpost.toml, and changed there."""

    name: str
    origin: Origin
    enabled: bool
    write_keys: list[WriteKey]
    destinations: list[str]


class NewSource(BaseModel):
    """What a source is made of; the write key is made here."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)


class Switch(BaseModel):
    """On or off."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool


def describe_source(entry: SourceEntry, *, shows_keys: bool) -> SourceView:
    """The source as JSON; a viewer sees the beginning of a key alone."""
    keys = [WriteKey(key=key if shows_keys else mask_key(key), created_at=created_at) for key, created_at in entry.keys]
    return SourceView(
        name=entry.name,
        origin=entry.origin,
        enabled=entry.is_enabled,
        write_keys=keys,
        destinations=list(entry.destinations),
    )


def mask_key(key: str) -> str:
    """Enough of a key to tell it from another."""
    return f"{key[:6]}…{key[-4:]}"


@router.get("", summary="All sources")
async def list_sources(parts: Parts, caller: Viewer) -> list[SourceView]:
    """Those of the configuration file first, then those made here."""
    return [describe_source(entry, shows_keys=caller.is_admin) for entry in parts.workspace.sources]


@router.post("", status_code=201, summary="Make a source")
async def add_source(parts: Parts, caller: Admin, source: NewSource) -> SourceView:
    """It takes calls at once, with the write key of the answer."""
    return describe_source(await parts.workspace.add_source(source.name, caller.actor), shows_keys=True)


@router.get("/{name}", summary="One source")
async def read_source(parts: Parts, caller: Viewer, name: Name) -> SourceView:
    """Its write keys and destinations."""
    return describe_source(parts.workspace.find_source(name), shows_keys=caller.is_admin)


@router.patch("/{name}", summary="Enable or disable a source")
async def switch_source(parts: Parts, caller: Admin, name: Name, switch: Switch) -> SourceView:
    """Calls with the keys of a disabled source are refused like those with unknown keys."""
    await parts.workspace.set_source_enabled(name, caller.actor, is_enabled=switch.enabled)
    return describe_source(parts.workspace.find_source(name), shows_keys=True)


@router.delete("/{name}", status_code=204, summary="Remove a source")
async def remove_source(parts: Parts, caller: Admin, name: Name) -> None:
    """Its keys are refused from now on; events that wait are still delivered."""
    await parts.workspace.remove_source(name, caller.actor)


@router.post("/{name}/write-keys", status_code=201, summary="Add a write key")
async def add_write_key(parts: Parts, caller: Admin, name: Name) -> SourceView:
    """A second one, so that senders can move to it before the first is removed."""
    await parts.workspace.add_write_key(name, caller.actor)
    return describe_source(parts.workspace.find_source(name), shows_keys=True)


@router.delete("/{name}/write-keys/{key}", status_code=204, summary="Remove a write key")
async def remove_write_key(parts: Parts, caller: Admin, name: Name, key: Name) -> None:
    """Calls with it are refused from now on. The only key of a source stays."""
    await parts.workspace.remove_write_key(name, key, caller.actor)


@router.put("/{name}/destinations/{destination}", status_code=204, summary="Connect a destination")
async def connect(parts: Parts, caller: Admin, name: Name, destination: Name) -> None:
    """It takes the source's calls from now on."""
    await parts.workspace.connect(name, destination, caller.actor)


@router.delete("/{name}/destinations/{destination}", status_code=204, summary="Disconnect a destination")
async def disconnect(parts: Parts, caller: Admin, name: Name, destination: Name) -> None:
    """It takes no more of the source's calls; events that wait are still delivered."""
    await parts.workspace.disconnect(name, destination, caller.actor)
