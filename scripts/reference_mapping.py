"""The page on mapping: what becomes of an event's name, its properties and its traits.

What a table of the code says is read from that table. What only code says is found by mapping a sample call and looking
at the result, so that the page can't say what mapping does not do.
"""

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args

import signalpost
from scripts.markdown_table import write_table
from signalpost.mapping.action_source import ACTION_SOURCES
from signalpost.mapping.amounts import _REVENUE_PROPERTIES
from signalpost.mapping.custom_data import MAPPED_PROPERTIES
from signalpost.mapping.destinations import DESTINATION_TYPES, conversions_api, offline_conversions
from signalpost.mapping.destinations.destination_type import DestinationType, PersonalDataRule
from signalpost.mapping.match_keys import MATCH_KEYS, MatchKey
from signalpost.mapping.normalize import normalize_external_id
from signalpost.mapping.personal_data import _NORMALISERS
from signalpost.mapping.standard_events import (
    CONTENTS_RULES,
    MAX_CUSTOM_NAME_CHARACTERS,
    PURCHASE,
    STANDARD_EVENTS,
    VERSION_1_NAMES,
    EventTable,
)
from signalpost.model.server_event import UserData

CAPI, OFFLINE = conversions_api.CONVERSIONS_API, offline_conversions.OFFLINE_CONVERSIONS
RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
JsonObject = Mapping[str, Any]
Row = TypeVar("Row")


def build_mapping() -> Iterator[str]:
    """The lines of the page."""
    yield "# Mapping"
    yield ""
    yield from _say(
        "What becomes of a Segment call on its way to Meta. [`signalpost map`](../try-a-mapping.md) shows it for a "
        "call of yours; [settings](settings.md) has every setting, [codes](codes.md) every reason and warning."
    )
    for title, describe in _SECTIONS.items():
        yield f"## {title}"
        yield ""
        yield from describe()


def _say(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)
    yield ""


def _label(to: DestinationType[Any], name: str) -> str:
    return f"*{to.settings.model_fields[name].title}* (`{name}`)"


def _list_codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _rows_of(table: EventTable[Row]) -> dict[str, Row]:
    return table._exact  # noqa: SLF001 - the page shows what the table was made from


def _map_sample(
    properties: JsonObject,
    settings: JsonObject | None = None,
    *,
    to: DestinationType[Any] = CAPI,
    event: str = "Sample",
) -> dict[str, Any]:
    """The server event that a call with these properties becomes."""
    required = {"pixel_id": "1234567890"} if to is CAPI else {"event_sets": {event: "1234567890"}}
    call = {"type": "track", "event": event, "userId": "u1", "properties": properties}
    parsed = signalpost.parse_call(call, signalpost.RequestContext(RECEIVED_AT, lambda: "message-id"))
    if not isinstance(parsed, signalpost.SegmentEvent):
        raise TypeError(parsed.message)
    (result,) = signalpost.map_event(parsed, signalpost.build_destination(to.slug, {**required, **(settings or {})}))
    if result.server_event is None:
        raise TypeError(result)
    sent: dict[str, Any] = json.loads(result.server_event.to_json())
    return sent


