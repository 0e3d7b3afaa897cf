"""facebook-offline-conversions: chosen Track calls, each to the dataset that its table names, as in-store conversions.

An event that no table names is never sent. One that several tables name becomes one server event for each.
Source: Segment, "Facebook Offline Conversions destination"; Meta, "Conversions API for Offline Events".
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

from signalpost.mapping.action_source import PHYSICAL_STORE, WEBSITE, build_action_source, find_max_age
from signalpost.mapping.amounts import find_named_value, find_revenue
from signalpost.mapping.contents import build_contents
from signalpost.mapping.custom_data import CustomDataOptions, build_custom_data
from signalpost.mapping.data_processing import NO_OPTIONS, NOT_SENT, DataProcessing, build_data_processing
from signalpost.mapping.destinations.destination_type import (
    DatasetIdText,
    DestinationSettings,
    DestinationType,
    ValueField,
    build_match_options,
    find_event_id,
    setting,
)
from signalpost.mapping.event_time import build_event_time
from signalpost.mapping.findings import Findings
from signalpost.mapping.integration_options import find_integration_option
from signalpost.mapping.standard_events import (
    CONTENTS_RULES,
    MAX_CUSTOM_NAME_CHARACTERS,
    NO_CONTENTS_RULE,
    ContentsRule,
    EventTable,
    remember_names,
)
from signalpost.mapping.user_data import MatchOptions, build_offline_user_data, check_enough_offline_match_keys
from signalpost.model.ids import DatasetId
from signalpost.model.results import Discarded, MappingResult
from signalpost.model.segment_event import JsonObject, SegmentEvent
from signalpost.model.server_event import ServerEvent

INTEGRATION_NAMES = ("Facebook Offline Conversions",)

DEFAULT_EVENTS = EventTable(
    {
        "Products Searched": "Search",
        "Product Viewed": "ViewContent",
        "Product List Viewed": "ViewContent",
        "Product Added to Wishlist": "AddToWishlist",
        "Product Added": "AddToCart",
        "Checkout Started": "InitiateCheckout",
        "Payment Info Entered": "AddPaymentInfo",
        "Order Completed": "Purchase",
    }
)

VALUE_FIELD_EVENTS = EventTable(
    {
        "Product Viewed": "expected",
        "Product List Viewed": "expected",
        "Product Added": "expected",
        "Products Searched": "optional",
        "Product Added to Wishlist": "optional",
        "Checkout Started": "optional",
        "Payment Info Entered": "optional",
    }
)
"""Events before a purchase: their value is the property `value_field` names. Where expected, a missing one warns."""


class _Hit(NamedTuple):
    event_name: str
    dataset_id: DatasetId
    is_too_long: bool


class _Route(NamedTuple):
    """What the name of an event decides. hits: one for each table that has it. value_rule: as VALUE_FIELD_EVENTS."""

    hits: tuple[_Hit, ...]
    value_rule: str | None
    contents_rule: ContentsRule


class OfflineConversionsSettings(DestinationSettings):
    """The settings of an Offline Conversions destination."""

    event_sets: Mapping[str, DatasetIdText] = setting(
        label="Map Track Events to Event Set IDs",
        help="Your event's name -> the dataset (once: event set) that receives it.",
        default={},
        is_basic=True,
        columns=("Your event", "Dataset ID"),
    )
    lead_event_sets: Mapping[str, DatasetIdText] = setting(
        label="Map Track Events as Lead Conversions to Event Set IDs",
        help="Your event's name -> the dataset that receives it as a Lead.",
        default={},
        columns=("Your event", "Dataset ID"),
    )
    complete_registration_event_sets: Mapping[str, DatasetIdText] = setting(
        label="Map Track Events as CompleteRegistration Conversions to Event Set IDs",
        help="Your event's name -> the dataset that receives it as a CompleteRegistration.",
        default={},
        columns=("Your event", "Dataset ID"),
    )
    value_field: ValueField = setting(
        label="Value Field Identifier",
        help="The property that holds the value of the events before a purchase.",
        default="value",
    )
    upload_tag: str = setting(
        label="Upload tag", help="Names these uploads in Events Manager; sent beside the events.", default="Segment"
    )

    @property
    def dataset_ids(self) -> tuple[DatasetId, ...]:
        """Every dataset that may receive events."""
        tables = (table for _, table in self._named_tables)
        return tuple(dict.fromkeys(DatasetId(dataset) for table in tables for dataset in table.values() if dataset))

    def find_dataset(self, event_name: str) -> DatasetId | None:
        """The one dataset to which any row of the tables sends events of this name."""
        rows = (
            (fixed_name or DEFAULT_EVENTS.find(name) or name, dataset)
            for fixed_name, table in self._named_tables
            for name, dataset in table.items()
        )
        found = {DatasetId(dataset) for name, dataset in rows if dataset and name == event_name}
        return found.pop() if len(found) == 1 else None

    @property
    def _named_tables(self) -> tuple[tuple[str | None, Mapping[str, str]], ...]:
        """The fixed Meta name of each table (None: by the event), and the table; in the order of the results."""
        return (
            (None, self.event_sets),
            ("Lead", self.lead_event_sets),
            ("CompleteRegistration", self.complete_registration_event_sets),
        )

    @property
    def request_fields(self) -> dict[str, str]:
        """The upload tag travels beside `data`."""
        return {"upload_tag": self.upload_tag} if self.upload_tag else {}

    @cached_property
    def tables(self) -> tuple[tuple[str | None, EventTable[str]], ...]:
        """The same, ready to be searched."""
        return tuple((fixed_name, EventTable(table)) for fixed_name, table in self._named_tables)

    @cached_property
    def find_route(self) -> Callable[[str], _Route]:
        """What these tables and the built-in ones say about the name of a track call."""

        def find_hit(name: str, fixed_name: str | None, dataset_id: str) -> _Hit:
            event_name = fixed_name or DEFAULT_EVENTS.find(name) or name
            is_too_long = event_name == name and len(name) > MAX_CUSTOM_NAME_CHARACTERS
            return _Hit(event_name, DatasetId(dataset_id), is_too_long)

        def find_route(name: str) -> _Route:
            found = [(fixed_name, table.find(name)) for fixed_name, table in self.tables]
            return _Route(
                hits=tuple(find_hit(name, fixed_name, to) for fixed_name, to in found if to is not None),
                value_rule=VALUE_FIELD_EVENTS.find(name),
                contents_rule=CONTENTS_RULES.find(name) or NO_CONTENTS_RULE,
            )

        return remember_names(find_route)

    @cached_property
    def match_options(self) -> MatchOptions:
        """What the user_data builders need of these settings."""
        return build_match_options(self)

    @cached_property
    def custom_data_options(self) -> CustomDataOptions:
        """What the custom_data builder needs of these settings."""
        return CustomDataOptions(self.custom_data_pii)


def map_offline_event(event: SegmentEvent, settings: OfflineConversionsSettings) -> tuple[MappingResult, ...]:
    """One call -> one server event for each table that names it."""
    route = settings.find_route(event.event)
    results = tuple(_map_hit(event, route, hit, settings) for hit in route.hits)
    return results or (Discarded("event_not_mapped"),)


def _map_hit(event: SegmentEvent, route: _Route, hit: _Hit, settings: OfflineConversionsSettings) -> MappingResult:
    findings = Findings()
    if not hit.dataset_id:
        findings.reject("missing_dataset_id")
    if hit.is_too_long:
        findings.reject("event_name_too_long")
    action_source = build_action_source(event.properties, PHYSICAL_STORE, findings)
    event_time = build_event_time(event, find_max_age(action_source), findings)
    user_data = build_offline_user_data(event, settings.match_options, _find_lead_id(event), findings)
    if objection := check_enough_offline_match_keys(event, user_data):
        findings.reject(objection)
    data_processing = _build_data_processing(event, settings, findings)
    if action_source == WEBSITE:  # neither is ever sent from here
        findings.warn("missing_client_user_agent")
        findings.warn("missing_event_source_url")
    server_event = ServerEvent(
        event_name=hit.event_name,
        event_time=event_time,
        event_id=find_event_id(event),
        action_source=action_source,
        user_data=user_data,
        custom_data=_build_custom_data(event.properties, route, hit.event_name, settings, findings),
        data_processing_options=data_processing.options,
        data_processing_options_country=data_processing.country,
        data_processing_options_state=data_processing.state,
    )
    return findings.conclude(hit.dataset_id, server_event)


def _find_lead_id(event: SegmentEvent) -> object:
    lead_id = find_integration_option(event.integrations, INTEGRATION_NAMES, "leadId")
    return lead_id if lead_id is not None else find_integration_option(event.context, INTEGRATION_NAMES, "leadId")


def _build_custom_data(
    properties: JsonObject, route: _Route, event_name: str, settings: OfflineConversionsSettings, findings: Findings
) -> dict[str, object] | None:
    if route.value_rule is None:
        value = find_revenue(properties, findings)
    else:
        is_expected = route.value_rule == "expected"
        value = find_named_value(properties, settings.value_field, findings, is_expected=is_expected)
    rule = route.contents_rule
    contents = build_contents(properties, rule, None, findings, always_by_category=rule.by_category)
    return build_custom_data(properties, event_name, value, contents, settings.custom_data_options, findings)


def _build_data_processing(
    event: SegmentEvent, settings: OfflineConversionsSettings, findings: Findings
) -> DataProcessing:
    if not settings.limited_data_use:
        return NOT_SENT
    given = find_integration_option(event.integrations, INTEGRATION_NAMES, "dataProcessingOptions")
    return build_data_processing(given, NO_OPTIONS, findings)


OFFLINE_CONVERSIONS = DestinationType(
    slug="facebook-offline-conversions",
    integration_names=INTEGRATION_NAMES,
    settings=OfflineConversionsSettings,
    map_event=map_offline_event,
)
