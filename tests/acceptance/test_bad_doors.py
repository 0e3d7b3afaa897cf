"""What a gateway says when something around it is wrong: one clear sentence, the right code, and nothing lost."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.acceptance.commands import read_error, run
from tests.acceptance.processes import WRITE_KEY, Program, drain, read_json, running, write_configuration

NOBODY = "http://127.0.0.1:1"


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield int(holder.getsockname()[1])


def find_free_port() -> int:
    with taken_port() as port:
        return port


def post(gateway: Program, path: str, body: bytes, *, key: str = WRITE_KEY) -> requests.Response:
    return requests.post(gateway.announced["tracking_url"] + path, data=body, auth=(key, ""), timeout=10)


def read_ledger(gateway: Program) -> dict[str, dict[str, dict[str, int]]]:
    return dict(gateway.read_api("/api/ledger"))


def test_a_taken_port(tmp_path: Path) -> None:
    """A port that is in use ends the start with exit code 1, naming the setting and the address."""
    with taken_port() as port:
        config = write_configuration(tmp_path, NOBODY, port=port)
        ended = run("serve", "--config", str(config), folder=tmp_path)
        refused = run("emulator", "--port", str(port), folder=tmp_path)
    where = f"cannot listen on 127.0.0.1:{port}: Address already in use"
    assert (ended.returncode, read_error(ended)) == (
        1,
        f"server.port: {where}; stop what uses it, or set another port",
    )
    assert (refused.returncode, read_error(refused)) == (1, f"--port: {where}; choose another, or 0")


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    """A data folder that can't be made ends the start with exit code 1, naming the setting and the path."""
    (tmp_path / "data").write_text("a file")
    config = write_configuration(tmp_path, NOBODY)
    config.write_text(config.read_text().replace(f'{tmp_path / "data"}"', f'{tmp_path / "data" / "queue"}"'))
    ended = run("serve", "--config", str(config), folder=tmp_path)
    path = tmp_path / "data" / "queue"
    expected = f"server.data_dir: cannot use {path}: Not a directory; choose one you can write to"
    assert (ended.returncode, read_error(ended)) == (1, expected)
    assert (tmp_path / "data").read_text() == "a file"


def test_a_wrong_configuration(tmp_path: Path) -> None:
    """A wrong setting ends the start with exit code 2, naming the key and what would be right; nothing is made."""
    config = write_configuration(tmp_path, NOBODY)
    config.write_text(config.read_text().replace("pixel_id", "pixle_id"))
    ended = run("serve", "--config", str(config), folder=tmp_path)
    expected = "destinations[0]: pixle_id: there is no such setting; did you mean pixel_id?"
    assert (ended.returncode, read_error(ended)) == (2, expected)
    assert not (tmp_path / "data").exists()


def test_a_second_gateway_on_the_same_data(tmp_path: Path) -> None:
    """Only one process may use a data folder: the second ends with exit code 3, and the first does not notice."""
    config = write_configuration(tmp_path, NOBODY)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ended = run("serve", "--config", str(config), folder=tmp_path)
        expected = f"already running (pid {gateway.process.pid}): only one process may use {tmp_path / 'data'}"
        assert (ended.returncode, read_error(ended)) == (3, expected)
        assert post(gateway, "/v1/track", b'{"userId": "u", "event": "x"}').json()["accepted"] == 1
        assert gateway.stop() == 0


def test_meta_is_away(tmp_path: Path) -> None:
    """While Meta can't be reached calls are taken and wait, over a restart too; when it is back it gets each once."""
    port = find_free_port()
    config = write_configuration(tmp_path, f"http://127.0.0.1:{port}")
    body = b'{"userId": "u%d", "event": "Signed Up", "messageId": "m%d"}'
    for first in (0, 5):
        with running("serve", "--config", str(config), folder=tmp_path) as gateway:
            for number in range(first, first + 5):
                answer = post(gateway, "/v1/track", body % (number, number))
                assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
            assert requests.get(f"{gateway.announced['tracking_url']}/readyz", timeout=10).status_code == 200
            ledger = read_ledger(gateway)
            assert sum(ledger["events"]["pending"].values()) == first + 5
            assert gateway.stop() == 0
    with (
        running("serve", "--config", str(config), folder=tmp_path) as gateway,
        running("emulator", "--port", str(port), folder=tmp_path) as meta,
    ):
        assert read_json(f"{meta.announced['url']}/_emulator/wait?count=10&timeout=20")["reached"]
        stored = read_json(f"{meta.announced['url']}/_emulator/events")["events"]
        ledger = drain(gateway)
    assert sorted(event["body"]["event_id"] for event in stored) == sorted(f"m{number}" for number in range(10))
    assert (ledger["events"]["delivered"], ledger["imbalance"]) == (10, 0)
    assert "Traceback" not in (tmp_path / "serve.log").read_text()


def test_requests_that_cannot_be_taken(tmp_path: Path) -> None:
    """A wrong key, text that is no JSON, and too large a body get their status and code; the gateway goes on."""
    config = write_configuration(tmp_path, NOBODY)
    good = b'{"userId": "u", "event": "x"}'
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        answers = [
            post(gateway, "/v1/track", good, key="wk_wrong_0123456789abcdef"),
            post(gateway, "/v1/track", b'{"userId": "jo.bloggs@example.com", '),
            post(gateway, "/v1/track", b" " * (2 << 20)),
            post(gateway, "/v1/batch", b" " * (5 << 20)),
        ]
        assert post(gateway, "/v1/track", good).json()["accepted"] == 1
        calls = read_ledger(gateway)["calls"]
        assert gateway.stop() == 0
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (401, "invalid_write_key"),
        (400, "invalid_json"),
        (413, "payload_too_large"),
        (413, "payload_too_large"),
    ]
    assert calls == {"received": 1, "accepted": 1, "duplicate": 0, "invalid": {}}
    log = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in log
    assert "bloggs" not in log


def test_data_of_a_newer_version(tmp_path: Path) -> None:
    """A queue that a newer version wrote is refused in a sentence with exit code 4, and stays as it was."""
    config = write_configuration(tmp_path, NOBODY)
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        assert gateway.stop() == 0
    file = tmp_path / "data" / "queue.db"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = file.read_bytes()
    ended = run("serve", "--config", str(config), folder=tmp_path)
    assert ended.returncode == 4
    assert "schema 99" in read_error(ended)
    assert file.read_bytes() == before
