"""The whole story of one call and one destination: filters first, then the destination type's own mapping."""

from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.filters import check_filters
from signalpost.model.results import Discarded, MappingResult
from signalpost.model.segment_event import SegmentEvent


def map_event(event: SegmentEvent, destination: Destination) -> tuple[MappingResult, ...]:
    """Map one call for one destination. Pure: the same input gives the same bytes, and the input is not changed.

    Returns at least one result: `Mapped` with the server event, or `Discarded` with the reason. An offline destination
    may give several, one for each of its tables that names the event. Personal data is hashed in what comes out.
    """
    reason = check_filters(event, destination)
    if reason is not None:
        return (Discarded(reason),)
    return destination.type.map_event(event, destination.settings)
