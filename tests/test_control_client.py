"""How the command line reaches a running gateway: a private file, and one sentence when that does not work."""

import stat

import pytest

from signalpost.config.sections import Config
from signalpost.control_client import ControlRefused, GatewayNotRunning, control_client
from signalpost.control_token import CONTROL_TOKEN_NAME, find_running_gateway, write_control_token
from signalpost.service import running_service


@pytest.fixture
def config(tmp_path) -> Config:
    server = {"host": "127.0.0.1", "port": 0, "console_port": 0, "data_dir": tmp_path}
    return Config.model_validate({"server": server})


async def test_the_ledger_of_a_running_gateway(config, tmp_path):
    """The file that the gateway writes lets the client in; nobody else can read it."""
    async with running_service(config), control_client(tmp_path) as control:
        ledger = await control.get("/api/ledger")
    assert ledger["imbalance"] == 0
    assert stat.S_IMODE((tmp_path / CONTROL_TOKEN_NAME).stat().st_mode) == 0o600


async def test_the_token_of_another_run(config, tmp_path):
    """A token that is not this run's is refused, and the message says what would do."""
    async with running_service(config) as service:
        write_control_token(tmp_path, "stale", service.console_url)
        async with control_client(tmp_path) as control:
            with pytest.raises(ControlRefused, match="API token"):
                await control.get("/api/ledger")


async def test_a_path_that_is_not_there(config, tmp_path):
    """What the control API refuses is told with its own words."""
    async with running_service(config), control_client(tmp_path) as control:
        with pytest.raises(ControlRefused, match="There is nothing at this address"):
            await control.post("/api/nonsense", {})


async def test_a_gateway_that_has_ended(config, tmp_path):
    """The file outlives its run; then the sentence tells what to start."""
    async with running_service(config):
        pass
    with pytest.raises(GatewayNotRunning, match="signalpost serve"):
        async with control_client(tmp_path) as control:
            await control.get("/api/ledger")


async def test_a_folder_without_a_run(tmp_path):
    """So it is where no gateway ever ran."""
    with pytest.raises(GatewayNotRunning, match="no gateway has run"):
        async with control_client(tmp_path):
            pass


def test_the_token_is_not_shown(tmp_path):
    """No repr holds the token."""
    write_control_token(tmp_path, "secret-token", "http://127.0.0.1:1")
    found = find_running_gateway(tmp_path)
    assert found is not None
    assert (found.control_token, "secret-token" in repr(found)) == ("secret-token", False)
