"""What mapping says about a call for one destination: closed lists of codes, reasons and warnings, with sentences.

The order of WARNINGS is the order in which warnings are reported. A discarded result that counts as rejected keeps the
hashed server event, so that its dead letter can be looked at.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from signalpost.model.ids import DatasetId
from signalpost.model.server_event import ServerEvent

DiscardCode = Literal[
    "DESTINATION_DISABLED",
    "UNSUPPORTED_EVENT_TYPE",
    "FILTERED_BY_INTEGRATIONS_OBJECT",
    "FILTERED_BY_END_USER_CONSENT",
    "INVALID_SETTINGS",
    "NO_MATCHING_MAPPING",
    "MESSAGE_REJECTED",
]

REJECTED_BY_MAPPING: Final = frozenset({"MESSAGE_REJECTED", "INVALID_SETTINGS"})
"""Somebody must mend something: these make a dead letter; with every other code the call was meant to stay out."""

Reason = Literal[
    "destination_disabled",
    "unsupported_type",
    "integration_disabled",
    "consent_missing",
    "missing_pixel_id",
    "missing_dataset_id",
    "event_not_mapped",
    "event_name_too_long",
    "invalid_action_source",
    "event_too_old",
    "insufficient_match_keys",
    "missing_value",
    "invalid_currency",
    "mapping_failed",
]

WarningCode = Literal[
    "action_source_needs_more_fields",
    "event_time_in_future",
    "unsupported_hash",
    "invalid_email",
    "invalid_phone",
    "phone_without_country_code",
    "invalid_first_name",
    "invalid_last_name",
    "invalid_gender",
    "invalid_birthday",
    "invalid_city",
    "invalid_state",
    "invalid_postal_code",
    "invalid_country",
    "external_id_missing",
    "invalid_external_id",
    "invalid_client_ip_address",
    "invalid_fbc",
    "invalid_fbp",
    "invalid_lead_id",
    "value_from_total",
    "value_from_value",
    "value_field_missing",
    "value_coerced",
    "invalid_value",
    "invalid_currency",
    "products_not_array",
    "product_without_id",
    "invalid_quantity",
    "invalid_item_price",
    "property_overridden",
    "pii_in_properties",
    "invalid_data_processing_options",
    "missing_client_user_agent",
    "missing_event_source_url",
]


class ReasonText(NamedTuple):
    """The family a reason belongs to, and the sentence that a person reads."""

    code: DiscardCode
    sentence: str


REASONS: Mapping[Reason, ReasonText] = {
    "destination_disabled": ReasonText("DESTINATION_DISABLED", "The destination is switched off."),
    "unsupported_type": ReasonText(
        "UNSUPPORTED_EVENT_TYPE",
        "This destination takes Track calls only (page calls when page view events are on).",
    ),
    "integration_disabled": ReasonText(
        "FILTERED_BY_INTEGRATIONS_OBJECT", "The call's integrations object excludes this destination."
    ),
    "consent_missing": ReasonText(
        "FILTERED_BY_END_USER_CONSENT", "The user has not given every consent this destination needs."
    ),
    "missing_pixel_id": ReasonText("INVALID_SETTINGS", "The destination has no Pixel ID."),
    "missing_dataset_id": ReasonText("INVALID_SETTINGS", "The table row for this event has no Event Set ID."),
    "event_not_mapped": ReasonText("NO_MATCHING_MAPPING", "This event name is in none of the Offline tables."),
    "event_name_too_long": ReasonText("MESSAGE_REJECTED", "A custom event name can have at most 50 characters."),
    "invalid_action_source": ReasonText("MESSAGE_REJECTED", "action_source is not one of Meta's values."),
    "event_too_old": ReasonText(
        "MESSAGE_REJECTED", "The event is older than Meta accepts (7 days; 62 days for a physical store)."
    ),
    "insufficient_match_keys": ReasonText(
        "MESSAGE_REJECTED", "The event has too little customer information for Meta to match it to anyone."
    ),
    "missing_value": ReasonText("MESSAGE_REJECTED", "A Purchase needs a numeric value: send revenue, total or value."),
    "invalid_currency": ReasonText("MESSAGE_REJECTED", "A Purchase needs an ISO 4217 currency such as USD or EUR."),
    "mapping_failed": ReasonText(
        "MESSAGE_REJECTED", "Signalpost itself failed on this event; the fault is ours and is in the log."
    ),
}

WARNINGS: Mapping[WarningCode, str] = {
    "action_source_needs_more_fields": "Meta wants extra fields for this action source (app or business messaging) "
    "that Signalpost does not build; it may refuse the event.",
    "event_time_in_future": "The event's time lies in the future; the time of receipt was used.",
    "unsupported_hash": "A value looks like an MD5, SHA-1 or SHA-512 hash; Meta matches only SHA-256, "
    "so it was left out.",
    "invalid_email": "The e-mail address is empty or not an address; it was left out.",
    "invalid_phone": "The phone number is empty or not a phone number; it was left out.",
    "phone_without_country_code": "The phone number has no country code; Meta will hardly match it. "
    "Send address.country or set a default phone country.",
    "invalid_first_name": "The first name has no letters or digits; it was left out.",
    "invalid_last_name": "The last name has no letters or digits; it was left out.",
    "invalid_gender": "The gender is neither female nor male in a form Meta knows; it was left out.",
    "invalid_birthday": "The birthday is not a full, possible date; it was left out.",
    "invalid_city": "The city has no letters; it was left out.",
    "invalid_state": "The state or region has no letters; it was left out.",
    "invalid_postal_code": "The postal code is not usable; it was left out.",
    "invalid_country": "The country is not known; it was left out.",
    "external_id_missing": "The field chosen as external id is not in this event, so no external id was sent.",
    "invalid_external_id": "The external id is empty or not text or a number; it was left out.",
    "invalid_client_ip_address": "The IP address is invalid or private; it was left out.",
    "invalid_fbc": "The Facebook click id (fbc) is malformed; it was left out or rebuilt from the page address.",
    "invalid_fbp": "The Facebook browser id (fbp) is malformed; it was left out.",
    "invalid_lead_id": "The lead id is not 15 or 16 digits; it was left out.",
    "value_from_total": "There is no revenue; total was sent as the value.",
    "value_from_value": "There is no revenue or total; the property value was sent.",
    "value_field_missing": "The property chosen for the value is not in this event; no value was sent.",
    "value_coerced": "The value contained currency signs or separators; the number in it was sent.",
    "invalid_value": "The value is not a number; it was left out.",
    "invalid_currency": "The currency is not an ISO 4217 code; value and currency were left out.",
    "products_not_array": "The property products is not a list; it was ignored.",
    "product_without_id": "A product has no product_id, sku or id; it was left out of the contents.",
    "invalid_quantity": "A quantity is not a whole number of 0 or more; it was left out.",
    "invalid_item_price": "A product price is not a number; it was left out.",
    "property_overridden": "A property has the name of a field Signalpost computed; the computed value was sent.",
    "pii_in_properties": "The event's properties or page address contain personal data; by default it is left out of "
    "custom_data and hashed in the address. Put identifiers in context.traits, where they are hashed and help "
    "matching; the setting custom_data_pii changes what happens to properties.",
    "invalid_data_processing_options": "dataProcessingOptions is not [list, country, state]; the default was sent.",
    "missing_client_user_agent": "A website event has no browser user agent; "
    "Meta may not use it for optimisation or measurement.",
    "missing_event_source_url": "A website event has no page address; "
    "Meta may not use it for optimisation or measurement.",
}

_WARNING_ORDER = {code: position for position, code in enumerate(WARNINGS)}


class Mapped(msgspec.Struct, frozen=True):
    """The call becomes one server event for one dataset."""

    dataset_id: DatasetId
    server_event: ServerEvent
    warnings: tuple[WarningCode, ...] = ()


class Discarded(msgspec.Struct, frozen=True):
    """The call is not delivered to this destination, for one reason.

    server_event: what would have been sent, hashed, when the reason means *rejected* (kept as a dead letter); else
    None.
    """

    reason: Reason
    dataset_id: DatasetId | None = None
    server_event: ServerEvent | None = None
    warnings: tuple[WarningCode, ...] = ()

    @property
    def code(self) -> DiscardCode:
        """The family of the reason, as Segment names it."""
        return REASONS[self.reason].code

    @property
    def message(self) -> str:
        """The reason in a sentence for a person."""
        return REASONS[self.reason].sentence

    @property
    def is_rejected(self) -> bool:
        """True when somebody must mend something (a dead letter), False when the call was meant to stay out."""
        return self.code in REJECTED_BY_MAPPING


MappingResult = Mapped | Discarded


def sort_warnings(codes: Iterable[WarningCode]) -> tuple[WarningCode, ...]:
    """Each code once, in the order of WARNINGS."""
    return tuple(sorted(set(codes), key=_WARNING_ORDER.__getitem__))
