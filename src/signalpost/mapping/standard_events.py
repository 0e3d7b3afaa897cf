"""Names: Meta's standard events, Segment's e-commerce events, and how an event's name is looked up.

Every table is searched the same way: exactly, then in any case, then by the name that version 2 of Segment's e-commerce
specification gave to an event of version 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

MAX_CUSTOM_NAME_CHARACTERS = 50
_REMEMBERED_NAMES = 1024
_REMEMBERED_CHARACTERS = 100
PURCHASE = "Purchase"

STANDARD_EVENTS = (
    "ViewContent",
    "Search",
    "AddToCart",
    "AddToWishlist",
    "InitiateCheckout",
    "AddPaymentInfo",
    PURCHASE,
    "Lead",
    "CompleteRegistration",
    "Contact",
    "CustomizeProduct",
    "Donate",
    "FindLocation",
    "Schedule",
    "StartTrial",
    "SubmitApplication",
    "Subscribe",
)
"""Meta's 17 standard names. Source: Meta Pixel reference, "Standard Events"; PageView belongs to page calls alone."""

VERSION_1_NAMES = {
    "completed order": "Order Completed",
    "added product": "Product Added",
    "viewed product": "Product Viewed",
    "viewed product category": "Product List Viewed",
    "searched products": "Products Searched",
    "started order": "Checkout Started",
}
"""Lower-cased name of version 1 -> name of version 2. Source: Segment, "Spec: V2 Ecommerce Events", migration table."""

Row = TypeVar("Row")


class EventTable(Generic[Row]):
    """Event name -> row, found exactly first, then in any case (the first row wins), then by its version 2 name."""

    __slots__ = ("_any_case", "_exact")

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._exact = dict(rows)
        self._any_case: dict[str, Row] = {}
        for name, row in rows.items():
            self._any_case.setdefault(name.lower(), row)

    def find(self, name: str) -> Row | None:
        """Return the row for a name, or None."""
        row = self._exact.get(name)
        if row is not None:
            return row
        lower_name = name.lower()
        row = self._any_case.get(lower_name)
        if row is None and lower_name in VERSION_1_NAMES:
            return self.find(VERSION_1_NAMES[lower_name])
        return row


def remember_names(decide: Callable[[str], Row]) -> Callable[[str], Row]:
    """Remember what is decided by an event's name alone: a shop has few of them, and each comes a thousand times."""
    remembered = lru_cache(_REMEMBERED_NAMES)(decide)
    return lambda name: remembered(name) if len(name) <= _REMEMBERED_CHARACTERS else decide(name)


@dataclass(frozen=True, slots=True)
class ContentsRule:
    """Where an event's products are found besides its `products` property.

    at_top_level: the event may describe one product in its own properties.
    by_category: without product ids, the category stands for a group of products.
    """

    at_top_level: bool = False
    by_category: bool = False


NO_CONTENTS_RULE = ContentsRule()

CONTENTS_RULES = EventTable(
    {
        "Product Viewed": ContentsRule(at_top_level=True),
        "Product Added": ContentsRule(at_top_level=True),
        "Product Added to Wishlist": ContentsRule(at_top_level=True),
        "Products Searched": ContentsRule(at_top_level=True),
        "Product List Viewed": ContentsRule(by_category=True),
    }
)
"""Source: Segment, "Spec: V2 Ecommerce Events", the properties of each event."""
