"""Who may write where: the version in the path, the token and the dataset, checked in Meta's order.

Each check returns the id of the row it answers with, or None. Sources: Graph API "Versioning", "Changelog" and
"Handling Errors"; the tokens are the emulator's own.
"""

import hmac
import re
from datetime import UTC, datetime

from signalpost.emulator.grants import APP_SECRET, Grants

# End of each version, from the Graph API changelog. A version that is not listed is newer and has no known end.
VERSION_ENDS = {
    (21, 0): datetime(2027, 1, 21, tzinfo=UTC),
    (22, 0): datetime(2027, 5, 20, tzinfo=UTC),
    (23, 0): datetime(2027, 10, 8, tzinfo=UTC),
    (24, 0): datetime(2028, 2, 18, tzinfo=UTC),
    (25, 0): datetime(2028, 7, 29, tzinfo=UTC),
}
OLDEST_VERSION = min(VERSION_ENDS)

VALID_TOKEN = "EMULATOR_TOKEN"  # noqa: S105 - the emulator's own, public on purpose
PROOF_TOKEN = "EMULATOR_NEEDS_PROOF"  # noqa: S105 - likewise
FAULT_TOKEN_PREFIX = "EMULATOR_FAULT_"  # noqa: S105 - likewise

TOKEN_ROWS = {"EMULATOR_EXPIRED": "token_expired", "EMULATOR_REVOKED": "token_invalid_session"}
GRANT_ROWS = {"valid": None, "expired": "token_expired", "revoked": "token_invalid_session"}
PROOF_ROW = "signature_incorrect"
PERMISSION_ROWS = {"EMULATOR_NO_ACCESS": "object_not_found", "EMULATOR_READ_ONLY": "permission_denied_200"}

VERSION_SHAPE = re.compile(r"v(\d{1,3})\.(\d{1,2})")
DATASET_SHAPE = re.compile(r"[0-9]{1,20}")


def check_version(version: str, now: float) -> str | None:
    shape = VERSION_SHAPE.fullmatch(version)
    if shape is None:
        return "unknown_path"
    number = (int(shape[1]), int(shape[2]))
    end = VERSION_ENDS.get(number)
    has_ended = number < OLDEST_VERSION or (end is not None and now >= end.timestamp())
    return "version_deprecated" if has_ended else None


def check_token(token: str | None, grants: Grants) -> str | None:
    if token is None:
        return "token_unparsable"
    granted = grants.find_state(token)
    if granted is not None:
        return GRANT_ROWS[granted]
    if token in {VALID_TOKEN, PROOF_TOKEN} or token in PERMISSION_ROWS or token.startswith(FAULT_TOKEN_PREFIX):
        return None
    return TOKEN_ROWS.get(token, "token_unparsable")


def check_proof(token: str | None, proof: object) -> str | None:
    """A proof must fit the token and the emulator's app secret; only the app of one token demands it."""
    if proof is None:
        return "appsecret_proof_required" if token == PROOF_TOKEN else None
    right = hmac.digest(APP_SECRET.encode(), (token or "").encode(), "sha256").hex()
    return None if isinstance(proof, str) and hmac.compare_digest(proof.encode(), right.encode()) else PROOF_ROW


def check_dataset(dataset_id: str, token: str | None) -> str | None:
    """Any well-formed id exists; whether it may be written to is a matter of the token."""
    if not dataset_id.isascii() or not dataset_id.isdigit():
        return "object_alias_not_found"
    if DATASET_SHAPE.fullmatch(dataset_id) is None:
        return "object_not_found"
    return PERMISSION_ROWS.get(token or "")
