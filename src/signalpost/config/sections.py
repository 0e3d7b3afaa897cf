"""What can be configured: a frozen section for each table of signalpost.toml, each key with its description.

A part of the gateway gets plain values from here; the sections know nothing of the parts.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from signalpost.catalog import WRITE_KEY_SHAPE, SourceKind
from signalpost.mapping.destinations.destination_type import ApiVersion

_ORIGIN_SHAPE = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|[a-z][a-z0-9+.-]*://[a-z0-9.-]+")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Port = Annotated[int, Field(ge=0, le=65535)]


def _check_public_url(url: str) -> str:
    if url and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+/?", url):
        raise PydanticCustomError("public_url", 'must be a scheme and a host, such as "https://events.example.com"')
    return url.rstrip("/")


def _split_list(given: object) -> object:
    """In the environment a list is written with commas."""
    return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise PydanticCustomError(
                "network",
                'must be addresses or networks such as "10.0.0.0/8"; "{network}" is none',
                {"network": network},
            ) from None
    return networks


class ServerSection(_Section):
    """Addresses and files."""

    host: str = Field("0.0.0.0", description="Address of the tracking API.")  # noqa: S104 - SDKs call from elsewhere
    port: Port = Field(8080, description="Port of the tracking API; 0 takes a free one.")
    console_host: str = Field("127.0.0.1", description="Address of the control API, health and metrics.")
    console_port: Port = Field(8081, description="Port of the control API, health and metrics; 0 takes a free one.")
    data_dir: Path = Field(Path("signalpost-data"), description="Folder of the queue; made with mode 0700.")
    public_url: Annotated[str, AfterValidator(_check_public_url)] = Field(
        "", description="Address under which senders reach the tracking API; the console shows it in snippets."
    )
    console_public_url: Annotated[str, AfterValidator(_check_public_url)] = Field(
        "", description="Address under which browsers reach the console; other host names are refused."
    )
    console_allow_http: bool = Field(
        default=False, description="Let people sign in over plain HTTP from other machines. Passwords travel in clear."
    )
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_split_list), AfterValidator(_check_networks)] = Field(
        (), description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count."
    )


def _check_base_url(url: str) -> str:
    """Every token goes to this host, so what it names must be plain to see, and the way there encrypted."""
    try:
        parts = urlsplit(url)
        is_plain = bool(parts.hostname) and not (parts.username or parts.query or parts.fragment or "@" in parts.netloc)
        is_private = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK_NAMES)
    except ValueError:
        is_plain = is_private = False
    if not (is_plain and is_private):
        raise PydanticCustomError(
            "base_url", "must begin with https:// and a host (http:// only for this machine: localhost, 127.0.0.1)"
        )
    return url


class MetaSection(_Section):
    """Meta's Graph API."""

    base_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        "https://graph.facebook.com", description="The emulator's address in tests and demos."
    )
    api_version: ApiVersion = Field("v26.0", description="Version in the path of every request.")
    app_id: str = Field("", pattern="^[0-9]*$", description="Your Meta app, for Connect with Facebook.")
    app_secret: SecretStr | None = Field(None, description="Its secret; `app_secret_file` names a file that holds it.")
    dialog_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        "https://www.facebook.com", description="Where Facebook asks people; the emulator's address in tests."
    )

    @model_validator(mode="after")
    def _check_app(self) -> Self:
        if bool(self.app_id) != (self.app_secret is not None):
            raise PydanticCustomError("meta_app", "app_id and app_secret (or app_secret_file) go together; give both")
        return self


class LimitsSection(_Section):
    """What one request to the tracking API may hold; bytes count after decompression."""

    max_call_bytes: int = Field(32 << 10, gt=0, description="JSON bytes of one call.")
    max_single_body_bytes: int = Field(500 << 10, gt=0, description="Body of /v1/track and the other single calls.")
    max_batch_body_bytes: int = Field(4 << 20, gt=0, description="Body of /v1/batch and /v1/import.")
    max_batch_calls: int = Field(2_500, gt=0, description="Calls in one batch.")
    rate_limit: int = Field(
        1_000, ge=0, description="Requests a second of one source, twice as many in a burst; 0 is no limit."
    )
    bad_key_limit: int = Field(
        20, ge=0, description="Requests a minute without a valid write key from one address; 0 is no limit."
    )
    max_body_memory_bytes: int = Field(128 << 20, gt=0, description="Bytes of bodies in memory, of all requests.")
    head_seconds: float = Field(5, gt=0, description="Until the head of a request must be there.")
    body_seconds: float = Field(15, gt=0, description="For its body, and a second more for each 64 KiB received.")
    longest_body_seconds: float = Field(60, gt=0, description="The same at most, however much was received.")
    max_connections: int = Field(10_000, gt=0, description="Connections to the tracking API.")
    max_connections_per_address: int = Field(
        200, gt=0, description="Connections from one address; server.trusted_proxies may have any number."
    )


