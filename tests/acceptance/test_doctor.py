"""`signalpost doctor` as an operator runs it, beside a real gateway and the local Meta."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from signalpost.store import destinations
from signalpost.store.database import SettingsStore
from signalpost.vault import open_vault
from tests.acceptance.commands import run
from tests.acceptance.processes import PIXEL_ID, running, write_configuration

TOKEN_LINE = 'access_token = "EMULATOR_TOKEN"'


def examine(config: Path) -> tuple[int, dict[str, dict[str, Any]], str]:
    """The exit code, the checks by name, and all that was printed."""
    ended = run("doctor", "--json", "--config", str(config), folder=config.parent)
    found = json.loads(ended.stdout)
    return ended.returncode, {check["name"]: check for check in found["checks"]}, (ended.stdout + ended.stderr).decode()


def list_troubles(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["verdict"] for name, check in checks.items() if check["verdict"] != "ok"}


def test_all_is_well(tmp_path: Path) -> None:
    """Beside a running gateway: every check is there and ok, Meta has recorded nothing, the table fits 80 columns."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        config.chmod(0o600)
        with running("serve", "--config", str(config), folder=tmp_path):
            code, checks, _ = examine(config)
            table = run("doctor", "--config", str(config), folder=tmp_path)
        received = requests.get(f"{meta.announced['url']}/_emulator/events", timeout=10).json()
    assert list_troubles(checks) in ({}, {"disk": "warning"})
    assert code == table.returncode == 0
    assert set(checks) == {
        "configuration", "secret files", "data folder", "gateway", "disk", "SQLite", "queue", "ledger", "API v26.0",
        f"destination main-pixel, dataset {PIXEL_ID}", "clock",
    }  # fmt: skip
    assert received["events"] == []
    assert max(len(line) for line in table.stdout.decode().splitlines()) <= 80


@pytest.mark.parametrize(
    ("token", "told"),
    [("EMULATOR_REVOKED", "does not accept the access token"), ("EMULATOR_READ_ONLY", "may not send events")],
)
def test_refused_token_is_broken_and_never_shown(tmp_path: Path, token: str, told: str) -> None:
    """With what it means and what to do, before any event was lost to it."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        config.write_text(config.read_text().replace("EMULATOR_TOKEN", token))
        code, checks, printed = examine(config)
    check = checks[f"destination main-pixel, dataset {PIXEL_ID}"]
    assert (code, check["verdict"]) == (1, "broken")
    assert told in check["detail"]
    assert check["fix"]
    assert token not in printed


def test_skewed_clock_is_broken(tmp_path: Path) -> None:
    """Meta's Date header is what the clock is compared with."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        moved = requests.post(f"{meta.announced['url']}/_emulator/clock", json={"advance": 3600}, timeout=10)
        moved.raise_for_status()
        code, checks, _ = examine(config)
    assert (code, checks["clock"]["verdict"]) == (1, "broken")
    assert "behind Meta's" in checks["clock"]["detail"]


def test_what_lacks_is_told_without_a_gateway_and_without_meta(tmp_path: Path) -> None:
    """Meta out of reach, no token, and a data folder that nobody has used."""
    config = write_configuration(tmp_path, "http://127.0.0.1:9")
    code, checks, _ = examine(config)
    assert code == 1
    assert checks[f"destination main-pixel, dataset {PIXEL_ID}"]["detail"].startswith("Meta is out of reach")
    assert (checks["gateway"]["verdict"], checks["clock"]["verdict"]) == ("warning", "warning")
    assert not (tmp_path / "data").exists()
    config.write_text(config.read_text().replace(TOKEN_LINE, ""))
    code, checks, _ = examine(config)
    assert (code, checks["destination main-pixel"]["detail"]) == (1, "has no access token")


def test_faulty_configuration_is_the_one_thing_told(tmp_path: Path) -> None:
    """The other checks need it."""
    config = tmp_path / "signalpost.toml"
    config.write_text("[server]\nprot = 1\n")
    code, checks, _ = examine(config)
    assert (code, list(checks)) == (1, ["configuration"])
    assert "prot" in checks["configuration"]["detail"]


def test_destinations_made_in_the_console_are_asked_too(tmp_path: Path) -> None:
    """Their secrets are opened with the key of the data folder; without it the doctor says what it needs."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        store_destination(tmp_path / "data")
        _, checks, printed = examine(config)
        assert checks["destination from-console, dataset 55555"]["verdict"] == "broken"
        assert "EMULATOR_EXPIRED" not in printed
        (tmp_path / "data/master.key").unlink()
        code, checks, _ = examine(config)
    assert (code, checks["configuration"]["verdict"]) == (1, "broken")
    assert "master key" in checks["configuration"]["fix"]


def store_destination(data_folder: Path) -> None:
    """What the console does when somebody makes a destination."""
    data_folder.mkdir(mode=0o700)
    store = SettingsStore.open(data_folder, open_vault(data_folder, None))

    def add(connection: Any) -> None:
        settings = {"pixel_id": "55555"}
        destinations.add_destination(
            connection, "from-console", "facebook-conversions-api", settings, datetime.now(UTC)
        )
        destinations.save_secret(connection, store.vault, "from-console", "access_token", SecretStr("EMULATOR_EXPIRED"))

    store.write_now(add)
    store.close()
