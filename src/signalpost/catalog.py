"""The sources and destinations in force: who may send, where it goes, and with which token.

Built from the configuration file; replaced as a whole when that changes, so that a request sees one consistent state.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pydantic import SecretStr

from signalpost.mapping.destinations.destination_type import Destination
from signalpost.model.delivery import Target
from signalpost.model.ids import DatasetId, DestinationId, SourceId, WriteKey

WRITE_KEY_SHAPE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_NO_KEY = b"\0" * 32


SourceKind = Literal["browser", "mobile", "server"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where calls come from. `destinations` are those that take its calls, in the order of the configuration.

    kind: what sends them, where that is known; it decides whether a connection's address is a person's.
    allowed_origins: the web pages that may send; empty: any. It keeps mistakes out, not attackers.
    is_enabled: False: its keys are answered like unknown ones.
    """

    id: SourceId
    name: str
    write_keys: Sequence[WriteKey] = field(repr=False)
    destinations: Sequence[Destination] = ()
    kind: SourceKind | None = None
    allowed_origins: Sequence[str] = ()
    is_enabled: bool = True


class Catalog:
    """Finds sources by write key, and targets by destination, in what is in force now."""

    def __init__(
        self,
        sources: Iterable[Source],
        destinations: Iterable[Destination],
        api_version: str,
        app_secrets: Mapping[DestinationId, SecretStr] = MappingProxyType({}),
    ) -> None:
        self._changed = asyncio.Event()
        self.replace(sources, destinations, api_version, app_secrets)

    def replace(
        self,
        sources: Iterable[Source],
        destinations: Iterable[Destination],
        api_version: str,
        app_secrets: Mapping[DestinationId, SecretStr] = MappingProxyType({}),
    ) -> None:
        """Put other settings in force, at once and as a whole; whoever waits for a change is told.

        app_secrets: of the apps that gave the tokens of these destinations, unless their settings name one.
        """
        self.sources = tuple(sources)
        self._api_version = api_version
        self._app_secrets = app_secrets
        self._by_key_digest: Mapping[bytes, Source] = {
            _digest(key): source for source in self.sources if source.is_enabled for key in source.write_keys
        }
        self._destinations = {destination.id: destination for destination in destinations}
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def destinations(self) -> Sequence[Destination]:
        """Every configured destination, also those without a source."""
        return tuple(self._destinations.values())

    def find_source(self, write_key: str) -> Source | None:
        """The source that owns this key and is switched on, or None. A miss does the same work as a hit."""
        if not WRITE_KEY_SHAPE.fullmatch(write_key):
            return None
        digest = _digest(write_key)
        source = self._by_key_digest.get(digest)
        known = digest if source is not None else _NO_KEY
        return source if hmac.compare_digest(digest, known) else None

    def find_target(self, destination_id: DestinationId, dataset_id: DatasetId) -> Target | None:
        """Where to send this dataset's events now; None while the destination is unknown or has no token."""
        destination = self._destinations.get(destination_id)
        access_token = destination.settings.access_token if destination is not None else None
        if destination is None or access_token is None:
            return None
        settings = destination.settings
        return Target(
            dataset_id=dataset_id,
            access_token=access_token,
            api_version=settings.api_version or self._api_version,
            app_secret=settings.app_secret or self._app_secrets.get(destination_id),
            test_event_code=settings.request_fields.get("test_event_code"),
            upload_tag=settings.request_fields.get("upload_tag"),
        )

    def find_dataset(self, destination_id: DestinationId, event_name: str) -> DatasetId | None:
        """The one dataset that a destination's settings name now for Meta's name of an event, or None."""
        destination = self._destinations.get(destination_id)
        return destination.settings.find_dataset(event_name) if destination is not None else None

    async def wait_for_change(self) -> None:
        """Return when `replace()` is called next."""
        await self._changed.wait()


def _digest(write_key: str) -> bytes:
    return hashlib.sha256(write_key.encode()).digest()
