"""One local Meta for all fault tests with real processes; each test finds it as new."""

from collections.abc import Iterator

import pytest
import requests

from tests.acceptance.processes import running


@pytest.fixture(scope="session")
def shared_meta_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running("emulator", "--port", "0", folder=tmp_path_factory.mktemp("emulator")) as meta:
        yield meta.announced["url"]


@pytest.fixture
def meta_url(shared_meta_url: str) -> str:
    requests.post(f"{shared_meta_url}/_emulator/reset", timeout=10).raise_for_status()
    return shared_meta_url
