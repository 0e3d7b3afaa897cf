"""A form for the settings of a destination type, made from the settings themselves: label, help, default, kind.

A new setting needs nothing here. What a browser sends comes back as the values that the settings class checks.
"""

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from starlette.datastructures import FormData

from signalpost.mapping.destinations.destination_type import DestinationSettings

Kind = Literal["text", "secret", "switch", "choice", "map", "list"]

KEY_SUFFIX: Final = ".key"
VALUE_SUFFIX: Final = ".value"
REMOVE_SUFFIX: Final = ".remove"


@dataclass(frozen=True, slots=True)
class FormField:
    """One setting as a form shows it.

    value: text, bool, rows of (key, value), or lines. choices: of a choice, or of the values of a map.
    is_given: whether a secret is stored. columns: the headings of a map's two columns. is_basic: shown first; the
    others are folded away.
    """

    name: str
    label: str
    help: str
    kind: Kind
    value: Any
    fault: str
    choices: Sequence[str] = ()
    is_given: bool = False
    is_basic: bool = False
    columns: Sequence[str] = ("", "")
    row_faults: Mapping[str, str] = field(default_factory=dict)


def build_form(
    settings_type: type[DestinationSettings],
    current: DestinationSettings | None = None,
    *,
    sent: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] = types.MappingProxyType({}),
) -> list[FormField]:
    """The fields of a form, what is particular to the type first, with what is in force or what was sent just now."""
    fields = []
    for name, info in _list_settings(settings_type):
        kind = _find_kind(info)
        in_force = getattr(current, name) if current is not None else info.get_default(call_default_factory=True)
        value = sent[name] if sent is not None and name in sent else in_force
        shown = _find_shown(info)
        fields.append(
            FormField(
                name=name,
                label=info.title or name,
                help=info.description or "",
                kind=kind,
                value=_show(kind, value),
                fault=faults.get(name, ""),
                choices=_find_choices(info),
                is_given=kind == "secret" and in_force is not None,
                is_basic=shown.get("is_basic", False),
                columns=tuple(shown.get("columns", ("Name", "Value"))),
                row_faults={
                    key.removeprefix(f"{name}."): fault for key, fault in faults.items() if key.startswith(f"{name}.")
                },
            )
        )
    return fields


def read_form(settings_type: type[DestinationSettings], form: FormData) -> dict[str, Any]:
    """What the browser sent as settings; a secret that was left empty is not among them, so that it stays."""
    given: dict[str, Any] = {}
    for name, info in settings_type.model_fields.items():
        match _find_kind(info):
            case "secret":
                text = str(form.get(name, "")).strip()
                if form.get(name + REMOVE_SUFFIX):
                    given[name] = None
                elif text:
                    given[name] = text
            case "switch":
                given[name] = name in form
            case "map":
                given[name] = _read_rows(form, name)
            case "list":
                given[name] = [line.strip() for line in str(form.get(name, "")).splitlines() if line.strip()]
            case "choice":
                if name in form:
                    given[name] = str(form[name])
            case _:
                text = str(form.get(name, "")).strip()
                given[name] = text if text or info.default == "" else None
    return given


def _read_rows(form: FormData, name: str) -> dict[str, str]:
    keys = [str(key).strip() for key in form.getlist(name + KEY_SUFFIX)]
    values = [str(value).strip() for value in form.getlist(name + VALUE_SUFFIX)]
    return {key: value for key, value in zip(keys, values, strict=False) if key}


def _list_settings(settings_type: type[DestinationSettings]) -> list[tuple[str, FieldInfo]]:
    """What is particular to the type first, then what all types share; the token last of what is shown first."""
    shared = DestinationSettings.model_fields
    return sorted(settings_type.model_fields.items(), key=lambda item: item[0] in shared)


def _find_kind(field: FieldInfo) -> Kind:
    annotation = field.annotation
    if "SecretStr" in str(annotation) or annotation is SecretStr:
        return "secret"
    if annotation is bool:
        return "switch"
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "choice"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return "map"
    return "list" if origin in {tuple, list} else "text"


def _find_choices(field: FieldInfo) -> Sequence[str]:
    if typing.get_origin(field.annotation) is Literal:
        return typing.get_args(field.annotation)
    return tuple(_find_shown(field).get("value_choices", ()))


def _find_shown(field: FieldInfo) -> Mapping[str, Any]:
    """What `setting()` says of how a form shows it."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _show(kind: Kind, value: Any) -> Any:
    match kind:
        case "secret":
            return ""
        case "switch":
            return bool(value)
        case "map":
            return list(value.items())
        case "list":
            return "\n".join(value)
        case _:
            return "" if value is None else str(value)
