"""Destinations: where conversions go, with the settings of their type. Secrets go in and never come out."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from signalpost.connection_check import check_connection
from signalpost.console.access import Admin, Caller, ConfirmedAdmin, Viewer
from signalpost.console.api.sources import Switch
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.refusals import Refusal
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.model.check import Verdict
from signalpost.workspace.entries import DestinationEntry, Origin
from signalpost.workspace.settings import build_secret_settings, find_secret_settings

router = APIRouter(prefix="/api/destinations", tags=["destinations"])

Name = Annotated[str, Path(max_length=200)]


class Connected(BaseModel):
    """Whose permission at Facebook the token comes from. `warning`: what to do when it ends soon, or has ended."""

    by: str
    at: datetime
    expires_at: datetime | None
    warning: str | None


class DestinationView(BaseModel):
    """One destination. `secrets` tells which secret settings are given, never what they are."""

    name: str
    type: str
    origin: Origin
    enabled: bool
    settings: dict[str, Any]
    secrets: dict[str, bool]
    connected: Connected | None
    sources: list[str]


class NewDestination(BaseModel):
    """What a destination is made of. `settings`: the keys of its type, as in signalpost.toml."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    type: str = Field(max_length=100, description=f"One of {', '.join(DESTINATION_TYPES)}.")
    settings: dict[str, Any] = {}


class ChangedSettings(BaseModel):
    """The settings to change; those that are not named stay. A secret that is null is removed."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]


class CheckView(BaseModel):
    """What was found of one dataset, or of the whole destination. `fix`: what to do, empty when it is well."""

    name: str
    verdict: Verdict
    detail: str
    fix: str


def describe_destination(entry: DestinationEntry, now: datetime) -> DestinationView:
    """The destination as JSON, with every setting but the secret ones."""
    secrets = find_secret_settings(type(entry.settings))
    given = build_secret_settings(entry.settings)
    token = entry.connected
    connected = None
    if token is not None:
        connected = Connected(
            by=token.connected_by,
            at=token.connected_at,
            expires_at=token.expires_at,
            warning=token.find_warning(now),
        )
    return DestinationView(
        name=entry.name,
        type=entry.type.slug,
        origin=entry.origin,
        enabled=entry.is_enabled,
        settings=entry.settings.model_dump(mode="json", exclude=set(secrets)),
        secrets={name: name in given for name in secrets},
        connected=connected,
        sources=list(entry.sources),
    )


@router.get("", summary="All destinations")
async def list_destinations(parts: Parts, _: Viewer) -> list[DestinationView]:
    """Those of the configuration file first, then those made here."""
    return [describe_destination(entry, parts.now()) for entry in parts.workspace.destinations]


@router.post("", status_code=201, summary="Make a destination")
async def add_destination(parts: Parts, caller: ConfirmedAdmin, destination: NewDestination) -> DestinationView:
    """It takes no calls until a source is connected to it."""
    workspace = parts.workspace
    entry = await workspace.add_destination(destination.name, destination.type, destination.settings, caller.actor)
    return describe_destination(entry, parts.now())


@router.get("/{name}", summary="One destination")
async def read_destination(parts: Parts, _: Viewer, name: Name) -> DestinationView:
    """Its settings, and the sources whose calls it takes."""
    return describe_destination(parts.workspace.find_destination(name), parts.now())


@router.patch("/{name}/settings", summary="Change settings")
async def change_settings(parts: Parts, caller: Admin, name: Name, changed: ChangedSettings) -> DestinationView:
    """In force for the next call. Changing a secret needs a password given within the last ten minutes, or a token."""
    check_secrets_may_change(parts, caller, name, changed.settings)
    return describe_destination(
        await parts.workspace.change_settings(name, changed.settings, caller.actor), parts.now()
    )


@router.patch("/{name}", summary="Enable or disable a destination")
async def switch_destination(parts: Parts, caller: Admin, name: Name, switch: Switch) -> DestinationView:
    """Calls for a disabled one are filtered (DESTINATION_DISABLED); events that wait are still delivered."""
    await parts.workspace.set_destination_enabled(name, caller.actor, is_enabled=switch.enabled)
    return describe_destination(parts.workspace.find_destination(name), parts.now())


@router.post("/{name}/check", summary="Ask Meta whether it would take the events")
async def read_connection(parts: Parts, _: Admin, name: Name) -> list[CheckView]:
    """One row per dataset. Meta is asked with a request without events, and records nothing."""
    entry = parts.workspace.find_destination(name)
    checks, _meta_time = await check_connection(entry.destination, parts.catalog, parts.probe)
    return [CheckView(**msgspec.structs.asdict(check)) for check in checks]


@router.delete("/{name}", status_code=204, summary="Remove a destination")
async def remove_destination(parts: Parts, caller: ConfirmedAdmin, name: Name) -> None:
    """Refused while events wait for it."""
    await parts.workspace.remove_destination(name, caller.actor)


def check_secrets_may_change(parts: ConsoleParts, caller: Caller, name: str, changes: dict[str, Any]) -> None:
    """Raise Refusal when a secret setting is among the changes and the password was given too long ago."""
    secrets = find_secret_settings(type(parts.workspace.find_destination(name).settings))
    is_secret = not changes.keys().isdisjoint(secrets)
    if is_secret and caller.session is not None and not parts.access.is_fresh(caller.session):
        raise Refusal(403, "password_needed", "Give your password again to change a token.")
