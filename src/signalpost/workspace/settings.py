"""The settings of a destination, taken apart: checked, plain, secret, and what a change changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr, ValidationError

from signalpost.mapping.destinations.destination_type import DestinationSettings
from signalpost.workspace.changes import ChangeRefused


def check_settings(settings_type: type[DestinationSettings], given: Mapping[str, Any]) -> DestinationSettings:
    """The settings as their type reads them. Raises ChangeRefused with one fault for each field."""
    try:
        return settings_type.model_validate(dict(given))
    except ValidationError as error:
        faults: dict[str, str] = {}
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(str(part) for part in fault["loc"])
            faults[place] = fault["msg"].replace("Input should be", "must be")
        raise ChangeRefused("invalid", "Some settings need another look.", faults) from None


def build_plain_settings(settings: DestinationSettings) -> dict[str, Any]:
    """What differs from the defaults, as JSON, without the secret settings."""
    return settings.model_dump(mode="json", exclude_defaults=True, exclude=set(find_secret_settings(type(settings))))


def build_secret_settings(settings: DestinationSettings) -> dict[str, SecretStr]:
    """The secret settings that are given."""
    given = {name: getattr(settings, name) for name in find_secret_settings(type(settings))}
    return {name: secret for name, secret in given.items() if secret is not None}


def find_secret_settings(settings_type: type[DestinationSettings]) -> Sequence[str]:
    """The names of the settings that are never shown again."""
    return [name for name, field in settings_type.model_fields.items() if "SecretStr" in str(field.annotation)]


def compare_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was and what is, for the keys that differ."""
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {key: old.get(key) for key in changed}, {key: new.get(key) for key in changed}
