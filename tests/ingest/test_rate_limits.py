"""How often somebody may ask: buckets by themselves, and as clients meet them."""

from ipaddress import ip_network

import pytest

from signalpost.ingest.rate_limits import TokenBuckets
from signalpost.ingest.routes import TrackingSettings
from tests.ingest.gateway import CALL, KEY, OTHER_KEY, running_gateway

WRONG = "wk_wrong_0123456789abcdef"
LIMITED = "rate_limited"


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate():
    """A full bucket gives its burst at once, then one token at a time as it refills."""
    clock = Clock()
    buckets = TokenBuckets(10, 20, clock)
    assert [buckets.take("a") for _ in range(21)] == [0] * 20 + [1]
    clock.now += 0.1
    assert [buckets.take("a") for _ in range(2)] == [0, 1]
    clock.now += 3_600
    assert [buckets.take("a") for _ in range(21)] == [0] * 20 + [1]


def test_the_wait_is_until_a_token_is_there():
    """Whole seconds, never under 1 nor over 60; after waiting so long there is a token."""
    clock = Clock()
    for per_second, wait in ((1 / 3, 3), (1_000, 1), (1 / 3_600, 60)):
        buckets = TokenBuckets(per_second, 1, clock)
        assert buckets.take("a") == 0
        assert (buckets.take("a"), buckets.find_wait("a")) == (wait, wait)
        if wait < 60:
            clock.now += wait
            assert (buckets.find_wait("a"), buckets.take("a")) == (0, 0)


def test_each_has_a_bucket_of_its_own():
    """One that is empty keeps nobody else from asking; asking in vain costs nothing more."""
    buckets = TokenBuckets(1, 1, Clock())
    assert [buckets.take(name) for name in "aab"] == [0, 1, 0]


def test_no_limit():
    """Rate 0 lets everybody through."""
    buckets = TokenBuckets(0, 0, Clock())
    assert {buckets.take("a") for _ in range(1_000)} == {0}
    assert buckets.find_wait("a") == 0


def test_bounded_in_memory():
    """A flood of names forgets the oldest, whatever their number."""
    buckets = TokenBuckets(1, 1, Clock())
    for number in range(25_000):
        buckets.take(str(number))
    assert len(buckets._full_at) == 10_000


@pytest.mark.asyncio
async def test_one_busy_source_starves_no_other(tmp_path):
    """Over its rate a source gets 429 with the seconds to wait, alike in two headers; the other goes on."""
    async with running_gateway(tmp_path, settings=TrackingSettings(requests_per_second=0.01)) as gateway:
        first, *refused = [await gateway.track(CALL) for _ in range(3)]
        other = await gateway.track(CALL, key=OTHER_KEY)
        ledger = await gateway.ledger()
        rows = [(row.kind.code, row.kind.source_id, row.count) for row in gateway.history.refused_requests()]
    for answer in refused:
        assert (answer.status, answer.body["code"]) == (429, LIMITED)
        assert answer.headers["Retry-After"] == answer.headers["X-RateLimit-Reset"] == "60"
    assert (first.status, other.status, ledger.calls.received) == (200, 200, 2)
    assert rows == [(LIMITED, "website", 2)]


@pytest.mark.asyncio
async def test_guessing_keys(tmp_path):
    """After twenty wrong or missing keys in a minute an address gets 429 for more of them; its good keys go on."""
    async with running_gateway(tmp_path, settings=TrackingSettings(bad_keys_per_minute=20)) as gateway:
        bad = [await gateway.track(CALL, key=None if number % 3 else WRONG) for number in range(19)]
        settings = await gateway.ask("GET", f"/v1/projects/{WRONG}/settings")
        limited = [await gateway.track(CALL, key=WRONG) for _ in range(30)]
        good = [await gateway.track(CALL), await gateway.track({**CALL, "writeKey": KEY}, key=None)]
        again = await gateway.ask("GET", f"/v1/projects/{WRONG}/settings")
    assert {answer.status for answer in bad} == {401}
    assert settings.body["code"] == "unknown_source"
    assert limited[-1].status == again.status == 429
    assert 1 <= int(limited[-1].headers["Retry-After"]) <= 60
    assert [answer.status for answer in good] == [200, 200]


@pytest.mark.asyncio
async def test_guesses_count_for_the_client_behind_a_trusted_proxy(tmp_path):
    """Each client behind the proxy has a limit of its own; without trust the header changes nothing."""
    for trusted, statuses in (([ip_network("127.0.0.0/8")], {401}), ([], {401, 429})):
        settings = TrackingSettings(bad_keys_per_minute=1, trusted_proxies=trusted)
        async with running_gateway(tmp_path / str(len(trusted)), settings=settings) as gateway:
            answers = [
                await gateway.track(CALL, key=WRONG, headers={"X-Forwarded-For": f"203.0.113.{number}"})
                for number in range(5)
            ]
        assert {answer.status for answer in answers} == statuses
