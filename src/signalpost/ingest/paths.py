"""Every path of the tracking port, as data: the routes, the OpenAPI document and the docs come from this table.

Segment's paths first, then those of RudderStack's and Jitsu's SDKs. Source: tracking API, section 1.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from signalpost.model.segment_event import CallType

Kind = Literal["call", "batch", "sdk_metrics", "pixel", "settings", "source_config", "health", "readiness"]

_POST: Final = ("POST", "OPTIONS")
_GET: Final = ("GET", "HEAD", "OPTIONS")
_PROBE: Final = ("GET", "HEAD")

SETTINGS_PATH: Final = "/v1/projects/{write_key}/settings"
_SETTINGS_SHAPE: Final = re.compile(r"/v1/projects/([^/]+)/settings/?")


@dataclass(frozen=True, slots=True)
class TrackingPath:
    """One path. call_type: what it implies; None when each call names its own.

    from_browser: only pages in a browser use it, so that the connection's address is a person's.
    """

    template: str
    kind: Kind
    methods: Sequence[str]
    summary: str
    call_type: CallType | None = None
    from_browser: bool = False


def _build_calls(prefix: str, whose: str, names: Mapping[str, CallType]) -> Iterator[TrackingPath]:
    for name, call_type in names.items():
        yield TrackingPath(f"{prefix}{name}", "call", _POST, f"One {call_type} call{whose}", call_type)


def _build_pixels(prefix: str, whose: str, call_types: Sequence[CallType]) -> Iterator[TrackingPath]:
    for call_type in call_types:
        summary = f"One {call_type} call in an image's address{whose}"
        yield TrackingPath(f"{prefix}{call_type}", "pixel", _GET, summary, call_type, from_browser=True)


_LONG_NAMES: Final[Mapping[str, CallType]] = {
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
}
_SHORT_NAMES: Final[Mapping[str, CallType]] = {name[0]: call_type for name, call_type in _LONG_NAMES.items()}

PATHS: Final[Sequence[TrackingPath]] = (
    *_build_calls("/v1/", "", _LONG_NAMES),
    *_build_calls("/v1/", ", under its short name", _SHORT_NAMES),
    TrackingPath("/v1/batch", "batch", _POST, "Many calls"),
    TrackingPath("/v1/b", "batch", _POST, "Many calls, under its short name"),
    TrackingPath("/v1/import", "batch", _POST, "Many calls: what Java's and Ruby's SDKs use"),
    TrackingPath("/v1/m", "sdk_metrics", _POST, "An SDK's metrics about itself: read and thrown away"),
    *_build_pixels("/v1/pixel/", "", tuple(_LONG_NAMES.values())),
    TrackingPath(SETTINGS_PATH, "settings", _GET, "What browser and mobile SDKs ask before they send"),
    TrackingPath("/sourceConfig", "source_config", _GET, "What RudderStack's browser SDK asks before it sends"),
    TrackingPath("/beacon/v1/batch", "batch", _POST, "Many calls: RudderStack's beacon", from_browser=True),
    *_build_pixels("/pixel/v1/", ": RudderStack's pixel", ("track", "page")),
    *_build_calls("/api/s/", ": Jitsu's browser SDK", _LONG_NAMES),
    *_build_calls("/api/s/s2s/", ": Jitsu's server SDK", _LONG_NAMES),
    TrackingPath("/api/s/batch", "batch", _POST, "Many calls: Jitsu's browser SDK"),
    TrackingPath("/api/s/s2s/batch", "batch", _POST, "Many calls: Jitsu's server SDK"),
    TrackingPath("/healthz", "health", _PROBE, "The event loop answers"),
    TrackingPath("/health", "health", _PROBE, "The event loop answers"),
    TrackingPath("/readyz", "readiness", _PROBE, "Whether calls are taken"),
)

_BY_TEMPLATE: Final = {path.template: path for path in PATHS}
_PROBES: Final = frozenset({"health", "readiness"})
# Each with and without one trailing slash, neither a redirect: SDKs lose their data on one.
_BY_PATH: Final = {
    **_BY_TEMPLATE,
    **{f"{path.template}/": path for path in PATHS if path.kind not in _PROBES},
}


def find_path(path: str) -> TrackingPath | None:
    """The row of a decoded request path, or None."""
    known = _BY_PATH.get(path)
    if known is None and _SETTINGS_SHAPE.fullmatch(path):
        return _BY_TEMPLATE[SETTINGS_PATH]
    return known


def read_settings_key(path: str) -> str:
    """The write key in the path of a request for settings."""
    found = _SETTINGS_SHAPE.fullmatch(path)
    return found[1] if found else ""
