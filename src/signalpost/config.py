"""signalpost.toml and SIGNALPOST_* become one frozen Config. The only reader of the environment and of secret files.

Environment beats file. Every secret also has a `<key>_file` form. A wrong value is one sentence: which key, why, what
would be right; never the secret itself.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from signalpost.catalog import WRITE_KEY_SHAPE, Source
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import ApiVersion, Destination
from signalpost.model.errors import ConfigError
from signalpost.model.ids import DestinationId, SourceId, WriteKey

DEFAULT_FILE = Path("signalpost.toml")
ENVIRONMENT_PREFIX = "SIGNALPOST_"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


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
    if url.startswith("https://"):
        return url
    rest = url.removeprefix("http://")
    if rest != url and rest.split("/")[0].rsplit(":", 1)[0] in _LOOPBACK_NAMES:
        return url
    raise PydanticCustomError(
        "base_url", "must begin with https:// (http:// only for this machine: localhost, 127.0.0.1)"
    )


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


class SourceSection(_Section):
    """One source: a name, its write keys, and the names of its destinations."""

    name: str = Field(min_length=1)
    write_keys: tuple[Annotated[str, AfterValidator(_check_write_key)], ...] = Field(min_length=1)
    destinations: tuple[str, ...] = ()


class Config(BaseSettings):
    """Everything that is configured. `destinations` are checked apart, each against the settings of its type."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__"
    )

    server: ServerSection = ServerSection()
    meta: MetaSection = MetaSection()
    limits: LimitsSection = LimitsSection()
    delivery: DeliverySection = DeliverySection()
    log: LogSection = LogSection()
    sources: tuple[SourceSection, ...] = ()
    destinations: tuple[dict[str, Any], ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework passes it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework passes it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then files that it names; what signalpost.toml says is given as initial values."""
        return env_settings, _FilesNamedByEnvironment(settings_cls), init_settings


class _FilesNamedByEnvironment(PydanticBaseSettingsSource):
    """`SIGNALPOST_META__BASE_URL_FILE=/run/url` stands for `SIGNALPOST_META__BASE_URL` = what that file holds."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, dict[str, str]] = {}
        for variable in _find_known_variables():
            file = os.environ.get(f"{variable}_FILE")
            if file is not None:
                section, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
                found.setdefault(section, {})[key] = _read_secret_file(Path(file), f"{variable}_FILE")
        return found


def read_config(file: Path | None = None) -> Config:
    """Read the file (default: signalpost.toml when it is there) and the environment. Raises ConfigError."""
    from_file = _read_file(file)
    _check_environment_names()
    where = str(file or DEFAULT_FILE)
    try:
        return Config(**from_file)
    except ValidationError as error:
        raise ConfigError(_describe(error, where)) from None


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
                known = ", ".join(by_name) or "none is configured"
                hint = f"{_suggest(name, by_name)} (known: {known})"
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
        msg = f"{where}.name: must be a text that names the destination"
        raise ConfigError(msg)
    if not isinstance(is_enabled, bool):
        msg = f"{where}.enabled: must be true or false"
        raise ConfigError(msg)
    destination_type = DESTINATION_TYPES.get(str(slug))
    if destination_type is None:
        msg = f"{where}.type: must be one of {', '.join(DESTINATION_TYPES)}{_suggest(str(slug), DESTINATION_TYPES)}"
        raise ConfigError(msg)
    checked = check_settings(destination_type.settings, _read_secret_files(settings, where, folder), where)
    return Destination(DestinationId(name), name, destination_type, checked, is_enabled)


def check_settings(settings_type: type[BaseModel], given: Mapping[str, Any], where: str) -> Any:
    """Check the settings of one destination; raises ConfigError naming the key under `where`."""
    try:
        return settings_type.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError(_describe(error, where, settings_type.model_fields)) from None


def _read_secret_files(settings: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """`access_token_file = "token.txt"` stands for `access_token` = what that file holds, without the line break."""
    read: dict[str, Any] = {}
    for key, value in settings.items():
        secret_key = key.removesuffix("_file")
        if secret_key == key or not isinstance(value, str):
            read[key] = value
            continue
        read[secret_key] = _read_secret_file(folder / value, f"{where}.{key}")
    return read


def _read_secret_file(file: Path, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        msg = f"{where}: cannot read {file}: {reason}"
        raise ConfigError(msg) from None


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        msg = f"{path}: there is no such file; write one (docs/configuration.md shows how) or try `signalpost demo`"
        raise ConfigError(msg) from None
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: this is not valid TOML: {error}"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        msg = f"{path}: cannot be read: {reason}"
        raise ConfigError(msg) from None


def _find_known_variables() -> dict[str, None]:
    return {
        f"{ENVIRONMENT_PREFIX}{section}__{key}".upper(): None
        for section, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    }


def _check_environment_names() -> None:
    """A mistyped variable would be ignored in silence, so an unknown one is an error."""
    known = _find_known_variables()
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name and name.removesuffix("_FILE") not in known:
            msg = f"{name}: there is no such setting{_suggest(name, known)}"
            raise ConfigError(msg)


def _check_unique(where: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            shown = "a write key" if where.endswith("write_keys") else f'"{name}"'
            msg = f"{where}: {shown} is used twice; each must be unique"
            raise ConfigError(msg)
        seen.add(name)


def _describe(error: ValidationError, where: str, known: Mapping[str, object] = Config.model_fields) -> str:
    return "\n".join(_describe_each(error, where, known))


def _describe_each(error: ValidationError, where: str, known: Mapping[str, object]) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).removeprefix(".")
        if fault["type"] == "extra_forbidden":
            siblings = _find_siblings(fault["loc"], known)
            yield f"{where}: {path}: there is no such setting{_suggest(str(fault['loc'][-1]), siblings)}"
        else:
            message = fault["msg"].replace("Input should be", "must be")
            yield f"{where}: {path}: {message[0].lower()}{message[1:]}"


def _find_siblings(location: tuple[int | str, ...], known: Mapping[str, object]) -> Mapping[str, object]:
    fields = known
    for part in location[:-1]:
        annotation = getattr(fields.get(str(part)), "annotation", None)
        if isinstance(part, str) and isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = annotation.model_fields
        elif part == "sources":
            fields = SourceSection.model_fields
    return fields


def _suggest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
