"""What is wrong with a configuration, in sentences: where it stands, which key, why, what would be right.

Never the value itself: it may be a secret.
"""

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from signalpost.config.sections import SourceSection


class Variable(NamedTuple):
    """An environment variable that gives a setting."""

    name: str
    value: str


def describe_faults(
    error: ValidationError,
    where: str,
    model: type[BaseModel],
    variables: Mapping[tuple[str, str], Variable] = MappingProxyType({}),
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
            return f"there is no such setting{suggest(str(fault['loc'][-1]), _find_siblings(fault['loc'], model))}"
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


def suggest(name: str, known: Mapping[str, object], *, show_all: bool = True) -> str:
    """The end of a sentence that names what may have been meant, or all there is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}" if show_all else ""
