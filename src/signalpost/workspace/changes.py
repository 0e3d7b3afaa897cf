"""What every change is checked for, and how one that makes no sense is refused."""

from collections.abc import Mapping
from typing import Final, Literal

from signalpost.model.errors import SignalpostError

RefusalCode = Literal["not_found", "from_file", "name_taken", "invalid", "in_use"]

_NAME_CHARACTERS: Final = 64


class ChangeRefused(SignalpostError):
    """A change that makes no sense. faults: field -> what is wrong with it, for people; empty when no field is."""

    def __init__(self, code: RefusalCode, message: str, faults: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
        self.message = message
        self.faults = dict(faults or {})


def check_name(name: str, taken: Mapping[str, object], kind: str) -> str:
    """The name without spare spaces. kind: what it is to name, for people. Raises ChangeRefused."""
    name = " ".join(name.split())
    if (
        not name
        or len(name) > _NAME_CHARACTERS
        or not name.isprintable()
        or {"/", "\\"} & set(name)
        or name in {".", ".."}
    ):
        fault = f"must be 1 to {_NAME_CHARACTERS} characters, without slashes"
        raise ChangeRefused("invalid", f"Name the {kind}.", {"name": fault})
    if name.casefold() in {known.casefold() for known in taken}:
        raise ChangeRefused("name_taken", f'There is already a {kind} named "{name}".', {"name": "is taken"})
    return name
