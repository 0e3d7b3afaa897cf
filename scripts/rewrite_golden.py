"""Writes the `results` of golden cases again from the code, and prints what changed.

    python scripts/rewrite_golden.py --all
    python scripts/rewrite_golden.py tests/mapping/golden/facebook-conversions-api/order_completed [FILE ...]

Never run by CI: it only says what the code does. Read every change against what the case should show before keeping it.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import signalpost
from signalpost.map_lines import describe_result
from signalpost.model.timestamps import read_timestamp

GOLDEN = Path(__file__).parents[1] / "tests/mapping/golden"
KEYS = ("why", "rows", "source", "settings", "received_at", "segment_event", "results")


def build_results(case: dict[str, Any], destination_type: str) -> list[dict[str, Any]]:
    """What `signalpost map` would print as the results of a case."""
    received_at = read_timestamp(case["received_at"])
    if received_at is None:
        raise ValueError(case["received_at"])
    request = signalpost.RequestContext(received_at=received_at, new_message_id=lambda: "made-here")
    event = signalpost.parse_call(case["segment_event"], request)
    if isinstance(event, signalpost.InvalidCall):
        raise TypeError(event.message)
    destination = signalpost.build_destination(destination_type, case["settings"])
    return [_describe(result) for result in signalpost.map_event(event, destination)]


def _describe(result: signalpost.MappingResult) -> dict[str, Any]:
    described = describe_result(result)
    if isinstance(result, signalpost.Mapped):
        server_event = json.loads(result.server_event.to_json())
        described = {**described, "warnings": list(result.warnings), "server_event": server_event}
    order = ("status", "code", "reason", "message", "dataset_id", "warnings", "server_event")
    return {key: described[key] for key in order if key in described}


def rewrite(file: Path) -> Iterator[str]:
    """Write one file again if it differs; yield the lines of the difference."""
    before = file.read_text(encoding="utf-8")
    case = json.loads(before)
    case["results"] = build_results(case, file.resolve().relative_to(GOLDEN).parts[0])
    after = json.dumps({key: case[key] for key in KEYS}, indent=2, ensure_ascii=False) + "\n"
    if after != before:
        file.write_text(after, encoding="utf-8")
        yield from difflib.unified_diff(before.splitlines(), after.splitlines(), str(file), str(file), lineterm="")


def find_cases(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those in the folders named."""
    return sorted({file for path in paths for file in (path.rglob("*.json") if path.is_dir() else [path])})


def main() -> None:
    """Rewrite all cases, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders of golden cases")
    parser.add_argument("--all", action="store_true", help="every golden case")
    options = parser.parse_args()
    if bool(options.paths) == options.all:
        parser.error("name files or folders, or give --all")
    cases = find_cases([GOLDEN] if options.all else options.paths)
    changed = 0
    for file in cases:
        lines = list(rewrite(file))
        changed += bool(lines)
        sys.stdout.writelines(f"{line}\n" for line in lines)
    print(f"{changed} of {len(cases)} cases changed")


if __name__ == "__main__":
    main()
