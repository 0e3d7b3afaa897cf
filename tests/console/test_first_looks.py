"""What is slow only the first time is made ready beside the first page that anybody opens."""

import asyncio

import pytest

from signalpost.console import first_looks, rendering
from tests.console.conftest import Gateway


async def test_the_first_page_makes_the_others_ready(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made ready for a gateway whose console nobody opens: health and static files are no pages."""
    monkeypatch.setattr(first_looks, "_REST_SECONDS", 0)
    state = gateway.service.console_app.state
    async with gateway.http.get(f"{gateway.service.console_url}/healthz"):
        assert not hasattr(state, "preparing")
    async with gateway.http.get(f"{gateway.service.console_url}/sign-in") as answer:
        assert answer.status == 200
    await asyncio.wait_for(state.preparing, 30)
    assert gateway.service.console_app.openapi_schema is not None
    cache = rendering._environment.cache
    assert cache is not None
    assert len(cache) >= len(rendering._environment.list_templates())
