"""Commands that run to their end, as a person or a script runs them."""

import subprocess
import sys
from pathlib import Path


def run(*arguments: str, folder: Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command; whatever happens, it never shows a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "signalpost", *arguments],
        cwd=folder,
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    return ended


def read_error(ended: subprocess.CompletedProcess[bytes]) -> str:
    """The one sentence on standard error; nothing is on standard output then."""
    assert ended.stdout == b""
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")
