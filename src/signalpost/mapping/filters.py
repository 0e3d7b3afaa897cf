"""Whether a call is meant for a destination at all: switched on, the right type, not excluded, consented to."""

from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.integration_options import is_integration_enabled
from signalpost.model.results import Reason
from signalpost.model.segment_event import SegmentEvent


def check_filters(event: SegmentEvent, destination: Destination) -> Reason | None:
    """The first reason to keep the call from this destination, or None. The order is part of the contract."""
    if not destination.is_enabled:
        return "destination_disabled"
    settings = destination.settings
    if event.type not in settings.call_types:
        return "unsupported_type"
    integrations = event.integrations
    if integrations is not None and not is_integration_enabled(integrations, destination.type.integration_names):
        return "integration_disabled"
    if settings.consent_categories and not _has_consent(event, settings.consent_categories):
        return "consent_missing"
    return None


def _has_consent(event: SegmentEvent, categories: tuple[str, ...]) -> bool:
    """Source: Segment, "Consent in Segment Connections": context.consent.categoryPreferences."""
    consent = event.context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    return isinstance(preferences, dict) and all(preferences.get(category) is True for category in categories)
