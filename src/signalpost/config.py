"""signalpost.toml and SIGNALPOST_* become one frozen Config. The only reader of the environment and of secret files.

Environment beats file. Every secret also has a `<key>_file` form. A wrong value is one sentence: which key, why, what
would be right; never the secret itself.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from signalpost.catalog import WRITE_KEY_SHAPE, Source
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import ApiVersion, Destination
from signalpost.model.errors import ConfigError
from signalpost.model.ids import DestinationId, SourceId, WriteKey

DEFAULT_FILE = Path("signalpost.toml")
ENVIRONMENT_PREFIX = "SIGNALPOST_"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Port = Annotated[int, Field(ge=0, le=65535)]


class ServerSection(_Section):
    """Addresses and files."""

    host: str = Field("0.0.0.0", description="Address of the tracking API.")  # noqa: S104 - SDKs call from elsewhere
    port: Port = Field(8080, description="Port of the tracking API; 0 takes a free one.")
    console_host: str = Field("127.0.0.1", description="Address of the control API, health and metrics.")
    console_port: Port = Field(8081, description="Port of the control API, health and metrics; 0 takes a free one.")
    data_dir: Path = Field(Path("signalpost-data"), description="Folder of the queue; made with mode 0700.")


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


class LimitsSection(_Section):
    """What one request to the tracking API may hold; bytes count after decompression."""

    max_call_bytes: int = Field(32 << 10, gt=0, description="JSON bytes of one call.")
    max_single_body_bytes: int = Field(500 << 10, gt=0, description="Body of /v1/track and the other single calls.")
    max_batch_body_bytes: int = Field(4 << 20, gt=0, description="Body of /v1/batch and /v1/import.")
    max_batch_calls: int = Field(2_500, gt=0, description="Calls in one batch.")


class DeliverySection(_Section):
    """How each destination is served."""

    max_batch_events: int = Field(500, ge=1, le=1000, description="Events in one request; Meta takes at most 1,000.")
    max_batch_bytes: int = Field(1 << 20, ge=1 << 10, description="JSON bytes of the events in one request.")
    batches_in_flight: int = Field(2, ge=1, le=16, description="Requests under way at once for one destination.")
    linger_seconds: float = Field(1.0, ge=0, le=60, description="How long to wait for a batch to fill up.")


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


class SourceSection(_Section):
    """One source: a name, its write keys, and the names of its destinations."""

    name: str = Field(min_length=1)
    write_keys: Annotated[tuple[WriteKeyText, ...], AfterValidator(_check_any)] = Field(repr=False)
    destinations: tuple[str, ...] = ()


class Config(_Section):
    """Everything that is configured. `destinations` are checked apart, each against the settings of its type."""

    server: ServerSection = ServerSection()
    meta: MetaSection = MetaSection()
    limits: LimitsSection = LimitsSection()
    delivery: DeliverySection = DeliverySection()
    log: LogSection = LogSection()
    sources: tuple[SourceSection, ...] = ()
    # Holds tokens as they stand in the file, also under a mistyped key: never shown, never dumped.
    destinations: tuple[dict[str, Any], ...] = Field((), repr=False, exclude=True)


def read_config(file: Path | None = None) -> Config:
    """Read the file (default: signalpost.toml when it is there) and the environment. Raises ConfigError."""
    given = _read_file(file)
    variables = _read_environment()
    for (section, key), variable in variables.items():
        below = given.setdefault(section, {})
        if isinstance(below, dict):  # else the file is wrong, and is told so
            below[key] = variable.value
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe_each(error, str(file or DEFAULT_FILE), Config, variables))) from None


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
                hint = _suggest(name, by_name) if by_name else "; none is configured"
                raise ConfigError(f'sources[{index}].destinations: there is no destination named "{name}"{hint}')
        sources.append(
            Source(
                id=SourceId(section.name),
                name=section.name,
                write_keys=tuple(WriteKey(key) for key in section.write_keys),
                destinations=tuple(by_name[name] for name in section.destinations),
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
        hint = _suggest(str(slug), DESTINATION_TYPES, show_all=False)
        raise ConfigError(f"{where}.type: must be one of {', '.join(DESTINATION_TYPES)}{hint}")
    settings = _read_secret_files(settings, destination_type.settings.model_fields, where, folder)
    checked = check_settings(destination_type.settings, settings, where)
    return Destination(DestinationId(name), name, destination_type, checked, is_enabled)


def check_settings(settings_type: type[BaseModel], given: Mapping[str, Any], where: str) -> Any:
    """Check the settings of one destination; raises ConfigError naming the key under `where`."""
    try:
        return settings_type.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError("\n".join(_describe_each(error, where, settings_type))) from None


def _read_secret_files(
    settings: Mapping[str, Any], known: Mapping[str, object], where: str, folder: Path
) -> dict[str, Any]:
    """`access_token_file = "token.txt"` stands for `access_token` = what that file holds, without the line break."""
    read: dict[str, Any] = {}
    for key, value in settings.items():
        secret_key = key.removesuffix("_file")
        if secret_key == key or secret_key not in known:
            read[key] = value
        elif secret_key in settings:
            raise ConfigError(f"{where}: {secret_key} and {key} are both given; keep one")
        elif not isinstance(value, str):
            raise ConfigError(f"{where}: {key}: must be the name of a file, in quotes")
        else:
            read[secret_key] = _read_secret_file(folder / value, f"{where}: {key}")
    return read


def _read_secret_file(file: Path, where: str) -> str:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot read {file}: {_tell(error)}") from None
    if not secret:
        raise ConfigError(f"{where}: {file} is empty; it must hold the value")
    return secret


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(
            f"{path}: there is no such file; write one (docs/configuration.md shows how) or try `signalpost demo`"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: this is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {_tell(error)}") from None


def _tell(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not UTF-8 text"


class _Variable(NamedTuple):
    name: str
    value: str


def _read_environment() -> dict[tuple[str, str], _Variable]:
    """Section and key -> what SIGNALPOST_<SECTION>__<KEY> says, or the file that its _FILE form names.

    A mistyped variable would be ignored in silence, so an unknown one is an error. Without the double underscore it is
    somebody else's: Kubernetes sets SIGNALPOST_PORT for a service of that name.
    """
    known = {f"{ENVIRONMENT_PREFIX}{section}__{key}".upper(): (section, key) for section, key in _find_settings()}
    found: dict[tuple[str, str], _Variable] = {}
    for name, value in os.environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        setting = known.get(name) or known.get(name.removesuffix("_FILE"))
        if setting is None:
            raise ConfigError(f"{name}: there is no such setting{_suggest(name, known, show_all=False)}")
        if setting in found:
            raise ConfigError(f"{found[setting].name} and {name} are both given; keep one")
        found[setting] = _Variable(name, value if name in known else _read_secret_file(Path(value), name))
    return found


def _find_settings() -> Iterator[tuple[str, str]]:
    for section, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from ((section, key) for key in field.annotation.model_fields)


def _check_unique(where: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            shown = "a write key" if where.endswith("write_keys") else f'"{name}"'
            raise ConfigError(f"{where}: {shown} is used twice; each must be unique")
        seen.add(name)


def _describe_each(
    error: ValidationError,
    where: str,
    model: type[BaseModel],
    variables: Mapping[tuple[str, str], _Variable] = MappingProxyType({}),
) -> Iterator[str]:
    """A sentence for each fault: where it stands (a variable beats the file), which key, what would be right."""
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = fault["loc"]
        variable = variables.get((str(place[0]), str(place[-1])))
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
        yield f"{variable.name if variable else f'{where}: {path}'}: {_describe_fault(fault, model)}"


def _describe_fault(fault: ErrorDetails, model: type[BaseModel]) -> str:
    match fault["type"]:
        case "extra_forbidden":
            return f"there is no such setting{_suggest(str(fault['loc'][-1]), _find_siblings(fault['loc'], model))}"
        case "missing":
            return "is required"
        case "string_type":
            return "must be text, in quotes"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a table of settings"
        case "tuple_type":
            return "must be a list"
        case _:
            message = fault["msg"].replace("Input should be", "must be")
            return f"{message[0].lower()}{message[1:]}"


def _find_siblings(location: tuple[int | str, ...], model: type[BaseModel]) -> Mapping[str, object]:
    fields = model.model_fields
    for part in location[:-1]:
        annotation = getattr(fields.get(str(part)), "annotation", None)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = annotation.model_fields
        elif part == "sources":
            fields = SourceSection.model_fields
    return fields


def _suggest(name: str, known: Mapping[str, object], *, show_all: bool = True) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}" if show_all else ""
