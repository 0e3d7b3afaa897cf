"""A proxy before the local Meta: it takes one token of the test's own, and repeats what it was sent when it refuses.

What it does depends on the dataset: refuse the event, refuse the token, fail, throttle, never answer, or pass it on.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

GOOD, REFUSED, REVOKED, DOWN, BUSY, SILENT = (str(number) * 10 for number in range(1, 7))

_ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    REFUSED: (400, {"code": 100, "error_subcode": 2804050}),
    REVOKED: (401, {"code": 190}),
    DOWN: (503, {"code": 2, "is_transient": True}),
    BUSY: (400, {"code": 4}),
}


class EchoingMeta(ThreadingHTTPServer):
    """Serves on a free port until `close()`."""

    daemon_threads = True

    def __init__(self, emulator_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.emulator_url = emulator_url
        self.asked: list[str] = []
        self.is_closing = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.is_closing.set()
        self.shutdown()
        self.server_close()


class _Proxy(BaseHTTPRequestHandler):
    server: EchoingMeta

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        dataset = self.path.split("/")[2]
        self.server.asked.append(dataset)
        if dataset == SILENT:
            self.server.is_closing.wait()
        elif dataset in _ERRORS:
            status, error = _ERRORS[dataset]
            echo = f"{self.headers['Authorization']} sent {body.decode()}"
            self._answer(status, {"error": {**error, "message": echo, "error_user_msg": echo, "fbtrace_id": "trace"}})
        else:
            headers = {"Authorization": "Bearer EMULATOR_TOKEN", "Content-Type": "application/json"}
            answer = requests.post(self.server.emulator_url + self.path, data=body, headers=headers, timeout=10)
            self._answer(answer.status_code, answer.json())

    def _answer(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing: the test reads logs of the gateway alone."""
