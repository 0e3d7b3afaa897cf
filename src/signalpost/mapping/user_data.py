"""Who did it, as Meta's user_data: the traits hashed, the external id, and what the browser told.

Personal data in clear comes in here and leaves as SHA-256; only what Meta wants unhashed (IP address, user agent, fbc,
fbp, lead id) leaves as it came. The event is not changed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from types import MappingProxyType
from typing import Any

from signalpost.mapping.click_ids import find_fbc, find_fbp
from signalpost.mapping.findings import Findings
from signalpost.mapping.match_keys import (
    CLEAR_EXTERNAL_ID,
    HASHED_EXTERNAL_ID,
    MATCH_KEYS,
    Hasher,
    MatchKey,
    Surroundings,
    find_substitute,
    hash_given,
)
from signalpost.mapping.normalize import read_text
from signalpost.mapping.places import normalize_country
from signalpost.model.results import Reason
from signalpost.model.segment_event import JsonObject, SegmentEvent
from signalpost.model.server_event import HashedValues, UserData

_NOTHING: JsonObject = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """What a destination's settings say about match keys.

    external_id_field: dotted path from the root of the call that replaces userId and anonymousId.
    hash_external_id: False sends the normalised id in clear, but never one that lies under context.traits.
    default_phone_country: ISO alpha-2 for phone numbers whose country nothing else tells.
    day_first_dates: whether "05-03-1995" is 5 March.
    """

    external_id_field: str | None = None
    hash_external_id: bool = True
    default_phone_country: str | None = None
    day_first_dates: bool = False


def build_user_data(event: SegmentEvent, options: MatchOptions, findings: Findings) -> UserData:
    """Return the user_data of a Conversions API event. Bad values are left out and warned about."""
    found = _hash_match_keys(event, options, findings)
    found += (
        _find_ip_address(event.context, findings),
        _find_user_agent(event.context),
        find_fbc(event, findings),
        find_fbp(event, findings),
    )
    return UserData(*found)


_NOTHING_OF_THE_BROWSER = (None,) * 4


def build_offline_user_data(
    event: SegmentEvent, options: MatchOptions, lead_id: object, findings: Findings
) -> UserData:
    """Return the user_data of an Offline Conversions event: nothing of the browser's, but the lead id.

    lead_id: as the call gives it, text or number; None when it gives none.
    """
    found = _hash_match_keys(event, options, findings)
    found += (*_NOTHING_OF_THE_BROWSER, _read_lead_id(lead_id, findings))
    return UserData(*found)


_TOO_WEAK_ALONE = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)


def check_enough_match_keys(user_data: UserData) -> Reason | None:
    """Object when Meta would refuse the event for lack of match keys: none, or only some of one of the weak sets.

    Source: Meta, "Best Practices" of the Conversions API; seen as error 2804050.
    """
    if user_data.external_id is not None or user_data.em is not None:
        return None
    present = _list_present(user_data)
    return "insufficient_match_keys" if any(present <= weak for weak in _TOO_WEAK_ALONE) else None


def check_enough_offline_match_keys(event: SegmentEvent, user_data: UserData) -> Reason | None:
    """Object as for the Conversions API, and when an anonymousId is all there is: no store knows anybody by that."""
    if not event.user_id and _list_present(user_data) == {"external_id"}:
        return "insufficient_match_keys"
    return check_enough_match_keys(user_data)


def _list_present(user_data: UserData) -> set[str]:
    return {key for key in UserData.__struct_fields__ if getattr(user_data, key)}


_Row = tuple[str, Hasher, MatchKey]

_TRAITS: tuple[_Row, ...] = tuple((row.name, row.hash_text, row) for row in MATCH_KEYS if not row.is_in_address)
_FIELDS_OF_ADDRESS: tuple[_Row, ...] = tuple((row.name, row.hash_text, row) for row in MATCH_KEYS if row.is_in_address)
"""The rows of the match keys, in the order of the table and of UserData, with what every event needs at hand."""


def _hash_match_keys(event: SegmentEvent, options: MatchOptions, findings: Findings) -> list[Any]:
    """Return em to external_id, None where there is nothing. An address that is no object has no fields."""
    traits = _find_object(event.context, "traits")
    address = _find_object(traits, "address")
    surroundings = _describe_surroundings(event, address, options, findings)
    hashes = _hash_rows(_TRAITS, traits, surroundings)
    hashes += _hash_rows(_FIELDS_OF_ADDRESS, address, surroundings)
    hashes.append(_find_external_id(event, options, surroundings))
    return hashes


def _hash_rows(rows: Sequence[_Row], place: JsonObject, surroundings: Surroundings) -> list[HashedValues | None]:
    hashes: list[HashedValues | None] = []
    for name, hash_trait, match_key in rows:
        given = place.get(name)
        # A good text is what nearly every trait is; everything else takes the longer way.
        hashed: HashedValues | None = hash_trait(given, surroundings) if isinstance(given, str) else None
        if hashed is None:
            hashed = _hash_unusual(given, match_key, place, surroundings)
        hashes.append(hashed)
    return hashes


def _hash_unusual(
    given: object, match_key: MatchKey, place: JsonObject, surroundings: Surroundings
) -> HashedValues | None:
    if given is None:
        given = find_substitute(match_key, place)
    return None if given is None else hash_given(given, match_key, surroundings)


def _find_object(parent: JsonObject, name: str) -> JsonObject:
    found = parent.get(name)
    return found if isinstance(found, dict) else _NOTHING


def _describe_surroundings(
    event: SegmentEvent, address: JsonObject, options: MatchOptions, findings: Findings
) -> Surroundings:
    country = _find_country(address.get("country"))
    phone_country = country
    if country is None and options.default_phone_country:
        phone_country = normalize_country(options.default_phone_country)
    return Surroundings(country, phone_country, options.day_first_dates, event.received_at.date(), findings)


def _find_country(given: object) -> str | None:
    if isinstance(given, str):
        return normalize_country(given)
    if isinstance(given, list):
        countries = (normalize_country(value) for value in given if isinstance(value, str))
        return next((country for country in countries if country is not None), None)
    return None


def _find_external_id(event: SegmentEvent, options: MatchOptions, surroundings: Surroundings) -> HashedValues | None:
    path = options.external_id_field
    given = event.find_field(path) if path else event.user_id or event.anonymous_id
    if given is None:
        if path:
            surroundings.findings.warn("external_id_missing")
        return None
    is_clear = not options.hash_external_id and not _is_below_traits(path)
    row = CLEAR_EXTERNAL_ID if is_clear else HASHED_EXTERNAL_ID
    hashed = row.hash_text(given, surroundings) if isinstance(given, str) else None
    return hash_given(given, row, surroundings) if hashed is None else hashed


def _is_below_traits(path: str | None) -> bool:
    return path is not None and f"{path}.".startswith(("context.traits.", "traits."))


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PLAIN_PUBLIC_IPV4 = re.compile(
    # First octets without a special range inside, which is nearly all of them; the rest take the long way.
    rf"(?!(?:10|100|127|169|172|192|198|203)\.)(?:[1-9][0-9]?|1[0-9]{{2}}|2[01][0-9]|22[0-3])(?:\.{_OCTET}){{3}}"
)
_DOCUMENTATION_NETWORKS = tuple(
    ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_ADDRESS_CHARACTERS = 64  # more than any address has; a longer text is no address and need not be remembered whole
_REMEMBERED_ADDRESSES = 4096


def _find_ip_address(context: JsonObject, findings: Findings) -> str | None:
    given = context.get("ip")
    if given is None:
        return None
    if isinstance(given, str) and (_PLAIN_PUBLIC_IPV4.fullmatch(given) or _is_public(given[:_ADDRESS_CHARACTERS])):
        return given
    findings.warn("invalid_client_ip_address")
    return None


@lru_cache(_REMEMBERED_ADDRESSES)
def _is_public(text: str) -> bool:
    """Tell whether Meta can use the address. Documentation ranges pass, since tests and examples use them."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    is_documentation = any(address in network for network in _DOCUMENTATION_NETWORKS)
    return is_documentation or (address.is_global and not address.is_multicast)


_LIBRARY_AGENTS = (
    "aiohttp/", "analytics-", "analytics.", "apache-httpclient/", "axios/", "curl/", "go-http-client/", "guzzlehttp/",
    "java/", "node-fetch", "okhttp/", "python-requests/", "python-urllib/", "ruby", "segment-", "undici", "wget/",
)  # fmt: skip


def _find_user_agent(context: JsonObject) -> str | None:
    """Return the browser's user agent as given; that of an HTTP library describes a server and would only mislead."""
    agent = context.get("userAgent")
    if not isinstance(agent, str) or not agent or agent.isspace():
        return None
    is_browser = agent.startswith("Mozilla/") or not agent.lower().startswith(_LIBRARY_AGENTS)
    return agent if is_browser else None


_LEAD_ID = re.compile("[0-9]{15,16}")


def _read_lead_id(given: object, findings: Findings) -> str | None:
    """Return the lead id as text, so that all its digits survive. A wrong one costs the whole request at Meta."""
    if given is None:
        return None
    text = read_text(int(given) if isinstance(given, float) and given.is_integer() else given)
    if text is not None and _LEAD_ID.fullmatch(text.strip()):
        return text.strip()
    findings.warn("invalid_lead_id")
    return None
