"""Where a conversion happened, as Meta lists it, and how old an event from there may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from signalpost.mapping.findings import Findings

WEBSITE = "website"
PHYSICAL_STORE = "physical_store"


@dataclass(frozen=True, slots=True)
class ActionSource:
    """max_age: how old an event may be when Meta receives it. needs_more_fields: Meta wants fields we do not build."""

    max_age: timedelta = timedelta(days=7)
    needs_more_fields: bool = False


ACTION_SOURCES: Mapping[str, ActionSource] = {
    WEBSITE: ActionSource(),
    "email": ActionSource(),
    "app": ActionSource(needs_more_fields=True),
    "phone_call": ActionSource(),
    "chat": ActionSource(),
    PHYSICAL_STORE: ActionSource(max_age=timedelta(days=62)),
    "system_generated": ActionSource(),
    "business_messaging": ActionSource(needs_more_fields=True),
    "other": ActionSource(),
}
"""Source: Meta, "Server Event Parameters", action_source and event_time; "Conversions API for Offline Events"."""

_DEFAULT = ActionSource()


def build_action_source(properties: Mapping[str, object], default: str, findings: Findings) -> str:
    """The event's own action_source (either spelling), else the default; one Meta does not know rejects the event.

    default: one that needs no more fields.
    """
    if "action_source" not in properties and "actionSource" not in properties:
        return default
    given = properties.get("action_source")
    if given is None or given == "":
        given = properties.get("actionSource")
    if given is None or given == "":
        given = default
    rule = ACTION_SOURCES.get(given) if isinstance(given, str) else None
    if rule is None:
        findings.reject("invalid_action_source")
    elif rule.needs_more_fields:
        findings.warn("action_source_needs_more_fields")
    return given if isinstance(given, str) else default


def find_max_age(action_source: str) -> timedelta:
    """How old an event with this action source may be; that of a website for an unknown one."""
    return ACTION_SOURCES.get(action_source, _DEFAULT).max_age
