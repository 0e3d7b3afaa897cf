"""Every destination type, by slug. One file is one destination type; types do not know one another."""

from collections.abc import Mapping
from typing import Any

from signalpost.mapping.destinations.conversions_api import CONVERSIONS_API
from signalpost.mapping.destinations.destination_type import Destination, DestinationType
from signalpost.mapping.destinations.offline_conversions import OFFLINE_CONVERSIONS
from signalpost.model.ids import DestinationId

DESTINATION_TYPES: Mapping[str, DestinationType[Any]] = {
    CONVERSIONS_API.slug: CONVERSIONS_API,
    OFFLINE_CONVERSIONS.slug: OFFLINE_CONVERSIONS,
}


def build_destination(slug: str, settings: Mapping[str, object], *, name: str = "") -> Destination:
    """A destination of the type with this slug, for mapping outside of a gateway.

    Raises KeyError for an unknown slug, and pydantic.ValidationError for settings that its type refuses.
    """
    destination_type = DESTINATION_TYPES[slug]
    return Destination(
        id=DestinationId(name or slug),
        name=name or slug,
        type=destination_type,
        settings=destination_type.settings.model_validate(dict(settings)),
    )
