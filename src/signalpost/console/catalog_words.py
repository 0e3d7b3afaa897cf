"""How the catalog presents each destination type: a name, a sentence, and what to have at hand."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TypeWords:
    """One destination type for people."""

    slug: str
    name: str
    promise: str
    needs: str


CATALOG_WORDS: Final = (
    TypeWords(
        "facebook-conversions-api",
        "Facebook Conversions API",
        "Sends purchases, leads and other web events to a Meta pixel from your server, as they happen.",
        "A pixel ID and a system user's access token, both from Meta's Events Manager.",
    ),
    TypeWords(
        "facebook-offline-conversions",
        "Facebook Offline Conversions",
        "Sends sales made in shops, by phone or in a CRM to Meta, up to 62 days later.",
        "The ID of an event set (a dataset) for each event you send, and an access token.",
    ),
)


def describe_type(slug: str) -> TypeWords:
    """The words for a type; its slug where nobody has written any."""
    return next((words for words in CATALOG_WORDS if words.slug == slug), TypeWords(slug, slug, "", ""))
