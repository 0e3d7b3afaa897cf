"""What a destination's check says to each answer of Meta's."""

from datetime import UTC, datetime

import pytest

from signalpost.catalog import Catalog
from signalpost.connection_check import check_connection
from signalpost.emulator.app import EmulatorSettings, running_emulator
from signalpost.emulator.grants import APP_SECRET
from signalpost.mapping.destinations import build_destination
from signalpost.meta.client import MetaClient
from signalpost.model.delivery import (
    Accepted,
    Answer,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
TOKEN = "EMULATOR_TOKEN"


@pytest.mark.parametrize(
    ("outcome", "verdict", "told"),
    [
        (Accepted(), "ok", "knows the dataset"),
        (Unauthorized("token", "190 expired"), "broken", "190 expired"),
        (Unauthorized("token", "100 API calls require an appsecret_proof argument"), "broken", "demands a proof"),
        (Unavailable("no answer within 10 seconds"), "broken", "no answer within 10 seconds"),
        (Throttled(60, "4 too many calls"), "warning", "slow down"),
        (Rejected("100/2804003", "too old"), "warning", "too old"),
        (Unclear(3), "warning", "a request that has none"),
    ],
)
async def test_only_what_proves_that_it_works_is_ok(outcome: Outcome, verdict: str, told: str) -> None:
    """Whatever is not ok comes with what to do."""

    async def probe(_: Target) -> Answer:
        return Answer(outcome, answered_at=NOON)

    destination = build_destination("facebook-conversions-api", {"pixel_id": "12345", "access_token": TOKEN})
    (check,), meta_time = await check_connection(destination, Catalog((), [destination], "v26.0"), probe)
    assert (check.verdict, told in check.detail, bool(check.fix)) == (verdict, True, verdict != "ok")
    assert meta_time == (None if isinstance(outcome, Unavailable) else NOON)


@pytest.mark.parametrize(
    ("secret", "verdict", "fix"), [({}, "broken", "app_secret"), ({"app_secret": APP_SECRET}, "ok", "")]
)
async def test_app_that_demands_a_proof_is_told(secret: dict[str, str], verdict: str, fix: str) -> None:
    """Meta's answer to the empty request has the code of a good one; its parameter's name tells them apart."""
    settings = {"pixel_id": "12345", "access_token": "EMULATOR_NEEDS_PROOF", **secret}
    destination = build_destination("facebook-conversions-api", settings)
    async with running_emulator(EmulatorSettings(port=0, seed=1)) as emulator, MetaClient(emulator.url) as meta:
        (check,), _ = await check_connection(destination, Catalog((), [destination], "v26.0"), meta.probe)
    assert (check.verdict, fix in check.fix) == (verdict, True)


async def test_each_dataset_is_asked() -> None:
    """One that Meta doesn't know is told beside one that it knows."""

    async def probe(target: Target) -> Answer:
        return Answer(Accepted() if target.dataset_id == "11111" else Unauthorized("dataset", "100/33"))

    settings = {"event_sets": {"Sale": "11111", "Lead": "22222"}, "access_token": TOKEN}
    destination = build_destination("facebook-offline-conversions", settings)
    checks, _ = await check_connection(destination, Catalog((), [destination], "v26.0"), probe)
    assert [check.verdict for check in checks] == ["ok", "broken"]
    assert "22222" in checks[1].name


@pytest.mark.parametrize(("settings", "told"), [({"pixel_id": "12345"}, "token"), ({"access_token": TOKEN}, "dataset")])
async def test_what_lacks_is_told_without_asking(settings: dict[str, str], told: str) -> None:
    """A destination that is half filled in."""

    async def probe(_: Target) -> Answer:
        raise AssertionError

    destination = build_destination("facebook-conversions-api", {"pixel_id": "", **settings})
    (check,), _ = await check_connection(destination, Catalog((), [destination], "v26.0"), probe)
    assert (check.verdict, told in check.detail) == ("broken", True)
