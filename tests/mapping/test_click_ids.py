"""fbc and fbp: where they are found, what is well formed, and the fbc built from a page address."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.mapping.click_ids import find_fbc, find_fbp
from signalpost.mapping.findings import Findings
from signalpost.model.ids import DatasetId, MessageId
from signalpost.model.results import WarningCode
from signalpost.model.segment_event import SegmentEvent
from signalpost.model.server_event import ServerEvent

HAPPENED_AT = datetime(2026, 11, 21, 11, 59, 58, 250000, tzinfo=UTC)
RECEIVED_AT = HAPPENED_AT + timedelta(seconds=2)
FBC, FBP = "fb.1.1795262390000.AbC_9", "fb.1.1795262000000.1098115397"


Found = tuple[str | None, str | None, tuple[WarningCode, ...]]


def find(properties: Any = None, context: Any = None, timestamp: datetime = HAPPENED_AT) -> Found:
    """The fbc, the fbp and the warnings of a call."""
    event = SegmentEvent(
        type="track",
        message_id=MessageId("m-1"),
        timestamp=timestamp,
        received_at=RECEIVED_AT,
        properties=properties or {},
        context=context or {},
    )
    findings = Findings()
    fbc, fbp = find_fbc(event, findings), find_fbp(event, findings)
    return fbc, fbp, findings.conclude(DatasetId("1"), ServerEvent("Seen", 0, "m-1", "website")).warnings


def on_page(url: object) -> dict[str, object]:
    return {"page": {"url": url}}


@pytest.mark.parametrize(
    ("properties", "context"),
    [
        pytest.param({"fbc": FBC, "fbp": FBP}, {}, id="F046"),
        pytest.param({}, {"clientIds": {"fbc": FBC, "fbp": FBP}}, id="F195-clientIds"),
        pytest.param({}, {"fbc": FBC, "fbp": FBP}, id="F195-context"),
        pytest.param(
            {"fbc": FBC, "fbp": FBP},
            {"clientIds": {"fbc": "fb.1.1.c", "fbp": "fb.1.1.1"}, "fbc": "fb.1.1.d", "fbp": "fb.1.1.2"},
            id="F195-properties-first",
        ),
        pytest.param(
            {"fbc": None}, {"clientIds": {"fbc": FBC, "fbp": FBP}, "fbc": "x", "fbp": "x"}, id="F195-then-clientIds"
        ),
        pytest.param({"fbc": f" {FBC}", "fbp": f"{FBP}\n"}, {"clientIds": "x"}, id="white-space-around"),
    ],
)
def test_where_click_ids_are_found(properties: Any, context: Any) -> None:
    """Properties beat context.clientIds, which beats context; a well-formed fbc beats the page's fbclid."""
    page = on_page("https://s.example/?fbclid=Other")
    assert find(properties, {**context, **page}) == (FBC, FBP, ())


def test_f196_fbc_is_built_from_the_page_address() -> None:
    """F196: the fbclid keeps its case; the time is the event's, in milliseconds."""
    assert find(context=on_page("https://s.example/?fbclid=AbC_9")) == ("fb.1.1795262398250.AbC_9", None, ())


def test_fbc_of_an_event_in_the_future() -> None:
    """An event from the future happened when it was received, and so did its click."""
    fbc, *_ = find(context=on_page("https://s.example/?fbclid=a"), timestamp=RECEIVED_AT + timedelta(hours=1))
    assert fbc == "fb.1.1795262400250.a"


def test_f197_a_malformed_fbc_is_rebuilt() -> None:
    """F197: malformed counts as absent, with a warning."""
    found = find({"fbc": "abc"}, on_page("https://s.example/?fbclid=AbC_9"))
    assert found == ("fb.1.1795262398250.AbC_9", None, ("invalid_fbc",))


def test_f198_a_malformed_fbp_is_left_out() -> None:
    """F198: nobody can rebuild an fbp, but the next place may have a good one."""
    assert find({"fbp": "fb.1.x.9"}) == (None, None, ("invalid_fbp",))
    assert find({"fbp": "fb.1.x.9"}, {"fbp": FBP}) == (None, FBP, ("invalid_fbp",))


@pytest.mark.parametrize("fbp", [FBP, f"{FBP}.AQ", f"{FBP}.AQQAAQIB", "fb.0.1.1", "fb.2.1.1"])
def test_well_formed_fbp(fbp: str) -> None:
    """The appendix of Meta's library stays on the wire."""
    assert find({"fbp": fbp}) == (None, fbp, ())


@pytest.mark.parametrize("given_id", ["", " ", "fb.1.1", "FB.1.1.1", "fb.1.1.1 1", "fb.1.\u0661.1", 5, True, [FBP], {}])
def test_malformed_click_ids(given_id: object) -> None:
    """What is not text of Meta's shape is warned about and left out."""
    assert find({"fbp": given_id, "fbc": given_id}) == (None, None, ("invalid_fbc", "invalid_fbp"))


def test_a_tail_of_three_characters() -> None:
    """All after the third dot of an fbc is the click id; an fbp has digits there, then an appendix of 2 or 8."""
    assert find({"fbp": "fb.1.1.1.AQQ", "fbc": "fb.1.1.1.AQQ"}) == ("fb.1.1.1.AQQ", None, ("invalid_fbp",))


@pytest.mark.parametrize(
    ("url", "fbclid"),
    [
        ("https://s.example/?a=1&fbclid=x&fbclid=y", "x"),
        ("https://s.example/?fbclid=a%2Eb%2B+c", "a.b++c"),
        ("https://s.example/?fbclid=a#fbclid=b", "a"),
        ("https://s.example/?fbclid=%E4%BD%A0", "你"),
        ("https://s.example/#?fbclid=a", None),
        ("https://s.example/?fbclid=&fbclid=b", None),
        ("https://s.example/?fbclid=a%20b", None),
        ("https://s.example/?FBCLID=a", None),
        ("https://s.example/?xfbclid=a", None),
        ("https://s.example/fbclid=a", None),
        ("fbclid=a", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_which_fbclid_is_taken(url: object, fbclid: str | None) -> None:
    """The first of the query, percent-decoded once; one that would not make a well-formed fbc makes none."""
    assert find(context=on_page(url)) == (fbclid and f"fb.1.1795262398250.{fbclid}", None, ())


@given(url=st.text() | st.text("?&=#%fbclid2 ", max_size=30).map("https://s.example/?fbclid=".__add__))
def test_any_page_address(url: str) -> None:
    """Whatever the address: no exception, and an fbc without white space or none."""
    fbc, _, warnings = find(context=on_page(url))
    assert fbc is None or fbc.split() == [fbc]
    assert warnings == ()
