"""SDKs of languages that are not installed here, as their source puts them on the wire, over a raw socket."""

import base64
import gzip
import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sdk.lines import Line
from tests.sdk.test_server_clients import check_arrival

FILES = sorted((Path(__file__).parent / "wire").glob("*.http"))
CHUNK_BYTES = 256


@dataclass(frozen=True)
class Recording:
    """One request, byte for byte: its head, and its body as it goes over the wire."""

    head: bytes
    body: bytes
    calls: list[dict[str, Any]]


def read_recording(file: Path, line: Line) -> Recording:
    """Fill the places of a file in; see wire/README.md."""
    lines = [text for text in file.read_text().splitlines() if not text.startswith("#")]
    end_of_head = lines.index("")
    head, text = "\r\n".join(lines[:end_of_head]), "".join(lines[end_of_head:]).replace("{write_key}", line.write_key)
    body = text.encode()
    if "\r\nContent-Encoding: gzip" in head:
        body = gzip.compress(body)
    host = urlsplit(line.gateway_url).netloc
    basic = base64.b64encode(f"{line.write_key}:".encode()).decode()
    head = head.replace("{host}", host).replace("{basic}", basic).replace("{length}", str(len(body)))
    if "\r\nTransfer-Encoding: chunked" in head:
        body = send_in_chunks(body)
    return Recording(f"{head}\r\n\r\n".encode(), body, json.loads(text)["batch"])


def send_in_chunks(body: bytes) -> bytes:
    parts = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


def replay(recording: Recording, line: Line) -> tuple[int, dict[str, Any]]:
    """The status and the answer. A client that asks for leave sends its body only when it has it."""
    address = urlsplit(line.gateway_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(recording.head)
        if b"Expect: 100-continue" in recording.head:
            assert connection.recv(64).startswith(b"HTTP/1.1 100 ")
        connection.sendall(recording.body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_wire(file: Path, line: Line) -> None:
    """Every call is accepted, the purchase reaches Meta once, and the same bytes again are duplicates."""
    recording = read_recording(file, line)
    count = len(recording.calls)
    for accepted, duplicates in ((count, 0), (0, count)):
        status, answer = replay(recording, line)
        assert (status, answer) == (
            200,
            {"success": True, "accepted": accepted, "duplicates": duplicates, "rejected": []},
        )
    check_arrival(line, recording.calls)
    (stored,) = line.read_stored()
    assert stored["body"]["custom_data"]["content_ids"] == ["p1", "p2"]


def test_there_is_a_recording_for_each_language() -> None:
    """An empty folder would pass every test above."""
    assert len(FILES) == 8
