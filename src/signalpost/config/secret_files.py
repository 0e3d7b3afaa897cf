"""Secrets that stand in files of their own: every secret setting also has a `<key>_file` form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signalpost.model.errors import ConfigError


def read_secret_files(
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
            read[secret_key] = read_secret_file(folder / value, f"{where}: {key}")
    return read


def read_secret_file(file: Path, where: str) -> str:
    """What the file holds, without the line break. Raises ConfigError that begins with `where`."""
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot read {file}: {tell(error)}") from None
    if not secret:
        raise ConfigError(f"{where}: {file} is empty; it must hold the value")
    return secret


def tell(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read, in a few words."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not UTF-8 text"
