"""One entry of Meta's `data[]`. The order of the fields is the order on the wire; what is None is not sent.

`to_json()` gives the very bytes that are queued and later sent; nothing re-encodes them on the way.
"""

from collections.abc import Mapping
from itertools import compress

import msgspec

HashedValues = str | list[str]
"""One SHA-256 (64 lower-case hex digits), or several for a match key with several values."""


class UserData(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Meta's customer information parameters. Hashed: em to external_id. Sent as they are: the rest. None is empty."""

    em: HashedValues | None = None
    ph: HashedValues | None = None
    fn: HashedValues | None = None
    ln: HashedValues | None = None
    ge: HashedValues | None = None
    db: HashedValues | None = None
    ct: HashedValues | None = None
    st: HashedValues | None = None
    zp: HashedValues | None = None
    country: HashedValues | None = None
    external_id: HashedValues | None = None
    client_ip_address: str | None = None
    client_user_agent: str | None = None
    fbc: str | None = None
    fbp: str | None = None
    lead_id: str | None = None

    def find_present(self) -> tuple[str, ...]:
        """The names of the match keys that are there."""
        return tuple(compress(self.__struct_fields__, msgspec.structs.astuple(self)))


class ServerEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A conversion as Meta takes it. `event_time` is in whole seconds since 1970."""

    event_name: str
    event_time: int
    event_id: str
    action_source: str
    event_source_url: str | None = None
    user_data: UserData = UserData()
    custom_data: Mapping[str, object] | None = None
    data_processing_options: list[str] | None = None
    data_processing_options_country: int | None = None
    data_processing_options_state: int | None = None

    def to_json(self) -> bytes:
        """The compact JSON bytes of this event, in wire order."""
        return _encoder.encode(self)


_encoder = msgspec.json.Encoder()
