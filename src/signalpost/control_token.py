"""How the command line reaches the gateway that runs on a data folder: an admin token for this run, in a private file.

Whoever can read the folder could read the queue itself, so the file (0600) gives away nothing more.
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

CONTROL_TOKEN_NAME = "control.token"  # noqa: S105 - a file name


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """Where the control API of a run listens, and the token it takes."""

    url: str
    control_token: str = field(repr=False)


def new_control_token() -> str:
    """A token that nobody has seen."""
    return secrets.token_urlsafe(32)


def write_control_token(folder: Path, control_token: str, url: str) -> None:
    """Put it where the command line looks, instead of that of an earlier run; others never see half of it."""
    draft = folder / f"{CONTROL_TOKEN_NAME}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{control_token}\n{url}\n")
    draft.replace(folder / CONTROL_TOKEN_NAME)


def find_running_gateway(folder: Path) -> RunningGateway | None:
    """The latest run on this folder, or None. That run may have ended since."""
    try:
        token, url = (folder / CONTROL_TOKEN_NAME).read_text().split()
    except (OSError, ValueError):
        return None
    return RunningGateway(url, token)