def _describe_names() -> Iterator[str]:
    yield from _say(
        "A name is looked up exactly, then in any case, then by the name that version 2 of Segment's e-commerce "
        "specification gave to an event of version 1. A name in no table stays as it is; it may have up to "
        f"{MAX_CUSTOM_NAME_CHARACTERS} characters."
    )
    tables = {CAPI.slug: conversions_api.DEFAULT_EVENTS, OFFLINE.slug: offline_conversions.DEFAULT_EVENTS}
    older = {new: old for old, new in VERSION_1_NAMES.items()}
    rows = (
        (name, older.get(name, ""), *(_list_codes(filter(None, [table.find(name)])) for table in tables.values()))
        for name in dict.fromkeys(name for table in tables.values() for name in _rows_of(table))
    )
    yield from write_table(("your event", "in version 1", *(f"{slug} sends" for slug in tables)), rows)
    yield from _say(
        f"**{CAPI.slug}**: {_label(CAPI, 'standard_events')} beats this table. It maps to one of Meta's standard "
        f"events: {_list_codes(STANDARD_EVENTS)}. With {_label(CAPI, 'page_view_events')} on, a page call is sent as "
        "`PageView`."
    )
    yield from _say(f"**{OFFLINE.slug}** sends only what its own tables name, once for each table that does:")
    labels = [name for name in OFFLINE.settings.model_fields if name.endswith("event_sets")]
    rows = (
        (_label(OFFLINE, label), f"`{fixed_name}`" if fixed_name else "as in the table above")
        for label, (fixed_name, _) in zip(labels, OFFLINE.settings().tables, strict=True)
    )
    yield from write_table(("setting", "sent as"), rows)


def _describe_value() -> Iterator[str]:
    first, *others = [name for name, _ in _REVENUE_PROPERTIES]
    yield from _say(
        f"The value is `{first}`; without it {' or '.join(f'`{name}`' for name in others)}, with a warning. Some "
        f"events take it from one property alone, which {_label(CAPI, 'value_field')} names:"
    )
    named: Mapping[str, EventTable[Any]] = {
        CAPI.slug: conversions_api.VALUE_FIELD_EVENTS,
        OFFLINE.slug: offline_conversions.VALUE_FIELD_EVENTS,
    }
    warned = "that property; a warning without it"
    words: Mapping[Any, str] = {None: f"`{first}`", "optional": "that property", "expected": warned, True: warned}
    rows = (
        (name, *(words[table.find(name)] for table in named.values()))
        for name in dict.fromkeys(name for table in named.values() for name in _rows_of(table))
    )
    yield from write_table(("event", *named), rows)
    defaults = (f"`{to.settings.model_fields['value_field'].default}` for {to.slug}" for to in (CAPI, OFFLINE))
    yield from _say(
        f"The setting is {', '.join(defaults)} unless you say otherwise. A missing currency is "
        f"`{_map_sample({})['custom_data']['currency']}`. A `{PURCHASE}` needs a value, and a currency of ISO 4217."
    )


def _describe_contents() -> Iterator[str]:
    yield from _say(
        "The list `products` of any event becomes `contents`, `content_ids`, `content_type` and `num_items`. Without "
        "it, some events name what they are about in another way:"
    )
    rows = (
        (
            name,
            "yes" if rule.at_top_level else "",
            "yes" if rule.by_category else "",
        )
        for name, rule in _rows_of(CONTENTS_RULES).items()
    )
    yield from write_table(("event", "its own properties are one product", "`category` stands for products"), rows)
    yield from _say(f"Some examples, with `cars` -> `vehicle` in {_label(CAPI, 'content_types')}:")
    product = {"product_id": "g-32", "price": 18.99, "quantity": 2}
    samples: list[tuple[DestinationType[Any], str, JsonObject]] = [
        (CAPI, "Order Completed", {"revenue": 5, "products": [{**product, "name": "Monopoly"}, {"sku": "c-7"}]}),
        (CAPI, "Product Viewed", product),
        (CAPI, "Product List Viewed", {"category": "Games"}),
        (CAPI, "Product List Viewed", {"category": "cars"}),
        (CAPI, "Product List Viewed", {"category": "Games", "products": [{"id": 7}]}),
        (OFFLINE, "Product List Viewed", {"category": "Games", "products": [{"id": 7}]}),
    ]
    keys = ("content_ids", "contents", "content_type", "num_items")
    shown = []
    for to, event, properties in samples:
        settings = {"content_types": {"cars": "vehicle"}} if to is CAPI else {}
        custom_data = _map_sample(properties, settings, to=to, event=event)["custom_data"]
        sent = (f"`{json.dumps(custom_data[key])}`" if key in custom_data else "" for key in keys)
        shown.append((to.slug, event, f"`{json.dumps(properties)}`", *sent))
    yield from write_table(("destination type", "event", "properties", *(f"`{key}`" for key in keys)), shown)


