"""What Meta's codes for refused events mean, and what to do. Meta publishes no list of them.

Source: observed answers, reports of users, and Meta's own `error_user_msg`. A code that is not here is shown with
what Meta said to it.
"""

from collections.abc import Mapping
from typing import Final

META_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "100/2804003": (
        "Meta finds the event too old: more than 7 days, or 62 for sales in shops.",
        "Send events as they happen, with the true timestamp. It can't be delivered any more: discard it.",
    ),
    "100/2804004": (
        "The event is dated in the future.",
        "Set the sender's clock right, or let it send sentAt, by which wrong clocks are corrected.",
    ),
    "100/2804008": (
        "Meta can't read the products of the event.",
        "Send properties.products as a list of objects, each with a product_id, sku or id.",
    ),
    "100/2804009": (
        "A purchase without an amount.",
        "Send properties.revenue as a number with every purchase; 0 is allowed.",
    ),
    "100/2804010": (
        "A purchase without a currency.",
        "Send properties.currency as a three-letter code such as EUR.",
    ),
    "100/2804011": (
        "Meta does not know the currency of the purchase.",
        "Send a three-letter ISO 4217 code that Meta supports, with the amount in it.",
    ),
    "100/2804016": (
        "Meta objects to a field of custom_data.",
        "Compare the sample with an event that was delivered, mend the property that differs where it is sent.",
    ),
    "100/2804023": (
        "The event has an amount and no currency.",
        "Send properties.currency as a three-letter code beside the amount.",
    ),
    "100/2804036": (
        "Meta did not issue this lead id, or the lead was deleted.",
        "Send the 15 or 16 digits exactly as Meta gave them, as text and not as a number.",
    ),
    "100/2804043": (
        "An app's event without the version of its operating system.",
        "Send context.os.name and context.os.version; Segment's mobile SDKs do.",
    ),
    "100/2804050": (
        "The event says too little about the person for Meta to match it with anyone.",
        "Send an email, a phone number or a user id, or the IP address together with the user agent.",
    ),
    "100/2804066": (
        "Meta takes no event of this name from a conversation.",
        "Use LeadSubmitted, Purchase, AddToCart, InitiateCheckout or ViewContent, or another action source.",
    ),
    "100/2804087": (
        "The WhatsApp click id is not valid.",
        "Send ctwa_clid exactly as WhatsApp gave it; upper and lower case matter.",
    ),
    "105": (
        "The event has more fields than Meta takes.",
        "Send fewer properties with it.",
    ),
    "too_large": (
        "The event alone is larger than Meta takes.",
        "Send shorter or fewer properties with it.",
    ),
}
"""Meta's code, or code/subcode, or "too_large" -> meaning, fix."""
