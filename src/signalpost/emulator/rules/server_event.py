"""Checks of the event's own fields: name, time, source, id, page address, limited data use.

Source: "Server Event Parameters"; "Data Processing Options for US Users".
"""

from typing import Any

from signalpost.emulator.rules.findings import Finding, Findings, Subject

SECONDS_A_DAY = 86_400
MAX_AGE_DAYS = 7
MAX_AGE_DAYS_BY_SOURCE = {"physical_store": 62}

ACTION_SOURCES = frozenset(
    {
        "email",
        "website",
        "app",
        "phone_call",
        "chat",
        "physical_store",
        "system_generated",
        "business_messaging",
        "other",
    }
)
LDU_COUNTRIES = frozenset({0, 1})
LDU_STATES = frozenset({0, *range(1000, 1014)})

NAME_MISSING = (Finding("event_name_missing", "event_name", "event_name is required"),)
NAME_NOT_TEXT = (Finding("event_name_not_text", "event_name", "event_name must be a string"),)
TIME_MISSING = (Finding("event_time_missing", "event_time", "event_time is required"),)
TIME_NOT_INTEGER = (Finding("event_time_not_integer", "event_time", "event_time must be whole Unix seconds"),)
IN_FUTURE = (Finding("event_in_future", "event_time", "event_time is in the future"),)
USER_DATA_NOT_OBJECT = (Finding("user_data_not_object", "user_data", "user_data must be an object"),)
SOURCE_MISSING = (Finding("action_source_missing", "action_source", "action_source is documented as required"),)
ID_MISSING = (Finding("event_id_missing", "event_id", "Without event_id this event can't be deduplicated by id"),)
ID_NOT_TEXT = (Finding("event_id_missing", "event_id", "event_id should be a string"),)


def check_event_name(subject: Subject) -> Findings:
    if subject.name:
        return ()
    name = subject.event.get("event_name")
    return NAME_MISSING if name is None or name == "" else NAME_NOT_TEXT


def check_event_time(subject: Subject) -> Findings:
    """Exactly seven days old passes; one second more does not."""
    event_time = subject.event.get("event_time")
    if type(event_time) is not int:
        return TIME_MISSING if event_time is None else TIME_NOT_INTEGER
    age_seconds = subject.now - event_time
    if age_seconds < 0:
        return IN_FUTURE
    max_age_days = MAX_AGE_DAYS_BY_SOURCE.get(subject.action_source or "", MAX_AGE_DAYS)
    if age_seconds <= max_age_days * SECONDS_A_DAY:
        return ()
    rule = "event_too_old_in_store" if max_age_days != MAX_AGE_DAYS else "event_too_old"
    return (Finding(rule, "event_time", f"event_time is more than {max_age_days} days in the past"),)


def check_user_data_type(subject: Subject) -> Findings:
    user_data = subject.event.get("user_data")
    return () if user_data is None or type(user_data) is dict else USER_DATA_NOT_OBJECT


def check_action_source(subject: Subject) -> Findings:
    if subject.action_source in ACTION_SOURCES:
        return ()
    if subject.event.get("action_source") is None:
        return SOURCE_MISSING
    return (Finding("action_source_unknown", "action_source", "action_source is none of the documented values"),)


def check_event_id(subject: Subject) -> Findings:
    event_id = subject.event.get("event_id")
    if type(event_id) is str and event_id:
        return ()
    return ID_MISSING if event_id is None or event_id == "" else ID_NOT_TEXT


def check_data_processing(subject: Subject) -> Findings:
    event = subject.event
    if "data_processing_options" not in event:
        return ()
    country = event.get("data_processing_options_country", 0)
    state = event.get("data_processing_options_state", 0)
    return (
        *_check_code(country, LDU_COUNTRIES, "data_processing_options_country"),
        *_check_code(state, LDU_STATES, "data_processing_options_state"),
    )


def _check_code(code: Any, known: frozenset[int], field: str) -> Findings:
    if type(code) is int and code in known:
        return ()
    return (Finding("data_processing_code_unknown", field, f"{field} is not in Meta's table"),)
