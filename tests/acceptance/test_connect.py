"""Connect with Facebook as an operator does it: the command, a browser, the local Meta's dialog, and what waited."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.commands import read_error, run
from tests.acceptance.processes import WRITE_KEY, Program, drain, read_json, running, write_configuration
from tests.acceptance.test_reload import wait_for

PAUSED = 'signalpost_destination_paused{destination="main-pixel",reason="token"} 1.0'


@dataclass
class Setting:
    """A gateway with a Meta app, whose destination has no token, beside the local Meta."""

    folder: Path
    meta: Program
    gateway: Program

    @property
    def config(self) -> Path:
        return self.folder / "signalpost.toml"

    @property
    def totals(self) -> dict[str, Any]:
        return dict(read_json(f"{self.meta.announced['url']}/_emulator/ledger")["totals"])

    def send(self) -> None:
        url = f"{self.gateway.announced['tracking_url']}/v1/track"
        call = {"userId": "u1", "event": "Order Completed", "properties": {"revenue": 5}}
        assert requests.post(url, json=call, auth=(WRITE_KEY, ""), timeout=10).json()["accepted"] == 1

    def control(self, path: str, **body: Any) -> None:
        requests.post(f"{self.meta.announced['url']}/_emulator{path}", json=body, timeout=10).raise_for_status()

    @contextmanager
    def connecting(self) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """`signalpost connect` while it waits, and the link that it prints."""
        command = [sys.executable, "-m", "signalpost", "connect", "main-pixel", "--json", "--config", str(self.config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield json.loads(process.stdout.readline())["url"], process
            finally:
                process.kill()


def press(browser: requests.Session, url: str, button: str) -> tuple[requests.Session, str]:
    """Open the link, press a button at Facebook; the address that the browser is sent back to."""
    opened = browser.get(url, allow_redirects=False, timeout=10)
    assert opened.status_code == 303, opened.text
    dialog = opened.headers["Location"]
    assert "code_challenge_method=S256" in dialog
    assert "ads_management%2Cpublic_profile" in dialog
    back = browser.get(f"{dialog}&auto={button}", allow_redirects=False, timeout=10)
    return browser, back.headers["Location"]


def come_back(browser: requests.Session, url: str, status: int) -> str:
    answer = browser.get(url, headers={"Accept": "text/html"}, timeout=10)
    assert answer.status_code == status, answer.text
    return answer.text


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code, and the state on the last line."""
    output, _ = process.communicate(timeout=30)
    return process.returncode, json.loads(output.splitlines()[-1])["state"]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        config = write_configuration(tmp_path, meta.announced["url"])
        app = 'app_id = "4711"\napp_secret_file = "app-secret.txt"\ndialog_url = '
        (tmp_path / "app-secret.txt").write_text("EMULATOR_APP_SECRET\n")
        text = config.read_text().replace('access_token = "EMULATOR_TOKEN"', "")
        config.write_text(text.replace("[meta]", f'[meta]\n{app}"{meta.announced["url"]}"'))
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            yield Setting(tmp_path, meta, gateway)


def test_what_waits_is_sent_when_somebody_has_connected(setting: Setting) -> None:
    """Connect, revoke, connect again: events wait in between, and each arrives once. The token is on no disk."""
    setting.send()
    wait_for(setting.gateway, PAUSED)
    with setting.connecting() as (url, process):
        browser, back = press(requests.Session(), url, "allow")
        assert "Connected" in come_back(browser, back, 200)
        assert finish(process) == (0, "connected")
    assert drain(setting.gateway)["events"]["delivered"] == 1

    setting.control("/revoke")
    setting.send()
    wait_for(setting.gateway, PAUSED)
    assert setting.totals["accepted"] == 1
    with setting.connecting() as (url, process):
        come_back(*press(requests.Session(), url, "allow"), 200)
        assert finish(process) == (0, "connected")
    ledger = drain(setting.gateway)
    assert (ledger["events"]["delivered"], ledger["imbalance"]) == (2, 0)
    assert (setting.totals["accepted"], setting.totals["repeats"]) == (2, 0)

    connected = setting.gateway.read_api("/api/destinations/main-pixel")["connected"]
    assert (connected["by"], connected["warning"]) == ("command line", None)
    assert connected["expires_at"] is not None
    files = [file for file in setting.folder.rglob("*") if file.is_file()]
    assert [file.name for file in files if re.search(rb"EAA[0-9a-f]{40}", file.read_bytes())] == []


