"""Personal data among the properties and in addresses: what is found, and what is left alone."""

import pytest

from signalpost.mapping.findings import Findings
from signalpost.mapping.normalize import hash_value
from signalpost.mapping.personal_data import build_event_source_url, clean_value
from signalpost.model.ids import DatasetId
from signalpost.model.server_event import ServerEvent

HASH = hash_value("jo@example.com")


def warnings_of(findings: Findings) -> tuple[str, ...]:
    return findings.conclude(DatasetId("1"), ServerEvent("x", 1, "x", "website")).warnings


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("mailto:jo@example.com?subject=hi", f"mailto:{HASH}?subject=hi"),
        ("jo@example.com?", f"{HASH}?"),
        ("https://shop.example/of/jo@example.com?x=1", f"https://shop.example/of/{HASH}?x=1"),
        ("https://shop.example/?mail=jo%40example.com", f"https://shop.example/?mail={HASH}"),
        ("https://shop.example/?mail=Jo@Example.com#top", f"https://shop.example/?mail={HASH}#top"),
    ],
)
def test_an_address_with_a_query_loses_every_email(text: str, cleaned: str) -> None:
    """In a property that is an address, e-mails before and behind the question mark are hashed, with a warning."""
    findings = Findings()
    assert clean_value(text, "drop", findings) == cleaned
    assert warnings_of(findings) == ("pii_in_properties",)


@pytest.mark.parametrize("text", ["who is it?", "a@b ?", "https://shop.example/?at=12:00@noon", "50% off?"])
def test_other_texts_with_a_question_mark_stay(text: str) -> None:
    """What holds no e-mail address is sent as it was given."""
    findings = Findings()
    assert clean_value(text, "drop", findings) == text
    assert warnings_of(findings) == ()


def test_a_page_address_keeps_what_stands_before_its_query() -> None:
    """The path of event_source_url is not touched: Meta has to recognise the page."""
    findings = Findings()
    url = "https://user:word@shop.example/thanks?mail=jo@example.com"
    assert build_event_source_url(url, findings) == f"https://user:word@shop.example/thanks?mail={HASH}"
