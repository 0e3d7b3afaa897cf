"""The words the rules share: what a check looks at, what it finds, and what a rule is."""

from typing import Any, Literal

import msgspec

Confidence = Literal["documented", "observed", "fixture", "reported", "remembered", "ours"]


class Finding(msgspec.Struct, frozen=True):
    """An objection to one field. Red means: accepted, but worthless or harmful as it stands."""

    rule: str
    field: str
    text: str
    is_red: bool = False


Findings = tuple[Finding, ...]


class Rule(msgspec.Struct, frozen=True):
    """What is demanded, how sure that is, where it is written, and the row a refusal answers with."""

    id: str
    title: str
    confidence: Confidence
    source: str
    row: str = "param_invalid"


class Subject(msgspec.Struct):
    """One event, opened once for all checks. Parts that are absent or of the wrong type are empty here.

    now: whole seconds of the emulator's clock.
    """

    event: dict[str, Any]
    name: str
    action_source: str | None
    user_data: dict[str, Any]
    custom_data: dict[str, Any]
    now: int


def open_event(event: dict[str, Any], now: int) -> Subject:
    name = event.get("event_name")
    action_source = event.get("action_source")
    user_data = event.get("user_data")
    custom_data = event.get("custom_data")
    return Subject(
        event,
        name if type(name) is str else "",
        action_source if type(action_source) is str else None,
        user_data if type(user_data) is dict else {},
        custom_data if type(custom_data) is dict else {},
        now,
    )
