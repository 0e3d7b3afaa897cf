"""A running gateway: one for a whole file, for tests that leave nothing behind that matters, and one for each test."""

import pytest_asyncio

from tests.ingest.gateway import running_gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    async with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running
