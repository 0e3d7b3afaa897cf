"""Sources and destinations as people see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from signalpost.mapping.destinations.destination_type import Destination, DestinationSettings, DestinationType
from signalpost.model.ids import WriteKey
from signalpost.store.connected_tokens import ConnectedToken

Origin = Literal["file", "console"]

_WARN_BEFORE_EXPIRY: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source as people see it. `keys`: each with the time it was made; None for the file's."""

    name: str
    origin: Origin
    is_enabled: bool
    keys: Sequence[tuple[WriteKey, datetime | None]]
    destinations: Sequence[str]


@dataclass(frozen=True, slots=True)
class DestinationEntry:
    """A destination as people see it. `sources`: the names of those whose calls it takes.

    connected: where its token comes from when somebody connected it with Facebook.
    """

    name: str
    origin: Origin
    destination: Destination
    sources: Sequence[str]
    connected: ConnectedToken | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether calls are mapped for it."""
        return self.destination.is_enabled

    @property
    def type(self) -> DestinationType[Any]:
        """Its destination type."""
        return self.destination.type

    @property
    def settings(self) -> DestinationSettings:
        """Its checked settings, with the secret ones masked by their type."""
        return self.destination.settings
