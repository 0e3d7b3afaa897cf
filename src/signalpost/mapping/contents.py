"""The products of an event: `contents`, `content_ids`, `content_type` and `num_items` of custom_data."""

from collections.abc import Mapping
from typing import NamedTuple

from signalpost.mapping.amounts import read_number, read_quantity
from signalpost.mapping.findings import Findings
from signalpost.mapping.normalize import read_text
from signalpost.mapping.standard_events import ContentsRule, EventTable

JsonObject = Mapping[str, object]


class _Products(NamedTuple):
    contents: list[JsonObject]
    category: str | None
    listed: int | None  # None when the event has no `products` list


def build_contents(
    properties: JsonObject,
    rule: ContentsRule,
    content_types: EventTable[str],
    findings: Findings,
    *,
    always_by_category: bool = False,
) -> dict[str, object]:
    """Return the content keys of custom_data that this event has, in wire order; empty when it names no product.

    content_types: the destination's table of category -> content_type.
    always_by_category: the category stands for the products even where they have ids.
    Source: Meta, "Custom Data Parameters"; Segment, "Facebook Conversions API destination", property table.
    """
    products = properties.get("products")
    if products == [] and not always_by_category:
        return {}
    found = _find_products(properties, products, rule, findings)
    category = _text(properties.get("category")) or found.category
    if rule.by_category and (always_by_category or not found.contents):
        return _build_product_group(properties, category, content_types, found.listed)
    content_type = content_types.find(category) if category else None
    if not found.contents:
        return (
            {"content_type": content_type, **_count_only(found.listed)} if content_type else _count_only(found.listed)
        )
    return {
        "content_ids": [entry["id"] for entry in found.contents],
        "contents": found.contents,
        "content_type": content_type or _text(properties.get("content_type")) or "product",
        **_count_only(found.listed),
    }


def _build_product_group(
    properties: JsonObject, category: str | None, content_types: EventTable[str], count: int | None
) -> dict[str, object]:
    if category is None:
        return _count_only(count)
    content_type = content_types.find(category) or _text(properties.get("content_type")) or "product_group"
    return {"content_ids": [category], "content_type": content_type, **_count_only(count)}


def _count_only(count: int | None) -> dict[str, object]:
    return {} if count is None else {"num_items": count}


def _find_products(properties: JsonObject, products: object, rule: ContentsRule, findings: Findings) -> _Products:
    if isinstance(products, list) and products:
        return _read_products(products, findings)
    if products is not None and not isinstance(products, list):
        findings.warn("products_not_array")
    if rule.at_top_level:
        entry = _build_entry(properties, findings)
        return _Products([entry] if entry else [], None, None)
    return _Products([], None, None)


def _read_products(products: list[object], findings: Findings) -> _Products:
    contents: list[JsonObject] = []
    category: str | None = None
    for product in products:
        entry = _build_entry(product, findings) if isinstance(product, dict) else None
        if entry is None:
            findings.warn("product_without_id")
        else:
            contents.append(entry)
        if category is None and isinstance(product, dict):
            category = _text(product.get("category"))
    return _Products(contents, category, len(products))


def _build_entry(product: JsonObject, findings: Findings) -> dict[str, object] | None:
    content_id = _find_id(product)
    if content_id is None:
        return None
    entry: dict[str, object] = {"id": content_id}
    given_quantity, given_price = product.get("quantity"), product.get("price")
    if given_quantity is not None:
        quantity = read_quantity(given_quantity)
        if quantity is None:
            findings.warn("invalid_quantity")
        else:
            entry["quantity"] = quantity
    if given_price is not None:
        price = read_number(given_price)
        if price is None:
            findings.warn("invalid_item_price")
        else:
            entry["item_price"] = price
    return entry


def _find_id(product: JsonObject) -> str | None:
    for name in ("product_id", "sku", "id"):
        value = product.get(name)
        if isinstance(value, float):
            return str(int(value) if value.is_integer() else value)
        content_id = value if isinstance(value, str) else read_text(value)
        if content_id:
            return content_id
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
