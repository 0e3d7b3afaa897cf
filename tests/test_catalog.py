"""Who may send, where it goes, and what happens when that changes."""

import asyncio
import hmac

import pytest
from pydantic import SecretStr

from signalpost.catalog import Catalog, Source
from signalpost.mapping.destinations import build_destination
from signalpost.model.delivery import Target
from signalpost.model.ids import DatasetId, DestinationId, SourceId, WriteKey

KEY, SECOND_KEY = WriteKey("wk_website_0123456789abcdef"), WriteKey("wk_website_second_0123456789")
PIXEL, DATASET = DestinationId("main-pixel"), DatasetId("1234567890")


def build_pixel(**settings: object):
    given = {"pixel_id": DATASET, "access_token": "EAAtoken", **settings}
    return build_destination("facebook-conversions-api", given, name=PIXEL)


def build_catalog(**settings: object) -> Catalog:
    pixel = build_pixel(**settings)
    source = Source(SourceId("website"), "website", (KEY, SECOND_KEY), (pixel,))
    return Catalog([source], [pixel], "v26.0")


def test_find_source():
    """Each live key of a source finds it."""
    catalog = build_catalog()
    for key in (KEY, SECOND_KEY):
        source = catalog.find_source(key)
        assert source is not None
        assert source.name == "website"


@pytest.mark.parametrize(
    "key",
    [
        *("", "short", "wk_unknown_0123456789abcd", "../../etc/passwd", "*", ">", "a.b", "wk\0", "x" * 65),
        *("x" * 1_000_000, KEY.upper(), f"{KEY} ", f"{KEY}\n", "ключ" * 5),
    ],
)
def test_keys_that_nobody_owns(key):
    """Anything else finds nothing, whatever it looks like."""
    assert build_catalog().find_source(key) is None


def test_a_miss_does_the_work_of_a_hit(monkeypatch):
    """The comparison in constant time is made for known and unknown keys alike."""
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    catalog = build_catalog()
    assert catalog.find_source(KEY) is not None
    assert catalog.find_source("wk_unknown_0123456789abcd") is None
    assert [len(a) == len(b) == 32 for a, b in compared] == [True, True]


def test_a_write_key_is_not_shown():
    """The repr of a source does not hold its keys."""
    assert KEY not in repr(build_catalog().sources)


def test_find_target():
    """A target has the destination's token and the version in force; fields beside `data` come from its settings."""
    assert build_catalog().find_target(PIXEL, DATASET) == Target(DATASET, SecretStr("EAAtoken"), "v26.0")
    target = build_catalog(api_version="v25.0", test_event_code="TEST1", app_secret="s").find_target(PIXEL, DATASET)
    assert target is not None
    assert target.app_secret == SecretStr("s")
    assert (target.api_version, target.test_event_code, target.upload_tag) == ("v25.0", "TEST1", None)


def test_no_target():
    """An unknown destination has none, nor has one without a token: its events wait."""
    assert build_catalog().find_target(DestinationId("other"), DATASET) is None
    assert build_catalog(access_token=None).find_target(PIXEL, DATASET) is None


async def test_a_change_is_told_and_complete():
    """replace() puts everything in force at once, wakes whoever waits, and waits again after that."""
    catalog = build_catalog()
    waiting = asyncio.create_task(catalog.wait_for_change())
    await asyncio.sleep(0)
    catalog.replace([], [build_pixel(access_token="EAAnew")], "v27.0")
    await asyncio.wait_for(waiting, 1)
    assert catalog.find_source(KEY) is None
    assert catalog.find_target(PIXEL, DATASET) == Target(DATASET, SecretStr("EAAnew"), "v27.0")
    assert [destination.name for destination in catalog.destinations] == [PIXEL]
    again = asyncio.create_task(catalog.wait_for_change())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


@pytest.mark.parametrize(
    ("slug", "settings", "found"),
    [
        ("facebook-conversions-api", {"pixel_id": "11111"}, {"Purchase": "11111", "Lead": "11111"}),
        ("facebook-conversions-api", {}, {"Purchase": None}),
        ("facebook-offline-conversions", {"event_sets": {"Order Completed": "11111"}}, {"Purchase": "11111"}),
        ("facebook-offline-conversions", {"event_sets": {"Order Completed": ""}}, {"Purchase": None}),
        (
            "facebook-offline-conversions",
            {"event_sets": {"Order Completed": "11111", "Signed": "22222"}, "lead_event_sets": {"Signed": "33333"}},
            {"Purchase": "11111", "Signed": "22222", "Lead": "33333", "Search": None},
        ),
        (
            "facebook-offline-conversions",
            {"lead_event_sets": {"Signed": "11111", "Called": "22222"}},
            {"Lead": None},
        ),
    ],
    ids=["pixel", "no pixel", "event set", "empty event set", "several tables", "several datasets"],
)
def test_find_dataset(slug: str, settings: dict[str, object], found: dict[str, str | None]):
    """The one dataset to which a destination's settings send an event that Meta knows by this name."""
    destination = build_destination(slug, settings, name=PIXEL)
    catalog = Catalog([], [destination], "v26.0")
    assert {name: catalog.find_dataset(PIXEL, name) for name in found} == found
    assert catalog.find_dataset(DestinationId("removed"), "Purchase") is None
