"""What of a call may be shown: its shape, names and numbers; not who the person is.

Within `traits` every value is masked. Elsewhere a value is masked for its name (`email`, `userId`, `ip`...), and in
every other text what looks like an e-mail address, a phone number, a token or a key.
"""

from collections.abc import Mapping
from typing import Final

from signalpost.redaction import MASK, mask_text

_SEPARATORS: Final = str.maketrans("", "", "_- ")

_PERSONAL_NAMES: Final = frozenset(
    {
        *("email", "em", "phone", "ph", "mobile", "firstname", "fn", "lastname", "ln", "fullname", "username"),
        *("birthday", "dateofbirth", "dob", "db", "gender", "ge"),
        *("address", "street", "city", "postalcode", "zip", "zipcode", "latitude", "longitude"),
        *("userid", "anonymousid", "previousid", "externalid", "leadid", "advertisingid", "idfa", "idfv", "gaid"),
        *("ip", "ipaddress", "clientipaddress", "fbp", "fbc", "fbclid", "clientids"),
        *("writekey", "authorization", "cookie", "token", "accesstoken", "password", "secret"),
    }
)
_TRAITS: Final = "traits"


def mask_call(call: object) -> object:
    """Return a decoded call, or a server event, with everything personal replaced by ***. Numbers and flags stay."""
    if isinstance(call, Mapping):
        return mask_object(call)
    if isinstance(call, list):
        return [mask_call(value) for value in call]
    return mask_text(call) if isinstance(call, str) else call


def mask_object(value: Mapping[str, object]) -> dict[str, object]:
    """The same for what is known to be an object."""
    return {mask_text(name): _mask_named(name, below) for name, below in value.items()}


def _mask_named(name: str, value: object) -> object:
    plain = name.translate(_SEPARATORS).lower()
    if plain == _TRAITS or plain in _PERSONAL_NAMES:
        return _mask_every_value(value)
    return mask_call(value)


def _mask_every_value(value: object) -> object:
    if isinstance(value, Mapping):
        return {mask_text(name): _mask_every_value(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_mask_every_value(below) for below in value]
    return value if value is None or isinstance(value, bool) else MASK
