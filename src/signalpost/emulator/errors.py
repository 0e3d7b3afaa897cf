"""Meta's error answers, one row each, as `graph_errors.json` lists them.

A row is both an answer of the rules and a fault that can be asked for by its id. Only the trace id changes.
"""

from pathlib import Path
from typing import Any

import msgspec

ROWS_FILE = Path(__file__).with_name("graph_errors.json")


class ErrorRow(msgspec.Struct, frozen=True, rename={"error_class": "class"}):
    """One answer of the Graph API: a JSON envelope (dict) or a text that is sent as it is (str)."""

    id: str
    http_status: int
    body: dict[str, Any] | str
    headers: dict[str, str]
    error_class: str
    wait_seconds: float | None
    human: str
    fix: str
    confidence: str


def read_error_rows() -> dict[str, ErrorRow]:
    """Return every row by its id, in the order of the file."""
    rows = msgspec.json.decode(ROWS_FILE.read_bytes(), type=list[ErrorRow])
    return {row.id: row for row in rows}


def build_error_body(row: ErrorRow, fbtrace_id: str, *, title: str | None = None, text: str | None = None) -> bytes:
    """Return the row's body with a fresh trace id; title and text replace what a person would read."""
    if isinstance(row.body, str):
        return row.body.encode()
    envelope = dict(row.body)
    if "error" in envelope:
        error = dict(envelope["error"])
        if title is not None:
            error["error_user_title"] = title
        if text is not None:
            error["error_user_msg"] = text
        error.pop("fbtrace_id", None)
        envelope["error"] = {**error, "fbtrace_id": fbtrace_id}
    else:
        envelope["fbtrace_id"] = fbtrace_id
    return msgspec.json.encode(envelope)