def _describe_match_keys() -> Iterator[str]:
    yield from _say(
        "Each of these is normalised and hashed with SHA-256 before it is stored or sent; what is a SHA-256 already "
        "stays as it is. A list gives several hashes. A bad value is left out, with a warning."
    )
    rows = [(f"`{row.key}`", _places_of(row), "; ".join(_rules_of(row.hash_text)), "always") for row in MATCH_KEYS]
    rows.append((
        "`external_id`",
        f"`userId`, else `anonymousId`; or what {_label(CAPI, 'external_id_field')} names",
        _first_line(normalize_external_id),
        f"unless {_label(CAPI, 'hash_external_id')} is off",
    ))  # fmt: skip
    yield from write_table(("`user_data`", "where it is looked for", "what is sent", "hashed"), rows)
    yield from _say("These are sent as they came, since Meta wants them unhashed:")
    hashed = {row.key for row in MATCH_KEYS} | {"external_id"}
    plain = [key for key in UserData.__struct_fields__ if key not in hashed]
    yield from write_table(("`user_data`", "where it is looked for", "sent by"), map(_describe_plain_key, plain))


_CLICK_IDS = "`properties.{0}`, `context.clientIds.{0}`, `context.{0}`"
_PLAIN_KEYS = {
    "client_ip_address": "`context.ip`, if it is a public address",
    "client_user_agent": "`context.userAgent`, if it is a browser's",
    "fbc": _CLICK_IDS.format("fbc") + "; else built from the `fbclid` of `context.page.url`",
    "fbp": _CLICK_IDS.format("fbp"),
    "lead_id": f"`leadId` in `integrations.{OFFLINE.integration_names[0]}`, else in `context`",
}


def _describe_plain_key(key: str) -> tuple[str, str, str]:
    return f"`{key}`", _PLAIN_KEYS[key], OFFLINE.slug if key == "lead_id" else CAPI.slug


def _places_of(row: MatchKey) -> str:
    place = "context.traits.address" if row.is_in_address else "context.traits"
    places = [f"`{place}.{name}`" for name in (row.name, *row.other_names)]
    if row.word_of_name is not None:
        word = {0: "first word", -1: "last of several words"}[row.word_of_name]
        places.append(f"the {word} of `context.traits.name`")
    return ", ".join(places)


def _rules_of(hasher: Callable[..., object]) -> Iterator[str]:
    """The first lines of the rules behind a hasher, found among what it refers to."""
    variables = inspect.getclosurevars(hasher)
    for rule in filter(inspect.isfunction, (*variables.nonlocals.values(), *variables.globals.values())):
        if rule.__name__.startswith("_normalize"):
            yield from _rules_of(rule)
        elif rule.__name__.startswith(("normalize_", "find_unrecognized", "find_bare")):
            yield _first_line(rule)


def _first_line(rule: Callable[..., object]) -> str:
    line = (inspect.getdoc(rule) or "").splitlines()[0]
    return line.removeprefix("Return ").rstrip(".").replace("; None ", "; nothing ")


def _describe_properties() -> Iterator[str]:
    yield from _say(
        "These have a place of their own. Every other property goes into `custom_data` under its own name, with all "
        "that is inside it but null. One with the name of something computed gives way to it, with a warning."
    )
    rows = ((f"`{name}`", _list_codes(_find_changes({name: given}))) for name, given in _SAMPLES.items())
    yield from write_table(("property", "becomes"), rows)


_SAMPLES: JsonObject = {
    "revenue": 5,
    "value": 5,
    "currency": "EUR",
    "products": [{"product_id": "g-32"}],
    "query": "blue roses",
    "fbp": "fb.1.1795262000000.1098115397",
    "fbc": "fb.1.1795262390000.AbC_9",
    "action_source": "email",
    "actionSource": "email",
    "event_id": "order-1",
}
if _SAMPLES.keys() != MAPPED_PROPERTIES:
    raise ValueError(_SAMPLES.keys() ^ MAPPED_PROPERTIES)