class DeliverySection(_Section):
    """How each destination is served."""

    max_batch_events: int = Field(500, ge=1, le=1000, description="Events in one request; Meta takes at most 1,000.")
    max_batch_bytes: int = Field(1 << 20, ge=1 << 10, description="JSON bytes of the events in one request.")
    batches_in_flight: int = Field(2, ge=1, le=4, description="Requests under way at once for one destination.")
    rate_limit: float = Field(0, ge=0, description="Events a second at most for one destination; 0 is no limit.")
    linger_seconds: float = Field(1.0, ge=0, le=60, description="How long to wait for a batch to fill up.")


class QueueSection(_Section):
    """How much may wait, and when the disk is too full to take more."""

    max_bytes: int = Field(0, ge=0, description="Payload bytes that may wait; 0 is 80 % of the disk.")
    max_source_share: float = Field(0.5, gt=0, le=1, description="The part of max_bytes that one source may fill.")
    low_disk_bytes: int = Field(256 << 20, ge=0, description="Free space below which calls are answered with 503.")
    low_disk_share: float = Field(
        0.05, ge=0, lt=1, description="The same as a part of the disk, 4 GiB at most; the larger counts."
    )
    ballast_bytes: int = Field(16 << 20, ge=0, description="Room that is set aside, to go on when the disk is full.")
    recovery_seconds: float = Field(10.0, ge=0, description="How long twice that space must be free to go on.")


class RetentionSection(_Section):
    """How long what has ended is kept. What waits is kept until Meta has taken or refused it."""

    dedupe_hours: int = Field(24, ge=24, le=168, description="How long a messageId is remembered.")
    delivered_payload_hours: int = Field(
        72, ge=0, description="How long the hashed payload of a delivered event is kept; 0 keeps none."
    )
    delivered_payload_bytes: int = Field(1 << 30, ge=0, description="Bytes of them; beyond it the oldest go.")
    delivered_days: int = Field(7, ge=1, description="How long the ids, times and trace id of an ended event are kept.")
    dead_letter_days: int = Field(30, ge=1, description="How long a dead letter is kept; its count stays.")
    ledger_days: int = Field(400, ge=8, description="How long the ledger keeps its hours; its sums stay.")


class LogSection(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    format: Literal["text", "json"] = Field("text", description="text for people, json for machines.")


def _check_write_key(key: str) -> str:
    if not WRITE_KEY_SHAPE.fullmatch(key):
        raise PydanticCustomError("write_key", "must be 16 to 64 letters, digits, - or _")
    return key


def _check_any(keys: tuple[str, ...]) -> tuple[str, ...]:
    if not keys:
        raise PydanticCustomError("write_keys", "must hold at least one write key")
    return keys


WriteKeyText = Annotated[str, AfterValidator(_check_write_key)]


def _check_origin(origin: str) -> str:
    if not _ORIGIN_SHAPE.fullmatch(origin):
        raise PydanticCustomError("origin", "must be an origin such as https://shop.example.com, without a path")
    return origin


Origin = Annotated[str, AfterValidator(_check_origin)]


class SourceSection(_Section):
    """One source: a name, its write keys, and the names of its destinations."""

    name: str = Field(min_length=1)
    write_keys: Annotated[tuple[WriteKeyText, ...], AfterValidator(_check_any)] = Field(repr=False)
    destinations: tuple[str, ...] = ()
    kind: SourceKind | None = Field(
        None, description="browser, mobile or server: whether a connection's address may be taken for a person's."
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (), description="Web pages that may send, such as https://shop.example.com; none named: all."
    )
    enabled: bool = Field(True, description="false: its keys are refused.")  # noqa: FBT003 - as pydantic takes it


class Config(_Section):
    """Everything that is configured. `destinations` are checked apart, each against the settings of its type."""

    server: ServerSection = ServerSection()
    meta: MetaSection = MetaSection()
    limits: LimitsSection = LimitsSection()
    delivery: DeliverySection = DeliverySection()
    queue: QueueSection = QueueSection()
    retention: RetentionSection = RetentionSection()
    log: LogSection = LogSection()
    sources: tuple[SourceSection, ...] = ()
    # From the environment alone (reading.py): beside what it opens, it would protect nothing.
    master_key: SecretStr | None = Field(None, exclude=True)
    # Holds tokens as they stand in the file, also under a mistyped key: never shown, never dumped.
    destinations: tuple[dict[str, Any], ...] = Field((), repr=False, exclude=True)
