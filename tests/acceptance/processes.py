"""Real processes over real sockets: the gateway and the local Meta as an operator starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

WRITE_KEY = "wk_test_0123456789abcdef"
PIXEL_ID = "1234567890"


@dataclass
class Program:
    """A started `signalpost` command that has announced its addresses. rest: what it printed besides, once it ended."""

    process: subprocess.Popen[str]
    announced: Mapping[str, Any]
    rest: str = ""

    def read_api(self, path: str) -> Any:
        """What the control API of this gateway answers, asked as the command line asks."""
        token, url = (Path(self.announced["data_dir"]) / "control.token").read_text().split()
        response = requests.get(url + path, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        response.raise_for_status()
        return response.json()

    def post_api(self, path: str, body: Mapping[str, Any]) -> None:
        """Change something in the same way."""
        token, url = (Path(self.announced["data_dir"]) / "control.token").read_text().split()
        response = requests.post(url + path, headers={"Authorization": f"Bearer {token}"}, json=body, timeout=10)
        response.raise_for_status()

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to finish anything."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self._close()
        return code

    def _close(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as printed:
                self.rest = printed.read()


def start(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> Program:
    """Start a command with --json and wait for the line that says it is ready."""
    with (folder / f"{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "signalpost", *arguments, "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise AssertionError((folder / f"{arguments[0]}.log").read_text())
    return Program(process, json.loads(line))


@contextmanager
def running(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """A command that is stopped at the end."""
    program = start(*arguments, folder=folder, environment=environment)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.stop()
        if program.process.stdout is not None:
            program.process.stdout.close()


def write_configuration(folder: Path, meta_url: str, *, port: int = 0, more: str = "") -> Path:
    """A gateway with one source and one destination whose Meta is at `meta_url`."""
    file = folder / "signalpost.toml"
    file.write_text(
        f"""
        [server]
        host = "127.0.0.1"
        port = {port}
        console_port = 0
        data_dir = "{folder / "data"}"

        [meta]
        base_url = "{meta_url}"

        [delivery]
        linger_seconds = 0.05

        [[sources]]
        name = "website"
        write_keys = ["{WRITE_KEY}"]
        destinations = ["main-pixel"]

        [[destinations]]
        name = "main-pixel"
        type = "facebook-conversions-api"
        pixel_id = "{PIXEL_ID}"
        access_token = "EMULATOR_TOKEN"
        {more}
        """
    )
    return file


def read_json(url: str) -> Any:
    """What a GET answers."""
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    return response.json()


def drain(gateway: Program, timeout_seconds: float = 60) -> dict[str, Any]:
    """The ledger as soon as nothing waits in the gateway any more."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        ledger = gateway.read_api("/api/ledger")
        if sum(ledger["events"]["pending"].values()) == 0:
            return dict(ledger)
        assert time.monotonic() < deadline, f"still waiting: {ledger['events']['pending']}"
        time.sleep(0.02)