def _find_changes(properties: JsonObject) -> list[str]:
    """What a server event has, or has another value of, because of these properties."""
    without, sent = _flatten(_map_sample({})), _flatten(_map_sample(properties))
    return [path for path, value in sent.items() if without.get(path) != value]


def _flatten(sent: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in sent.items():
        below = value.items() if name in {"user_data", "custom_data"} else ()
        flat |= {f"{name}.{key}": kept for key, kept in below} if below else {name: value}
    return flat


def _describe_action_sources() -> Iterator[str]:
    defaults = (f"`{_map_sample({}, to=to)['action_source']}` for {to.slug}" for to in (CAPI, OFFLINE))
    yield from _say(
        f"`properties.action_source` (or `actionSource`) says it; without it, it is {', '.join(defaults)}. Any other "
        "name rejects the event, and so does an event that is too old:"
    )
    rows = (
        (f"`{name}`", f"{source.max_age // timedelta(days=1)} days", "yes" if source.needs_more_fields else "")
        for name, source in ACTION_SOURCES.items()
    )
    yield from write_table(("action source", "oldest event", "Meta wants fields that are not built"), rows)


def _describe_data_processing() -> Iterator[str]:
    yield from _say(
        f"With {_label(CAPI, 'limited_data_use')} on, Meta's data processing options are sent: those of the call, or "
        "else:"
    )
    keys = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")
    rows = (
        (to.slug, *(f"`{json.dumps(sent[key])}`" if key in sent else "not sent" for key in keys))
        for to in (CAPI, OFFLINE)
        for sent in [_map_sample({}, {"limited_data_use": True}, to=to)]
    )
    yield from write_table(("destination type", *(f"`{key}`" for key in keys)), rows)
    yield from _say(
        "A call brings its own as `dataProcessingOptions`, a list of options, country and state, below a name of the "
        "destination in `integrations`:"
    )
    rows = ((to.slug, _list_codes(to.integration_names)) for to in DESTINATION_TYPES.values())
    yield from write_table(("destination type", "names, the first that has options wins"), rows)


def _describe_personal_data() -> Iterator[str]:
    yield from _say(
        f"Personal are properties named {_list_codes(_NORMALISERS)}, in any case, with or without `_`, `-` and blanks, "
        "at any depth; and a text that is an e-mail address or an address of a page with one in its query. They belong "
        "in `context.traits`, where they are hashed and help matching. Among the properties "
        f"{_label(CAPI, 'custom_data_pii')} decides:"
    )
    sample = {"first_name": "Jo", "note": "Jo@Ex.com", "link": "https://shop.example/?mail=jo@ex.com"}
    rows = [(f"`{name}`", f"`{given}`", *_list_cleaned(name, given)) for name, given in sample.items()]
    rules = (f"`{rule}`" for rule in get_args(PersonalDataRule))
    yield from write_table(("property", "given", *rules), rows)
    yield from _say("In the query of the page's own address an e-mail address is always replaced by its hash.")


def _list_cleaned(name: str, given: str) -> Iterator[str]:
    for rule in get_args(PersonalDataRule):
        kept = _map_sample({name: given}, {"custom_data_pii": rule})["custom_data"].get(name)
        yield "left out" if kept is None else f"`{re.sub('[0-9a-f]{58}(?=[0-9a-f]{6})', '...', kept)}`"


_SECTIONS: Mapping[str, Callable[[], Iterator[str]]] = {
    "Names of events": _describe_names,
    "Value and currency": _describe_value,
    "Products": _describe_contents,
    "Customer information": _describe_match_keys,
    "Properties": _describe_properties,
    "Where it happened": _describe_action_sources,
    "Limited Data Use": _describe_data_processing,
    "Personal data in properties": _describe_personal_data,
}
