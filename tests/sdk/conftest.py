"""The gateway and the local Meta that the SDKs of this folder talk to, and when their tests may be skipped."""

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.processes import running
from tests.sdk.lines import LINES, Line, write_lines
from tests.sdk.snippets import SDK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not (SDK.parent / ".sdk").exists():
        for item in items:
            if item.get_closest_marker("needs_sdk_clients"):
                item.add_marker(pytest.mark.skip(reason="the SDKs are not installed; to run this: make sdk-clients"))


@pytest.fixture(scope="session")
def open_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Line]]:
    """Starts the two processes; each call gives a line that nobody has used."""
    folder = tmp_path_factory.mktemp("sdk")
    with running("emulator", "--port", "0", folder=folder) as meta:
        config = write_lines(folder, meta.announced["url"])
        with running("serve", "--config", str(config), folder=folder) as gateway:
            numbers = iter(range(LINES))
            yield lambda: Line(gateway, meta, next(numbers))
    log = (folder / "serve.log").read_text()
    assert "Traceback" not in log, log


@pytest.fixture
def line(open_line: Callable[[], Line]) -> Line:
    return open_line()
