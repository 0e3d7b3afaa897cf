"""Commands that run to their end, as a person or a script runs them."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
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


def run_in_terminal(*arguments: str, folder: Path, question: str, answer: str) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns and type an answer; the exit code, and what was to be seen."""
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "signalpost", *arguments]
    shown = b""
    with subprocess.Popen(
        command, cwd=folder, stdin=screen, stdout=screen, stderr=screen, start_new_session=True
    ) as process:
        os.close(screen)
        try:
            while part := _read_screen(keyboard):
                shown += part
                if answer and question.encode() in shown:
                    os.write(keyboard, answer.encode())
                    answer = ""
            process.wait(60)
        finally:
            process.kill()
            os.close(keyboard)
    assert b"Traceback" not in shown, shown.decode()
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n")


def _read_screen(keyboard: int) -> bytes:
    """Nothing when the command has ended: Linux calls that an error."""
    try:
        return os.read(keyboard, 4096)
    except OSError:
        return b""


def read_error(ended: subprocess.CompletedProcess[bytes]) -> str:
    """The one sentence on standard error; nothing is on standard output then."""
    assert ended.stdout == b""
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")
