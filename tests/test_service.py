"""The parts put together: ready while calls can be stored, and not a moment longer."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import apsw
import pytest

from signalpost.config.sections import Config
from signalpost.metrics import METRICS
from signalpost.queue.sqlite import SqliteQueue
from signalpost.service import Readiness, running_service
from signalpost.store import sessions, users
from signalpost.store.audit import Actor, record_change


@pytest.fixture
def config(tmp_path: Path) -> Config:
    server = {"host": "127.0.0.1", "port": 0, "console_port": 0, "data_dir": tmp_path / "data"}
    return Config.model_validate({"server": server})


async def test_readiness_follows_the_queue(tmp_path: Path) -> None:
    """Ready while the queue can write; draining comes before everything else."""
    queue = SqliteQueue.open(tmp_path)
    readiness = Readiness(queue)
    assert readiness.find_unreadiness() is None
    await queue.close()
    assert readiness.find_unreadiness() == "queue_unavailable"
    readiness.is_draining = True
    assert readiness.find_unreadiness() == "draining"


async def test_both_ports_tell_that_calls_are_taken(config: Config) -> None:
    """Health and readiness answer on either port; what durability rests on is told on the console's alone."""
    async with running_service(config) as service, aiohttp.ClientSession() as session:
        for url in (service.tracking_url, service.console_url):
            async with session.get(f"{url}/readyz") as response:
                body = await response.json()
                assert (response.status, body["status"]) == (200, "ready")
                assert ("durability" in body) == (url == service.console_url)
            async with session.get(f"{url}/healthz") as response:
                assert response.status == 200


async def test_a_gateway_that_cannot_write_is_not_healthy(config: Config) -> None:
    """When the write thread is gone only a restart helps: 503 on both ports."""
    async with running_service(config) as service, aiohttp.ClientSession() as session:
        await service.queue.close()
        for url in (service.tracking_url, service.console_url):
            for path in ("/healthz", "/health", "/readyz"):
                async with session.get(f"{url}{path}") as response:
                    assert (response.status, (await response.json())["reason"]) == (503, "queue_unavailable")


async def test_the_console_port_tells_what_runs(config: Config) -> None:
    """Versions of the program, of SQLite and of the queue's file."""
    async with running_service(config) as service, aiohttp.ClientSession() as session:
        async with session.get(f"{service.console_url}/version") as response:
            told = await response.json()
        async with session.get(f"{service.tracking_url}/version") as response:
            assert response.status == 404
    assert told.keys() == {"version", "commit", "sqlite", "schema"}
    assert told["schema"] >= 1


async def test_the_console_port_has_no_tracking_routes_and_the_reverse(config: Config) -> None:
    """No route but health is on both ports."""
    async with running_service(config) as service, aiohttp.ClientSession() as session:
        async with session.post(
            f"{service.console_url}/v1/track", data=b"{}", headers={"Origin": service.console_url}
        ) as response:
            assert response.status == 404
        for path in ("/metrics", "/api/ledger", "/openapi.json"):
            async with session.get(f"{service.tracking_url}{path}") as response:
                assert response.status == 404
            async with session.get(f"{service.console_url}{path}") as response:
                assert response.status == (200 if path == "/metrics" else 401)


async def test_a_changed_file_takes_effect_without_a_restart(config: Config, tmp_path: Path) -> None:
    """After a reload a new source's key is known, and its destination has a worker."""
    destination = {"name": "pixel", "type": "facebook-conversions-api", "pixel_id": "1234567890"}
    source = {"name": "shop", "write_keys": ["wk_shop_0123456789abcdef"], "destinations": ["pixel"]}
    changed = Config.model_validate({"sources": [source], "destinations": [destination]})
    async with running_service(config) as service:
        assert service.catalog.find_source("wk_shop_0123456789abcdef") is None
        service.reload(changed, tmp_path)
        found = service.catalog.find_source("wk_shop_0123456789abcdef")
        assert found is not None
        assert [each.name for each in found.destinations] == ["pixel"]


async def test_metrics_show_what_waits_and_whether_the_ledger_balances(config: Config) -> None:
    """Gauges are read off when Prometheus asks: every one of the catalogue, or told when it happens."""
    async with (
        running_service(config) as service,
        aiohttp.ClientSession() as session,
        session.get(f"{service.console_url}/metrics") as response,
    ):
        text = await response.text()
    gauges = {name for name, metric in METRICS.items() if metric.type == "gauge"}
    assert {name for name in gauges if f"# TYPE signalpost_{name} gauge" not in text} == set()
    assert "signalpost_ledger_imbalance 0.0" in text
    assert 'signalpost_build_info{schema="' in text


async def test_an_event_without_a_dataset_is_sent_once_it_is_filled_in(config: Config, tmp_path: Path) -> None:
    """A destination that had no pixel: its dead letters wait for the pixel that it has now, after a requeue."""
    key = "wk_website_0123456789abcdef"

    def configure(**settings: str) -> Config:
        pixel = {"name": "pixel", "type": "facebook-conversions-api", **settings}
        source = {"name": "website", "write_keys": [key], "destinations": ["pixel"]}
        return Config.model_validate({"server": config.server, "sources": [source], "destinations": [pixel]})

    call = {"event": "Signed Up", "userId": "u1", "context": {"traits": {"email": "jo@example.com"}}}
    async with running_service(configure(), tmp_path) as service, aiohttp.ClientSession() as session:
        headers = {"X-Write-Key": key}
        async with session.post(f"{service.tracking_url}/v1/track", json=call, headers=headers) as response:
            assert response.status == 200
        (letter,) = await service.queue.browse_dead_letters()
        assert (letter.reason, letter.dataset_id) == ("missing_pixel_id", None)
        assert (await service.queue.requeue([letter.id])).refused == {"dataset_missing": 1}
        service.reload(configure(pixel_id="1234567890"), tmp_path)
        assert (await service.queue.requeue([letter.id])).requeued == 1
        assert (await service.queue.counts()).events.pending.total == 1


async def test_what_is_over_is_forgotten_while_it_runs(config: Config) -> None:
    """Ended sessions, and changes of more than 400 days ago, are gone soon after the start."""
    long_ago = datetime.now(UTC) - timedelta(days=401)

    def fill(connection: apsw.Connection) -> None:
        user = users.add_user(connection, "ann", "hash", "admin", long_ago)
        sessions.start_session(connection, user.id, long_ago)
        record_change(connection, Actor("ann"), "source.added", "web", now=long_ago)

    def count(connection: apsw.Connection) -> tuple[int, int]:
        found: tuple[int, int] = connection.execute(
            "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM audit)"
        ).get
        return found

    async with running_service(config) as service:
        await service.store.write(fill)
    async with running_service(config) as service:
        deadline = time.monotonic() + 30
        while service.store.read(count) != (0, 0):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
