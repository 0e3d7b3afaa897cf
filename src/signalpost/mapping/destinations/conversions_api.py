"""facebook-conversions-api: Track calls (and page calls, when asked for) to one pixel, as they happen.

Source: Segment, "Facebook Conversions API destination" and "Facebook Pixel Server-Side destination"; Meta, "Conversions
API".
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from signalpost.mapping.action_source import WEBSITE, build_action_source, find_max_age
from signalpost.mapping.amounts import find_named_value, find_revenue
from signalpost.mapping.contents import build_contents
from signalpost.mapping.custom_data import CustomDataOptions, build_custom_data
from signalpost.mapping.data_processing import LET_META_LOCATE, NOT_SENT, DataProcessing, build_data_processing
from signalpost.mapping.destinations.destination_type import (
    TRACK_ONLY,
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
from signalpost.mapping.personal_data import build_event_source_url
from signalpost.mapping.standard_events import (
    CONTENTS_RULES,
    MAX_CUSTOM_NAME_CHARACTERS,
    NO_CONTENTS_RULE,
    STANDARD_EVENTS,
    ContentsRule,
    EventTable,
    remember_names,
)
from signalpost.mapping.user_data import MatchOptions, build_user_data, check_enough_match_keys
from signalpost.model.ids import DatasetId
from signalpost.model.results import MappingResult
from signalpost.model.segment_event import CallType, JsonObject, SegmentEvent
from signalpost.model.server_event import ServerEvent

INTEGRATION_NAMES = (
    "Facebook Conversions API",
    "Facebook Conversions API (Actions)",
    "Facebook Pixel Server-Side",
    "Facebook Pixel Server Side",
    "Facebook Conversions",
)

DEFAULT_EVENTS = EventTable(
    {
        "Order Completed": "Purchase",
        "Product Added": "AddToCart",
        "Product Viewed": "ViewContent",
        "Product List Viewed": "ViewContent",
        "Products Searched": "Search",
        "Checkout Started": "InitiateCheckout",
    }
)

VALUE_FIELD_EVENTS = EventTable({"Product Viewed": True, "Product Added": True})
"""Events whose value is the property that the setting `value_field` names; all others send their revenue."""


class _Route(NamedTuple):
    """What the name of an event decides.

    event_name: Meta's. is_too_long: whether it is a custom name that Meta would refuse.
    has_named_value: whether the value is the property that the setting `value_field` names.
    """

    event_name: str
    is_too_long: bool = False
    has_named_value: bool = False
    contents_rule: ContentsRule = NO_CONTENTS_RULE


_PAGE_VIEW = _Route("PageView")  # a page may be named like an event, and is none


def _check_standard_name(name: str) -> str:
    if name not in STANDARD_EVENTS:
        raise PydanticCustomError(
            "standard_event", "must be one of Meta's standard events: {names}", {"names": ", ".join(STANDARD_EVENTS)}
        )
    return name


class ConversionsApiSettings(DestinationSettings):
    """The settings of a Conversions API destination."""

    pixel_id: DatasetIdText = setting(
        label="Pixel ID",
        help="The pixel or dataset that receives the events, as Events Manager shows it.",
        default="",
        is_basic=True,
    )
    standard_events: Mapping[str, Annotated[str, AfterValidator(_check_standard_name)]] = setting(
        label="Map Your Events to Standard FB Events",
        help="Your event's name -> Meta's standard event. Beats the built-in table.",
        default={},
        is_basic=True,
        columns=("Your event", "Meta's standard event"),
        value_choices=STANDARD_EVENTS,
    )
    content_types: Mapping[str, str] = setting(
        label="Map Categories to FB Content Types",
        help="A product category -> the content_type to send for it, such as vehicle.",
        default={},
        columns=("Product category", "content_type"),
    )
    external_id_field: str | None = setting(
        label="Alternative External ID Field",
        help="A dotted path in the call, such as properties.externalId, to send instead of userId or anonymousId.",
        default=None,
    )
    value_field: ValueField = setting(
        label="Value Field Identifier",
        help="The property that holds the value of Product Viewed and Product Added.",
        default="price",
    )
    test_event_code: str | None = setting(
        label="Test Event Code",
        help="Shows the events in the Test Events tab of Events Manager. They count as ordinary events too.",
        default=None,
    )
    page_view_events: bool = setting(label="Page views", help="Send page calls as PageView.", default=False)

    @property
    def dataset_ids(self) -> tuple[DatasetId, ...]:
        """Every dataset that may receive events."""
        return (DatasetId(self.pixel_id),) if self.pixel_id else ()

    @property
    def call_types(self) -> frozenset[CallType]:
        """Track, and page when page views are on."""
        return _TRACK_AND_PAGE if self.page_view_events else TRACK_ONLY

    @property
    def request_fields(self) -> dict[str, str]:
        """The test event code travels beside `data`, never inside an event."""
        return {"test_event_code": self.test_event_code} if self.test_event_code else {}

    @cached_property
    def find_route(self) -> Callable[[str], _Route]:
        """What these settings and the built-in tables say about the name of a track call."""
        event_table = EventTable(self.standard_events)

        def find_route(name: str) -> _Route:
            standard_name = event_table.find(name) or DEFAULT_EVENTS.find(name)
            return _Route(
                event_name=standard_name or name,
                is_too_long=standard_name is None and len(name) > MAX_CUSTOM_NAME_CHARACTERS,
                has_named_value=VALUE_FIELD_EVENTS.find(name) or False,
                contents_rule=CONTENTS_RULES.find(name) or NO_CONTENTS_RULE,
            )

        return remember_names(find_route)

    @cached_property
    def content_type_table(self) -> EventTable[str] | None:
        """`content_types`, ready to be searched; None when it has no row."""
        return EventTable(self.content_types) if self.content_types else None

    @cached_property
    def match_options(self) -> MatchOptions:
        """What the user_data builders need of these settings."""
        return build_match_options(self, external_id_field=self.external_id_field)

    @cached_property
    def custom_data_options(self) -> CustomDataOptions:
        """What the custom_data builder needs of these settings."""
        root, *path = (self.external_id_field or "").split(".")
        return CustomDataOptions(self.custom_data_pii, path if root == "properties" else ())


_TRACK_AND_PAGE: frozenset[CallType] = frozenset({"track", "page"})


def map_conversion(event: SegmentEvent, settings: ConversionsApiSettings) -> tuple[MappingResult, ...]:
    """One call -> one server event for the pixel; the steps and their order are the destination's contract."""
    findings = Findings()
    if not settings.pixel_id:
        findings.reject("missing_pixel_id")
    route = _PAGE_VIEW if event.type == "page" else settings.find_route(event.event)
    if route.is_too_long:
        findings.reject("event_name_too_long")
    action_source = build_action_source(event.properties, WEBSITE, findings)
    event_time = build_event_time(event, find_max_age(action_source), findings)
    event_source_url = _find_page_url(event, findings)
    user_data = build_user_data(event, settings.match_options, findings)
    if objection := check_enough_match_keys(user_data):
        findings.reject(objection)
    data_processing = _build_data_processing(event, settings, findings)
    if action_source == WEBSITE:
        if user_data.client_user_agent is None:
            findings.warn("missing_client_user_agent")
        if event_source_url is None:
            findings.warn("missing_event_source_url")
    server_event = ServerEvent(
        event_name=route.event_name,
        event_time=event_time,
        event_id=find_event_id(event),
        action_source=action_source,
        event_source_url=event_source_url,
        user_data=user_data,
        custom_data=_build_custom_data(event.properties, route, settings, findings),
        data_processing_options=data_processing.options,
        data_processing_options_country=data_processing.country,
        data_processing_options_state=data_processing.state,
    )
    return (findings.conclude(DatasetId(settings.pixel_id), server_event),)


