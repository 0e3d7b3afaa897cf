"""The code that people copy from a source's page."""

from pathlib import Path

import pytest

from signalpost.console.snippets import SENDERS, build_snippets

KEY = "wk_0123456789abcdef"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://gateway.example.com"])
def test_each_has_the_real_address_and_key(url: str) -> None:
    """And none is left without them; which SDKs speak https only is told where the address is http."""
    host = url.partition("://")[2]
    for snippet in build_snippets(url, KEY):
        assert KEY in snippet.code, snippet.id
        assert host in snippet.code or host.partition(":")[0] in snippet.code, snippet.id
        assert "YOUR_" not in snippet.code, snippet.id
        assert "Order Completed" in snippet.code, snippet.id
    needing = {sender.id for sender in SENDERS if sender.needs_https}
    told = {snippet.id for snippet in build_snippets(url, KEY) if "https only" in snippet.where}
    assert told == (needing if url.startswith("http:") else set())


@pytest.mark.parametrize(
    "words",
    [
        "@segment/analytics-next",
        "@segment/analytics-node",
        "segment.analytics",
        "Segment::Analytics",
        "Segment\\Segment::init",
        "analytics.NewWithConfig",
        "Analytics.builder",
        "new Configuration",
        "putInContextUnderKey",
        "Configuration(writeKey",
        "useSegmentEndpoints",
    ],
)
def test_each_sdk_of_the_docs_has_one(words: str) -> None:
    """Told by what stands in the docs' own snippet of it."""
    pages = "\n".join(page.read_text() for page in Path("docs/sdks").glob("*.md"))
    assert words in pages
    assert any(words in snippet.code for snippet in build_snippets("http://x", KEY))
