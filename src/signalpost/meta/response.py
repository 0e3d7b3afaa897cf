"""What Meta's answer means. The body beats the HTTP status, codes decide, and texts never do: Meta localises them.

Source: Graph API, "Handling Errors" and "Error Reference"; Marketing API, "Rate Limiting"; Meta publishes no list of
the Conversions API's own errors, so their rows are what has been observed and reported.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from signalpost.meta.headers import find_wait_seconds
from signalpost.model.delivery import (
    Accepted,
    Outcome,
    PauseReason,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)
from signalpost.redaction import mask_text

_LONGEST_TEXT = 1_000


class GraphError(msgspec.Struct, frozen=True):
    """The `error` object of an answer. Everything but the numbers is for people only."""

    code: int
    error_subcode: int = 0
    is_transient: bool = False
    said: str = ""
    fbtrace_id: str | None = None

    @property
    def label(self) -> str:
        """Meta's code, and its subcode when there is one, as "100/2804003"."""
        return f"{self.code}/{self.error_subcode}" if self.error_subcode else str(self.code)

    @property
    def detail(self) -> str:
        """What Meta says to a person, after its numbers."""
        return f"{self.label} {self.said}".strip()


class _Answer(msgspec.Struct, frozen=True):
    """The members that are looked at, of any type: one odd member must not hide what the others say."""

    error: Any = None
    events_received: Any = msgspec.UNSET
    fbtrace_id: Any = None


Treatment = Literal["throttle", "retry"] | PauseReason

GRAPH_ERRORS: Mapping[int | tuple[int, int], Treatment] = {
    368: "blocked",  # blocked for policy violations, even when called transient
    190: "token",  # the token is invalid, expired or revoked, whatever the subcode
    102: "token",  # session key invalid
    104: "token",  # the token needs an appsecret_proof
    2500: "token",  # an active access token must be used
    10: "permission",  # the application lacks a permission
    3: "permission",  # the application lacks the capability
    803: "dataset",  # the id does not exist
    (100, 33): "dataset",  # the id does not exist or the token may not see it
    (100, 2804118): "dataset",  # the dataset is not linked
    (100, 2804131): "dataset",
    (100, 2804132): "dataset",
    2635: "api_version",  # the version has ended
    4: "throttle",  # application request limit
    17: "throttle",  # user request limit
    32: "throttle",  # page request limit
    341: "throttle",  # temporary application limit
    613: "throttle",  # calls to this API have exceeded the rate limit
    1: "retry",  # unknown error
    2: "retry",  # service temporarily unavailable
    5000: "retry",
    21009: "retry",
}
"""Code, or code and subcode, -> what is done about it. What stands in no row is an objection to the data."""

PROOF_PARAMETER = "appsecret_proof"

_PERMISSION_CODES = range(200, 300)
_BUSINESS_USE_CASE_LIMITS = range(80000, 80015)
_DATA_CODES = frozenset({100, 105, 1815356})
"""Invalid parameter, too many parameters, and the same of the older offline edge; other codes say nothing of data."""

_decoder = msgspec.json.Decoder(_Answer)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,15}")


def classify(status: int, headers: Mapping[str, str], body: bytes, events_sent: int) -> Outcome:
    """Turn one answer into an outcome; `headers` are looked up in any case. Pure; never raises."""
    answer = _read_answer(body)
    error = _read_error(answer.error) if answer is not None else None
    if error is None:
        return _classify_without_error(status, headers, answer, events_sent)
    match _find_treatment(status, error):
        case "throttle":
            return Throttled(find_wait_seconds(headers), error.detail)
        case "retry":
            return Unavailable(error.detail, find_wait_seconds(headers))
        case None:
            return Rejected(error.label, error.detail, error.fbtrace_id, error.code in _DATA_CODES)
        case reason:
            return Unauthorized(reason, error.detail, error.fbtrace_id)


def classify_probe(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """The same for an empty request: that `data` must not be empty is what a good token and dataset are told.

    An app that demands a proof says so under the same code. Only the parameter's name tells the two apart; Meta
    localises its texts, but no names.
    """
    outcome = classify(status, headers, body, 0)
    if isinstance(outcome, Rejected) and outcome.code == "100":
        if PROOF_PARAMETER in outcome.detail:
            return Unauthorized("token", outcome.detail, outcome.fbtrace_id)
        return Accepted(outcome.fbtrace_id)
    return outcome


def _classify_without_error(
    status: int, headers: Mapping[str, str], answer: _Answer | None, events_sent: int
) -> Outcome:
    if status == 429:
        return Throttled(find_wait_seconds(headers), "HTTP 429")
    if status == 413:
        return Rejected("too_large", "HTTP 413: the request is too large")
    if 300 <= status < 400:
        return Unauthorized(
            "unknown_error", f"HTTP {status}: Meta's address answers with a redirect, which is not followed"
        )
    if answer is None or answer.error is not None or not 200 <= status < 300:
        return Unavailable(f"HTTP {status} without a readable answer", find_wait_seconds(headers))
    fbtrace_id = _read_text(answer.fbtrace_id) or None
    # A count that is no number confirms nothing, but the answer is a success all the same.
    received = events_sent if answer.events_received is msgspec.UNSET else _read_number(answer.events_received) or 0
    return Unclear(received, fbtrace_id) if received < events_sent else Accepted(fbtrace_id)


def _find_treatment(status: int, error: GraphError) -> Treatment | None:
    """The first that fits: what the destination is at fault for, then throttling, then what may pass by itself."""
    row = GRAPH_ERRORS.get((error.code, error.error_subcode)) or GRAPH_ERRORS.get(error.code)
    if row is None and error.code in _PERMISSION_CODES:
        return "permission"
    if row not in {None, "retry"}:
        return row
    if status == 429 or error.code in _BUSINESS_USE_CASE_LIMITS:
        return "throttle"
    if row == "retry" or error.is_transient or error.code < 0 or status == 408 or status >= 500:
        return "retry"
    return None


def _read_answer(body: bytes) -> _Answer | None:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _read_error(raw: object) -> GraphError | None:
    """None when it is no error of the Graph API's: no object, or one without a code."""
    code = _read_number(raw.get("code")) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or code is None:
        return None
    texts = [_read_text(raw.get(name)) for name in ("error_user_title", "error_user_msg")]
    return GraphError(
        code=code,
        error_subcode=_read_number(raw.get("error_subcode")) or 0,
        is_transient=raw.get("is_transient") is True,
        said=mask_text(": ".join(text for text in texts if text) or _read_text(raw.get("message"))),
        fbtrace_id=_read_text(raw.get("fbtrace_id")) or None,
    )


def _read_number(value: object) -> int | None:
    """A whole number however it is written: 190, 190.0 or "190"."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_text(value: object) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
