"""A call in the address of an image: base64 JSON in `data`, or plain dotted keys.

Source: Segment, "Pixel Tracking API".
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec

from signalpost.ingest.decode import MAX_DEPTH, RequestFault

_URL_SAFE: Final = str.maketrans("-_ ", "+/+")


def read_pixel_call(query: Mapping[str, str]) -> bytes | RequestFault:
    """The JSON of the call. `data` beats plain keys: either alphabet, padding optional, spaces read as plus signs."""
    data = query.get("data")
    if data is None:
        return msgspec.json.encode(_nest(query))
    text = data.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return RequestFault("invalid_encoding", "data must be base64 of a JSON object")


def _nest(query: Mapping[str, str]) -> dict[str, object]:
    """`properties.revenue=12.5` becomes {"properties": {"revenue": "12.5"}}; of two that conflict the later wins.

    A path that goes deeper than a call may is followed until it is too deep, and no further.
    """
    call: dict[str, object] = {}
    for path, value in query.items():
        *parents, name = path.split(".", MAX_DEPTH)
        level = call
        for parent in parents:
            below = level.get(parent)
            if not isinstance(below, dict):
                below = level[parent] = {}
            level = below
        level[name] = value
    return call
