"""custom_data: value and currency, products, search text, and every property that is mapped nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from signalpost.mapping.currencies import read_currency
from signalpost.mapping.findings import Findings
from signalpost.mapping.personal_data import Rule, clean_property, clean_value
from signalpost.mapping.standard_events import PURCHASE

JsonObject = Mapping[str, object]

MAPPED_PROPERTIES = frozenset(
    {"revenue", "currency", "value", "products", "query", "fbp", "fbc", "action_source", "actionSource", "event_id"}
)
"""Properties that have their own place in the server event, and so are not repeated under their own name."""


@dataclass(frozen=True, slots=True)
class CustomDataOptions:
    """personal_data: what happens to it among the properties. mapped_elsewhere: path of what is sent as external id."""

    personal_data: Rule = "drop"
    mapped_elsewhere: Sequence[str] = ()


def build_custom_data(
    properties: JsonObject,
    event_name: str,
    value: float | None,
    contents: JsonObject,
    options: CustomDataOptions,
    findings: Findings,
) -> dict[str, object] | None:
    """Return custom_data in wire order, or None when there is nothing in it.

    event_name: Meta's name; a Purchase without a value or a known currency is rejected.
    value, contents: as their own builders found them.
    Source: Meta, "Custom Data Parameters"; Segment, "Facebook Conversions API destination", default mappings.
    """
    custom_data = {**_build_value(properties, event_name, value, findings), **contents}
    rule = options.personal_data
    query = properties.get("query")
    if query is not None and (search_string := _build_search_string(query, rule, findings)):
        custom_data["search_string"] = search_string
    if options.mapped_elsewhere:
        properties = _leave_out(properties, options.mapped_elsewhere)
    for name, given in properties.items():
        if name in MAPPED_PROPERTIES or given is None:
            continue
        if name in custom_data:
            if custom_data[name] != given:
                findings.warn("property_overridden")
            continue
        kept = clean_property(name, given, rule, findings)
        if kept is not None:
            custom_data[name] = kept
    return custom_data or None


def _leave_out(properties: JsonObject, path: Sequence[str]) -> JsonObject:
    name, *rest = path
    given = properties.get(name)
    if not rest:
        return {**properties, name: None}
    return {**properties, name: _leave_out(given, rest)} if isinstance(given, dict) else properties


def _build_value(properties: JsonObject, event_name: str, value: float | None, findings: Findings) -> dict[str, object]:
    currency = read_currency(properties.get("currency"))
    if event_name == PURCHASE:
        if value is None:
            findings.reject("missing_value")
        if currency is None:
            findings.reject("invalid_currency")
    if currency is None:
        if event_name != PURCHASE:
            findings.warn("invalid_currency")
        return {}
    return {"currency": currency} if value is None else {"value": value, "currency": currency}


def _build_search_string(query: object, rule: Rule, findings: Findings) -> str | None:
    cleaned = clean_value(query, rule, findings)
    if cleaned is None or isinstance(cleaned, str):
        return cleaned
    return msgspec.json.encode(cleaned).decode()
