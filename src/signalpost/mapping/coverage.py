"""Which match keys a server event has, and what to send first of those it lacks.

Presence only: what a key is worth only Meta knows, so there is no score here and no percentage.
Source: Meta, "Customer Information Parameters" and "Best Practices" of the Conversions API; the tiers are ours.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from signalpost.mapping.user_data import check_enough_match_keys
from signalpost.model.server_event import UserData

Tier = Literal["direct", "browser", "descriptive"]

ADDRESS_AND_AGENT: Final = "client_ip_address + client_user_agent"
"""They count as one: neither says much without the other."""

TIERS: Mapping[Tier, tuple[str, ...]] = {
    "direct": ("em", "ph", "external_id", "fbc", "lead_id"),
    "browser": ("fbp", ADDRESS_AND_AGENT),
    "descriptive": ("fn", "ln", "db", "ge", "ct", "st", "zp", "country"),
}

_SUGGESTIONS: Mapping[str, str] = {
    "em": "Send the e-mail address as context.traits.email.",
    "ph": "Send the phone number, with its country code, as context.traits.phone.",
    "external_id": "Send your own id of the person as userId.",
    "fbc": "Send the cookie _fbc as context.clientIds.fbc, or the landing page with its fbclid as context.page.url.",
    "fbp": "Send the cookie _fbp as context.clientIds.fbp.",
    ADDRESS_AND_AGENT: "Send the shopper's address as context.ip and the browser as context.userAgent.",
    "lead_id": 'Send Meta\'s lead id as integrations["Facebook Offline Conversions"].leadId, if there was a lead ad.',
    "fn": "Send the first name as context.traits.firstName.",
    "ln": "Send the last name as context.traits.lastName.",
    "zp": "Send the postal code as context.traits.address.postalCode.",
    "country": "Send the country as context.traits.address.country.",
    "ct": "Send the city as context.traits.address.city.",
    "st": "Send the state or region, if the country has them, as context.traits.address.state.",
    "db": "Send the date of birth as context.traits.birthday.",
    "ge": "Send the gender as context.traits.gender.",
}
"""In the order in which they are suggested: what names one person, then one browser, then what only narrows down."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """present, missing: match keys by tier; missing holds only what the destination could send.

    is_accepted: whether Meta takes an event with these keys. add_first: a sentence, None when nothing is missing.
    """

    present: Mapping[Tier, tuple[str, ...]]
    missing: Mapping[Tier, tuple[str, ...]]
    is_accepted: bool
    add_first: str | None


def build_coverage(user_data: UserData, sendable: Collection[str] = UserData.__struct_fields__) -> Coverage:
    """What there is and what there is not. sendable: the keys of user_data that the destination can send at all."""
    present = {tier: tuple(key for key in keys if _has(user_data, key)) for tier, keys in TIERS.items()}
    missing = {
        tier: tuple(key for key in keys if key not in present[tier] and set(_split(key)) <= set(sendable))
        for tier, keys in TIERS.items()
    }
    lacking = {key for keys in missing.values() for key in keys}
    return Coverage(
        present,
        missing,
        is_accepted=check_enough_match_keys(user_data) is None,
        add_first=next((sentence for key, sentence in _SUGGESTIONS.items() if key in lacking), None),
    )


def _has(user_data: UserData, key: str) -> bool:
    return all(getattr(user_data, part) for part in _split(key))


def _split(key: str) -> list[str]:
    return key.split(" + ")
