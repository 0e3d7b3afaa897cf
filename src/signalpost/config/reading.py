"""The only reader of the configuration file and of the environment, which beats the file. Raises ConfigError."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from signalpost.config.faults import Variable, describe_faults, suggest
from signalpost.config.secret_files import read_secret_file, read_secret_files, tell
from signalpost.config.sections import Config, MetaSection
from signalpost.model.errors import ConfigError
from signalpost.vault import parse_master_key

DEFAULT_FILE = Path("signalpost.toml")
ENVIRONMENT_PREFIX = "SIGNALPOST_"
_MASTER_KEY_NAME = "SIGNALPOST_MASTER_KEY"


def read_config(file: Path | None = None) -> Config:
    """Read the file (default: signalpost.toml when it is there) and the environment. Raises ConfigError."""
    given = _read_file(file)
    if "master_key" in given:
        raise ConfigError(f"{file or DEFAULT_FILE}: master_key: belongs in the environment, as {_MASTER_KEY_NAME}_FILE")
    given["master_key"] = _read_master_key()
    variables = _read_environment()
    for (section, key), variable in variables.items():
        below = given.setdefault(section, {})
        if isinstance(below, dict):  # else the file is wrong, and is told so
            below[key] = variable.value
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(describe_faults(error, str(file or DEFAULT_FILE), Config, variables))) from None


def find_secret_files(config: Config, file: Path | None) -> list[Path]:
    """Every file that may hold a secret: those that destinations and the environment name, and the configuration."""
    folder = file.parent if file else Path()
    found = [
        folder / value
        for row in config.destinations
        for key, value in row.items()
        if key.endswith("_file") and isinstance(value, str)
    ]
    named = {name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT_PREFIX)}
    found += [Path(value) for name, value in sorted(named.items()) if name.endswith("_FILE")]
    if any("access_token" in row for row in config.destinations):
        found.append(file or DEFAULT_FILE)
    return list(dict.fromkeys(found))


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or DEFAULT_FILE
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(
            f"{path}: there is no such file; write one (docs/configuration.md shows how) or try `signalpost demo`"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: this is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {tell(error)}") from None
    if isinstance(given.get("meta"), dict):
        given["meta"] = read_secret_files(given["meta"], MetaSection.model_fields, f"{path}: meta", path.parent)
    return given


def _read_environment() -> dict[tuple[str, str], Variable]:
    """Section and key -> what SIGNALPOST_<SECTION>__<KEY> says, or the file that its _FILE form names.

    A mistyped variable would be ignored in silence, so an unknown one is an error. Without the double underscore it is
    somebody else's: Kubernetes sets SIGNALPOST_PORT for a service of that name.
    """
    known = {f"{ENVIRONMENT_PREFIX}{section}__{key}".upper(): (section, key) for section, key in _find_settings()}
    found: dict[tuple[str, str], Variable] = {}
    for name, value in os.environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        setting = known.get(name) or known.get(name.removesuffix("_FILE"))
        if setting is None:
            raise ConfigError(f"{name}: there is no such setting{suggest(name, known, show_all=False)}")
        if setting in found:
            raise ConfigError(f"{found[setting].name} and {name} are both given; keep one")
        found[setting] = Variable(name, value if name in known else read_secret_file(Path(value), name))
    return found


def _read_master_key() -> str | None:
    key, file = os.environ.get(_MASTER_KEY_NAME), os.environ.get(f"{_MASTER_KEY_NAME}_FILE")
    if key is not None and file is not None:
        raise ConfigError(f"{_MASTER_KEY_NAME} and {_MASTER_KEY_NAME}_FILE are both given; keep one")
    key = read_secret_file(Path(file), f"{_MASTER_KEY_NAME}_FILE") if file is not None else key
    if key is None:
        return None
    try:
        parse_master_key(key)
    except ValueError as error:
        raise ConfigError(f"{_MASTER_KEY_NAME}: {error}") from None
    return key


def _find_settings() -> Iterator[tuple[str, str]]:
    for section, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from ((section, key) for key in field.annotation.model_fields)
