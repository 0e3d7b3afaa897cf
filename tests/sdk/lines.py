"""A gateway and a local Meta for the whole run. Each test has a line through them: what one sends, no other sees."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.processes import Program, read_json

LINES = 100


@dataclass(frozen=True)
class Line:
    """A source, and a destination of its own with a dataset of its own."""

    gateway: Program
    meta: Program
    number: int

    @property
    def gateway_url(self) -> str:
        return str(self.gateway.announced["tracking_url"])

    @property
    def write_key(self) -> str:
        return f"wk_line_{self.number:016}"

    @property
    def pixel_id(self) -> str:
        return f"{1_000_000 + self.number}"

    def drain(self, calls: int, timeout_seconds: float = 30) -> dict[str, Any]:
        """The ledger of this line as soon as so many calls were accepted and nothing waits."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            ledger = self.gateway.read_api(f"/api/ledger?destination=pixel-{self.number}")
            events = ledger["events"]
            if events["accepted"] >= calls and sum(events["pending"].values()) == 0:
                return dict(ledger)
            assert time.monotonic() < deadline, f"not {calls} calls, or still waiting: {ledger}"
            time.sleep(0.02)

    def read_stored(self) -> list[dict[str, Any]]:
        """The server events that the local Meta has in this line's dataset, each with how often it came."""
        return list(read_json(f"{self.meta.announced['url']}/_emulator/events?dataset_id={self.pixel_id}")["events"])


def write_lines(folder: Path, meta_url: str) -> Path:
    """The gateway's configuration."""
    sections = [
        f'[server]\nhost = "127.0.0.1"\nport = 0\nconsole_port = 0\ndata_dir = {json.dumps(str(folder / "data"))}',
        f'[meta]\nbase_url = "{meta_url}"',
        "[delivery]\nlinger_seconds = 0.05",
    ]
    for number in range(LINES):
        line = f'name = "line-{number}"\nwrite_keys = ["wk_line_{number:016}"]\ndestinations = ["pixel-{number}"]'
        pixel = f'name = "pixel-{number}"\ntype = "facebook-conversions-api"\npixel_id = "{1_000_000 + number}"'
        sections += [f"[[sources]]\n{line}", f'[[destinations]]\n{pixel}\naccess_token = "EMULATOR_TOKEN"']
    file = folder / "signalpost.toml"
    file.write_text("\n\n".join(sections))
    return file