def test_a_connection_outlives_a_restart(setting: Setting) -> None:
    """The sealed token stands beside the file's destination; disconnected, events wait again."""
    with setting.connecting() as (url, _):
        come_back(*press(requests.Session(), url, "allow"), 200)
    assert b"has no access token" not in run("doctor", folder=setting.folder).stdout
    assert setting.gateway.stop() == 0
    with running("serve", "--config", str(setting.config), folder=setting.folder) as gateway:
        setting.gateway = gateway
        setting.send()
        assert drain(gateway)["events"]["delivered"] == 1
        ended = run("connect", "main-pixel", "--disconnect", folder=setting.folder)
        assert ended.returncode == 0, ended.stderr
        setting.send()
        wait_for(gateway, PAUSED)
        assert b"has no access token" in run("doctor", folder=setting.folder).stdout
        assert read_error(run("connect", "main-pixel", "--disconnect", folder=setting.folder)).endswith(
            "is not connected with Facebook."
        )


def test_denied(setting: Setting) -> None:
    """The person says no: a sentence in the browser and one on the terminal, exit 1."""
    with setting.connecting() as (url, process):
        assert "denied at Facebook" in come_back(*press(requests.Session(), url, "deny"), 400)
        assert finish(process) == (1, "denied")
    assert setting.gateway.read_api("/api/destinations/main-pixel")["connected"] is None


def test_a_state_works_once_in_the_browser_that_asked(setting: Setting) -> None:
    """Forged, of another browser, or used already: 400, and nothing changes; the right one still works."""
    with setting.connecting() as (url, process):
        browser, back = press(requests.Session(), url, "allow")
        forged = re.sub(r"state=[^&]+", "state=forged", back)
        assert "belongs to no attempt" in come_back(browser, forged, 400)
        assert "belongs to no attempt" in come_back(requests.Session(), back, 400)
        assert setting.gateway.read_api("/api/destinations/main-pixel")["connected"] is None
        assert process.poll() is None
        browser, back = press(requests.Session(), url, "allow")
        come_back(browser, back, 200)
        at = setting.gateway.read_api("/api/destinations/main-pixel")["connected"]["at"]
        assert "belongs to no attempt" in come_back(browser, back, 400)
        assert setting.gateway.read_api("/api/destinations/main-pixel")["connected"]["at"] == at


def test_a_code_expires(setting: Setting) -> None:
    """More than ten minutes between the permission and the way back."""
    with setting.connecting() as (url, process):
        browser, back = press(requests.Session(), url, "allow")
        setting.control("/clock", advance=601)
        assert "ten minutes" in come_back(browser, back, 400)
        assert finish(process) == (1, "failed")


def test_without_an_app_the_way_to_one_is_told(tmp_path: Path) -> None:
    """And a destination whose token stands in the file is not connected behind the file's back."""
    config = write_configuration(tmp_path, "http://127.0.0.1:9")
    with running("serve", "--config", str(config), folder=tmp_path):
        assert "which comes first: remove it there" in read_error(run("connect", "main-pixel", folder=tmp_path))
        assert "no destination named" in read_error(run("connect", "typo", folder=tmp_path))
    config.write_text(config.read_text().replace('access_token = "EMULATOR_TOKEN"', ""))
    with running("serve", "--config", str(config), folder=tmp_path):
        assert "docs/howto/connect-with-facebook.md" in read_error(run("connect", "main-pixel", folder=tmp_path))
    config.write_text(config.read_text().replace("[meta]", '[meta]\napp_id = "4711"'))
    assert "go together" in read_error(run("serve", folder=tmp_path))
