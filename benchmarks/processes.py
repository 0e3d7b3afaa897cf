"""Gateway and emulator as processes of their own, and what the kernel counts of them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from signalpost.control_client import control_client

WRITE_KEY = "wk_bench_0123456789abcdef"

CONFIGURATION = """
[server]
host = "127.0.0.1"
port = 0
console_port = 0
data_dir = "{folder}/data"
[meta]
base_url = "{meta_url}"
[limits]
rate_limit = 0
[log]
level = "error"
[[sources]]
name = "bench"
write_keys = ["{write_key}"]
destinations = {names}
"""
DESTINATION = """
[[destinations]]
name = "{name}"
{settings}
"""
PIXEL = 'type = "facebook-conversions-api"\npixel_id = "1234567890"'
DELIVERING = 'access_token = "EMULATOR_TOKEN"'
"""Without it nothing is delivered."""


@dataclass(frozen=True, slots=True)
class Running:
    """A command that has announced itself. said: its announcement."""

    pid: int
    said: dict[str, Any]

    def read_processor_seconds(self) -> float:
        """Used so far, by all of its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def read_mebibytes(self, kind: str = "VmRSS") -> float:
        """Its resident memory now; "VmHWM": the most it ever was."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))

    @property
    def port(self) -> str:
        """Where an emulator listens."""
        return str(self.said["url"]).rpartition(":")[2]

    async def read_counts(self) -> dict[str, Any]:
        """The events of the gateway's ledger."""
        async with control_client(Path(self.said["data_dir"])) as control:
            ledger: dict[str, Any] = await control.get("/api/ledger")
        counts: dict[str, Any] = ledger["events"]
        return counts

    async def count_pending(self) -> int:
        """The events that wait, are leased or are retried."""
        return sum((await self.read_counts())["pending"].values())

    async def resume(self, destination: str = "pixel") -> None:
        """Let the gateway try a destination now."""
        async with control_client(Path(self.said["data_dir"])) as control:
            await control.post(f"/api/delivery/{destination}/resume")


def running(*arguments: str) -> AbstractAsyncContextManager[Running]:
    """Run a signalpost command until the block ends; what it still has to do then, it does."""
    return running_module("signalpost", *arguments, "--json")


@asynccontextmanager
async def running_module(*command: str) -> AsyncIterator[Running]:
    """The same for any module that announces itself with a line of JSON."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, stdout=subprocess.PIPE)
    try:
        announcement = await process.stdout.readline()  # type: ignore[union-attr]
        yield Running(process.pid, json.loads(announcement))
    finally:
        process.terminate()
        await process.wait()


def write_configuration(folder: Path, meta_url: str, pixel: str = f"{PIXEL}\n{DELIVERING}", **others: str) -> Path:
    """A gateway with one source and, but for the limit of requests a second, the defaults.

    pixel, others: the lines of the settings of its destination, and of others by their names.
    """
    file = folder / "signalpost.toml"
    destinations = {"pixel": pixel, **others}
    text = CONFIGURATION.format(
        folder=folder, meta_url=meta_url, write_key=WRITE_KEY, names=json.dumps([*destinations])
    )
    text += "".join(DESTINATION.format(name=name, settings=settings) for name, settings in destinations.items())
    file.write_text(text, encoding="utf-8")
    return file


def open_session() -> aiohttp.ClientSession:
    """A client that knows the write key."""
    return aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth(WRITE_KEY, "")})