def _find_page_url(event: SegmentEvent, findings: Findings) -> str | None:
    page = event.context.get("page")
    url = page.get("url") if isinstance(page, dict) else None
    if not url and event.type == "page":
        url = event.properties.get("url")
    return build_event_source_url(url, findings)


def _build_custom_data(
    properties: JsonObject, route: _Route, settings: ConversionsApiSettings, findings: Findings
) -> dict[str, object] | None:
    if route.has_named_value:
        value = find_named_value(properties, settings.value_field, findings, is_expected=True)
    else:
        value = find_revenue(properties, findings)
    contents = build_contents(properties, route.contents_rule, settings.content_type_table, findings)
    return build_custom_data(properties, route.event_name, value, contents, settings.custom_data_options, findings)


def _build_data_processing(event: SegmentEvent, settings: ConversionsApiSettings, findings: Findings) -> DataProcessing:
    if not settings.limited_data_use:
        return NOT_SENT
    given = find_integration_option(event.integrations, INTEGRATION_NAMES, "dataProcessingOptions")
    return build_data_processing(given, LET_META_LOCATE, findings)


CONVERSIONS_API = DestinationType(
    slug="facebook-conversions-api",
    integration_names=INTEGRATION_NAMES,
    settings=ConversionsApiSettings,
    map_event=map_conversion,
)
