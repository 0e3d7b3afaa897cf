"""How fast a file of past sales becomes durable: `signalpost import` into a gateway, CSV and Parquet, a million rows.

The clock runs around the importer's whole process, from its start to its end, so looking through the file counts. The
gateway maps every row and commits it before it answers; delivery to the emulator goes on beside it on the same cores.
Memory is the importer's largest resident set, as the kernel counts it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

ROWS = int(os.environ.get("ROWS", "1000000"))
AIM_ROWS_PER_SECOND = 10_000
AIM_MEBIBYTES = 400
WRITE_KEY = "wk_bench_0123456789abcdef"
DATASET = "1234567890"

CONFIGURATION = """
[server]
host = "127.0.0.1"
port = 0
console_port = 0
data_dir = "{folder}/data"
[meta]
base_url = "{meta_url}"
[[sources]]
name = "stores"
write_keys = ["{write_key}"]
destinations = ["offline"]
[[destinations]]
name = "offline"
type = "facebook-offline-conversions"
access_token = "EMULATOR_TOKEN"
event_sets = {{ "Order Completed" = "{dataset}" }}
"""

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
def running(*arguments: str) -> Iterator[dict[str, Any]]:
    """A signalpost command that has announced its addresses; stopped at the end."""
    command = [sys.executable, "-m", "signalpost", *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def measure(file: Path, folder: Path) -> tuple[float, float, float, dict[str, Any]]:
    """Seconds, the importer's own processor seconds, its largest memory in MiB, and what it says at the end."""
    folder.mkdir()
    with running("emulator", "--port", "0") as emulator:
        configuration = folder / "signalpost.toml"
        configuration.write_text(
            CONFIGURATION.format(folder=folder, meta_url=emulator["url"], write_key=WRITE_KEY, dataset=DATASET)
        )
        with running("serve", "--config", str(configuration)) as gateway:
            command = [
                sys.executable,
                "-m",
                "signalpost",
                "import",
                str(file),
                "--yes",
                "--json",
                "--write-key",
                WRITE_KEY,
            ]
            began = time.perf_counter()
            with subprocess.Popen([*command, "--url", gateway["tracking_url"]], stdout=subprocess.PIPE) as importer:
                assert importer.stdout is not None  # noqa: S101 - it is a pipe
                said = importer.stdout.read()
                _, status, usage = os.wait4(importer.pid, 0)
                importer.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - began
    if importer.returncode:
        sys.exit(f"the import ended with exit code {importer.returncode}: {said.decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, json.loads(said.splitlines()[-1])


def main() -> None:
    """Print a line for each format; exit 1 when an aim is missed or a row is."""
    print(f"{ROWS:,} rows; {describe_machine()}; load {os.getloadavg()[0]:.1f} before")
    is_good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sales = {"CSV": folder / "sales.csv", "Parquet": folder / "sales.parquet"}
        write_sales(sales["CSV"], ROWS, datetime.now(UTC))
        script = "import polars, sys; polars.scan_csv(sys.argv[1], try_parse_dates=True).sink_parquet(sys.argv[2])"
        subprocess.run([sys.executable, "-c", script, *map(str, sales.values())], check=True)
        for kind, file in sales.items():
            seconds, processor_seconds, mebibytes, end = measure(file, folder / kind)
            rate = ROWS / seconds
            is_good = is_good and end["accepted"] == ROWS
            is_good = is_good and rate >= AIM_ROWS_PER_SECOND and mebibytes < AIM_MEBIBYTES
            print(
                f"{kind:<8} {rate:>7,.0f} rows/s  ({file.stat().st_size / 1e6:.0f} MB, {seconds:.1f} s; "
                f"importer {processor_seconds / ROWS * 1e6:.1f} µs of processor a row, {mebibytes:.0f} MiB)"
            )
    print(f"aim: {AIM_ROWS_PER_SECOND:,} rows/s accepted, importer below {AIM_MEBIBYTES} MiB")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
