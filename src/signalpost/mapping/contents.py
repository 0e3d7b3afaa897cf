"""The products of an event: `contents`, `content_ids`, `content_type` and `num_items` of custom_data."""

from collections.abc import Mapping

from signalpost.mapping.amounts import read_number, read_quantity
from signalpost.mapping.findings import Findings
from signalpost.mapping.normalize import read_text
from signalpost.mapping.standard_events import ContentsRule, EventTable

JsonObject = Mapping[str, object]


def build_contents(
    properties: JsonObject,
    rule: ContentsRule,
    content_types: EventTable[str] | None,
    findings: Findings,
    *,
    always_by_category: bool = False,
) -> dict[str, object]:
    """Return the content keys of custom_data that this event has, in wire order; empty when it names no product.

    content_types: the destination's table of category -> content_type, if it has one.
    always_by_category: the category stands for the products even where they have ids.
    Source: Meta, "Custom Data Parameters"; Segment, "Facebook Conversions API destination", property table.
    """
    products = properties.get("products")
    if not products and isinstance(products, list) and not always_by_category:
        return {}
    contents = _find_contents(properties, products, rule, findings)
    category = content_type = None
    if content_types is not None or rule.by_category:  # which say what a category stands for
        category = _find_category(properties, products)
        if category and content_types is not None:
            content_type = content_types.find(category)
    keys: dict[str, object] = {}
    if rule.by_category and (always_by_category or not contents):
        if category:
            keys["content_ids"] = [category]
            content_type = content_type or _text(properties.get("content_type")) or "product_group"
    elif contents:
        keys["content_ids"] = [entry["id"] for entry in contents]
        keys["contents"] = contents
        content_type = content_type or _text(properties.get("content_type")) or "product"
    if content_type:
        keys["content_type"] = content_type
    if products and isinstance(products, list):
        keys["num_items"] = len(products)
    return keys


def _find_contents(
    properties: JsonObject, products: object, rule: ContentsRule, findings: Findings
) -> list[dict[str, object]]:
    if isinstance(products, list) and products:
        return _build_entries(products, findings)
    if products is not None and not isinstance(products, list):
        findings.warn("products_not_array")
    entry = _build_entry(properties, findings) if rule.at_top_level else None
    return [entry] if entry else []


def _build_entries(products: list[object], findings: Findings) -> list[dict[str, object]]:
    contents = []
    for product in products:
        entry = _build_entry(product, findings) if isinstance(product, dict) else None
        if entry is None:
            findings.warn("product_without_id")
        else:
            contents.append(entry)
    return contents


def _find_category(properties: JsonObject, products: object) -> str | None:
    """The event's own category, else that of its first product which has one."""
    category = _text(properties.get("category"))
    if category or not isinstance(products, list):
        return category
    categories = (_text(product.get("category")) for product in products if isinstance(product, dict))
    return next(filter(None, categories), None)


def _build_entry(product: JsonObject, findings: Findings) -> dict[str, object] | None:
    content_id = product.get("product_id")
    if not (isinstance(content_id, str) and content_id):
        content_id = _find_id(product)
        if content_id is None:
            return None
    entry: dict[str, object] = {"id": content_id}
    given = product.get("quantity")
    if given is not None:
        quantity = read_quantity(given)
        if quantity is None:
            findings.warn("invalid_quantity")
        else:
            entry["quantity"] = quantity
    given = product.get("price")
    if given is not None:
        price = read_number(given)
        if price is None:
            findings.warn("invalid_item_price")
        else:
            entry["item_price"] = price
    return entry


def _find_id(product: JsonObject) -> str | None:
    for name in ("product_id", "sku", "id"):
        value = product.get(name)
        content_id = value if isinstance(value, str) else _write_number(value)
        if content_id:
            return content_id
    return None


def _write_number(value: object) -> str | None:
    if isinstance(value, float):
        return str(int(value) if value.is_integer() else value)
    return read_text(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
