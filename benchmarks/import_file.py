"""How fast a file of past sales becomes durable: `signalpost import` into a gateway, CSV and Parquet, a million rows.

The clock runs around the importer's whole process, from its start to its end, so looking through the file counts. The
gateway maps every row and commits it before it answers; delivery to the emulator goes on beside it on the same cores.
Memory is the importer's largest resident set, as the kernel counts it. With --kills the importer is killed in between
and started again, and the run ends when the emulator has every row, once.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

from benchmarks.machine import describe_machine
from benchmarks.processes import DELIVERING, WRITE_KEY, Running, write_configuration

AIM_ROWS_PER_SECOND = 10_000
AIM_MEBIBYTES = 400
SETTINGS = f"""type = "facebook-offline-conversions"
event_sets = {{ "Order Completed" = "1234567890" }}
{DELIVERING}"""

COLUMNS = (
    "order_id",
    "date",
    "email",
    "phone",
    "first_name",
    "last_name",
    "city",
    "zip",
    "country",
    "total",
    "currency",
)
_FIRST_NAMES = ("Ada", "Grace", "Linus", "Zoë", "José", "Mary", "Ham", "Leia", "Rey", "Finn")
_CITIES = ("Berlin", "Paris", "East Greenwich", "São Paulo", "München")


def write_sales(file: Path, rows: int, now: datetime) -> None:
    """Write sales of the last fortnight, each with another customer, as CSV."""
    with file.open("w", encoding="utf-8") as stream:
        stream.write(",".join(COLUMNS) + "\n")
        for number in range(rows):
            sold_at = now - timedelta(seconds=number % 1_200_000 + 60)
            stream.write(
                f"R-{number},{sold_at:%Y-%m-%d %H:%M:%S},customer{number}@example.com,+4915{number:09d},"
                f"{_FIRST_NAMES[number % 10]},Example{number % 5000},{_CITIES[number % 5]},{10000 + number % 80000},DE,"
                f"{number % 9000 / 100 + 1:.2f},EUR\n"
            )


@contextmanager
def _stopped_at_the_end(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A signalpost command, stopped however the block ends."""
    process = subprocess.Popen([sys.executable, "-m", "signalpost", *arguments, "--json"], stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            process.wait()


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    """A command that serves until the block ends."""
    with _stopped_at_the_end(*arguments) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield Running(process.pid, json.loads(process.stdout.readline()))


@dataclass
class Measured:
    """What an import took. Seconds of processor are summed over the importer's starts; mebibytes are the most."""

    seconds: float = 0.0
    importer: float = 0.0
    gateway: float = 0.0
    meta: float = 0.0
    mebibytes: float = 0.0
    said: bytes = b""

    def describe(self, rows: int) -> str:
        """The numbers of a row."""
        micros = [f"{spent / rows * 1e6:.1f}" for spent in (self.importer, self.gateway, self.meta)]
        return (
            f"{rows / self.seconds:>7,.0f} rows/s  ({self.seconds:.1f} s; µs of processor a row: importer {micros[0]}, "
            f"gateway {micros[1]}, emulator {micros[2]}; importer {self.mebibytes:.0f} MiB)"
        )


def import_once(file: Path, url: str, measured: Measured, kill_after_rows: int | None = None) -> int:
    """Run the importer, or kill it when it has noted so many rows; returns its exit code."""
    command = ("import", str(file), "--yes", "--write-key", WRITE_KEY, "--url", url)
    with _stopped_at_the_end(*command) as importer:
        assert importer.stdout is not None  # noqa: S101 - it is a pipe
        if kill_after_rows is not None:
            _wait_for_rows(file, kill_after_rows, importer)
            importer.kill()
        measured.said = importer.stdout.read()
        _, status, usage = os.wait4(importer.pid, 0)
        importer.returncode = os.waitstatus_to_exitcode(status)
    measured.importer += usage.ru_utime + usage.ru_stime
    measured.mebibytes = max(measured.mebibytes, usage.ru_maxrss / 1024)
    return importer.returncode


def _wait_for_rows(file: Path, rows: int, importer: subprocess.Popen[bytes]) -> None:
    while importer.poll() is None:
        for progress in file.parent.glob(f"{file.name}.import-*"):
            lines = progress.read_bytes().split(b"\n")[:-1]
            if lines and json.loads(lines[-1]).get("rows", 0) >= rows:
                return
        time.sleep(0.01)


def measure(file: Path, folder: Path, rows: int, kills: int) -> Measured:
    """Import into a gateway of its own. Exits when a row is missing, refused or sent twice."""
    folder.mkdir()
    measured = Measured()
    with running("emulator", "--port", "0") as meta:
        url = meta.said["url"]
        configuration = write_configuration(folder, url, SETTINGS)
        with running("serve", "--config", str(configuration)) as gateway:
            before = gateway.read_processor_seconds(), meta.read_processor_seconds()
            began = time.perf_counter()
            for kill in range(kills):
                import_once(file, gateway.said["tracking_url"], measured, rows * (kill + 1) // (kills + 1))
            code = import_once(file, gateway.said["tracking_url"], measured)
            measured.seconds = time.perf_counter() - began
            measured.gateway = gateway.read_processor_seconds() - before[0]
            measured.meta = meta.read_processor_seconds() - before[1]
            _check(measured, code, rows, kills)
            if kills:
                _check_delivered(url, rows)
    return measured


def _check(measured: Measured, code: int, rows: int, kills: int) -> None:
    said = measured.said.decode()
    if code:
        sys.exit(f"the import ended with exit code {code}: {said}")
    end = json.loads(said.splitlines()[-1])
    if end["accepted"] + end["duplicates"] != rows:
        sys.exit(f"not every row was taken: {said}")
    if kills:
        print(f"  killed {kills} times: {end['duplicates']:,} rows were sent again and known by their ids")


def _check_delivered(url: str, rows: int) -> None:
    """Until the emulator has as many events as there are rows."""
    while True:
        with urlopen(f"{url}/_emulator/ledger?limit=1") as response:  # noqa: S310 - the emulator started above
            totals = json.load(response)["totals"]
        if totals["accepted"] >= rows:
            break
        time.sleep(0.5)
    if (totals["accepted"], totals["repeats"]) != (rows, 0):
        sys.exit(f"not every row was delivered once: {totals}")
    print(f"  delivered: {rows:,} rows, each once")


def main() -> None:
    """Print a line for each format; exit 1 when an aim is missed or a row is."""
    parser = argparse.ArgumentParser(description="How fast a file becomes durable.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=0, help="kill the importer so often, then check every row")
    parser.add_argument("--format", choices=("CSV", "Parquet"), action="append")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that what was started is stopped as well
    rows: int = options.rows
    print(f"{rows:,} rows; {describe_machine()}; load {os.getloadavg()[0]:.1f} before", flush=True)
    is_good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sales = {"CSV": folder / "sales.csv", "Parquet": folder / "sales.parquet"}
        write_sales(sales["CSV"], rows, datetime.now(UTC))
        script = "import polars, sys; polars.scan_csv(sys.argv[1], try_parse_dates=True).sink_parquet(sys.argv[2])"
        subprocess.run([sys.executable, "-c", script, *map(str, sales.values())], check=True)
        for kind in options.format or sales:
            measured = measure(sales[kind], folder / kind, rows, options.kills)
            is_good = is_good and rows / measured.seconds >= AIM_ROWS_PER_SECOND
            is_good = is_good and measured.mebibytes < AIM_MEBIBYTES
            print(f"{kind:<8} {measured.describe(rows)}", flush=True)
    print(f"aim: {AIM_ROWS_PER_SECOND:,} rows/s accepted, importer below {AIM_MEBIBYTES} MiB")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
