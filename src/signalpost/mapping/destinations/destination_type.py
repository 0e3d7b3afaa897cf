"""What a destination type is: a record of names, settings and one pure function. Not a class to inherit from."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from signalpost.mapping.normalize import read_text
from signalpost.mapping.user_data import MatchOptions
from signalpost.model.ids import DatasetId, DestinationId
from signalpost.model.results import MappingResult
from signalpost.model.segment_event import CallType, SegmentEvent

_DATASET_ID = re.compile(r"[0-9]{5,20}", re.ASCII)
_API_VERSION = re.compile(r"v[0-9]{1,2}\.[0-9]", re.ASCII)


def _check_dataset_id(text: str) -> str:
    # An empty id is let through: the event is rejected with a reason and can be requeued once the id is filled in.
    if text and not _DATASET_ID.fullmatch(text):
        raise PydanticCustomError("dataset_id", "must be the 5 to 20 digits that Meta's Events Manager shows")
    return text


def _check_api_version(text: str) -> str:
    if not _API_VERSION.fullmatch(text):
        raise PydanticCustomError("api_version", 'must look like "v26.0"')
    return text


def _check_country(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", text, re.ASCII):
        raise PydanticCustomError("country", 'must be a two-letter country code such as "US"')
    return text.upper()


DatasetIdText = Annotated[str, AfterValidator(_check_dataset_id)]
ApiVersion = Annotated[str, AfterValidator(_check_api_version)]
CountryCode = Annotated[str, AfterValidator(_check_country)]
ValueField = Literal["price", "value"]
PersonalDataRule = Literal["drop", "hash", "send"]


def setting(
    *,
    label: str,
    help: str,  # noqa: A002 - read as a declaration
    default: Any = ...,
    is_basic: bool = False,
    columns: tuple[str, str] = ("Name", "Value"),
    value_choices: Sequence[str] = (),
) -> Any:
    """Declare a setting with the label that people know from Segment and the help that console and docs show.

    is_basic: a form shows it first. columns, value_choices: of a table of names and values.
    """
    shown: dict[str, Any] = {"is_basic": is_basic, "columns": list(columns), "value_choices": list(value_choices)}
    return Field(default, title=label, description=help, json_schema_extra=shown)


class DestinationSettings(BaseModel):
    """The settings that every destination type has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    access_token: SecretStr | None = setting(
        label="Access token",
        help="A system user's token with access to the dataset. Sent in a header only, never shown again.",
        default=None,
        is_basic=True,
    )
    app_secret: SecretStr | None = setting(
        label="App secret",
        help="The secret of the Meta app that the token belongs to: each request then carries a proof made with it "
        "(appsecret_proof), as apps demand that have Require app secret switched on. Never sent, never shown again.",
        default=None,
    )
    api_version: ApiVersion | None = setting(
        label="Graph API version", help="Overrides the version of [meta] for this destination.", default=None
    )
    limited_data_use: bool = setting(
        label="Limited Data Use",
        help="Send Meta's data processing options: the call's own, or the default of this destination type.",
        default=False,
    )
    hash_external_id: bool = setting(
        label="Hash the external id",
        help="Off: the external id is normalised but sent in clear, except for one that comes from traits.",
        default=True,
    )
    consent_categories: tuple[str, ...] = setting(
        label="Consent categories",
        help="Deliver only calls in which all of these are true in context.consent.categoryPreferences.",
        default=(),
    )
    default_phone_country: CountryCode | None = setting(
        label="Default phone country",
        help="Two letters: the country of phone numbers that carry no country code and no address.country.",
        default=None,
    )
    day_first_dates: bool = setting(
        label="Day before month", help="Read a birthday such as 05-03-1995 as 5 March.", default=False
    )
    custom_data_pii: PersonalDataRule = setting(
        label="Personal data in properties",
        help="What happens to e-mail addresses, phones, names and birthdays among the properties.",
        default="drop",
    )

    @property
    def dataset_ids(self) -> tuple[DatasetId, ...]:
        """Every dataset that may receive events, each once, in the order of the settings."""
        return ()

    def find_dataset(self, _event_name: str) -> DatasetId | None:
        """The one dataset that these settings name for an event as Meta knows it; None when none or several."""
        return self.dataset_ids[0] if len(self.dataset_ids) == 1 else None

    @property
    def call_types(self) -> frozenset[CallType]:
        """The types of call that this destination maps."""
        return TRACK_ONLY

    @property
    def request_fields(self) -> dict[str, str]:
        """What goes beside `data` in each request to Meta."""
        return {}


TRACK_ONLY: frozenset[CallType] = frozenset({"track"})

Settings = TypeVar("Settings", bound=DestinationSettings)


@dataclass(frozen=True, slots=True)
class DestinationType(Generic[Settings]):
    """Everything that tells one type of destination from another.

    integration_names: what a call's `integrations` may call it, in the order in which options are looked up.
    map_event: a call that passed the filters -> its results.
    """

    slug: str
    integration_names: Sequence[str]
    settings: type[Settings]
    map_event: Callable[[SegmentEvent, Settings], tuple[MappingResult, ...]]


@dataclass(frozen=True, slots=True)
class Destination:
    """One configured place to deliver to."""

    id: DestinationId
    name: str
    type: DestinationType[Any]
    settings: DestinationSettings
    is_enabled: bool = True


def build_match_options(settings: DestinationSettings, *, external_id_field: str | None = None) -> MatchOptions:
    """What the user_data builders need to know of a destination."""
    return MatchOptions(
        external_id_field=external_id_field,
        hash_external_id=settings.hash_external_id,
        default_phone_country=settings.default_phone_country,
        day_first_dates=settings.day_first_dates,
    )


def find_event_id(event: SegmentEvent) -> str:
    """`properties.event_id` when the caller gave one (to match a browser event), else the messageId."""
    given = event.properties.get("event_id")
    return event.message_id if given is None else read_text(given) or event.message_id
