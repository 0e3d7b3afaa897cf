"""What each of Meta's answers means: every recorded row, the same row in other clothes, and anything at all."""

import json
import random
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalpost.meta.headers import find_wait_seconds
from signalpost.meta.response import GRAPH_ERRORS, classify
from signalpost.model.delivery import Accepted, Outcome, Rejected, Throttled, Unauthorized, Unavailable, Unclear

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "graph_errors.json").read_bytes())
OUTCOMES = {
    "data": (Rejected,),
    "park": (Unauthorized,),
    "policy": (Unauthorized,),
    "retry": (Unavailable, Unclear),
    "throttle": (Throttled,),
}
EVENTS_SENT = 1

each_row = pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])


def classify_row(row: dict[str, Any]) -> Outcome:
    body = row["body"] if isinstance(row["body"], str) else json.dumps(row["body"])
    return classify(row["http_status"], row["headers"], body.encode(), EVENTS_SENT)


def classify_error(status: int = 400, headers: dict[str, str] | None = None, **error: Any) -> Outcome:
    return classify(status, headers or {}, json.dumps({"error": error}).encode(), EVENTS_SENT)


def shuffle_keys(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = chance.sample(list(value), len(value))
        return {key: shuffle_keys(value[key], chance) for key in keys}
    return value


def with_error(row: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The row with other fields in its error object, when it has one."""
    if not isinstance(row["body"], dict) or "error" not in row["body"]:
        return row
    return {**row, "body": {**row["body"], "error": {**row["body"]["error"], **fields}}}


def forget_texts(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, detail="") if hasattr(outcome, "detail") else outcome


# --- the rows ---


def test_rows_are_all_there():
    """The recorded answers cover every class."""
    assert len(ROWS) == 103
    assert {row["class"] for row in ROWS} == set(OUTCOMES)


@each_row
def test_row(row):
    """Each recorded answer has the outcome of its class, and each pause has its reason."""
    outcome = classify_row(row)
    assert isinstance(outcome, OUTCOMES[row["class"]])
    if isinstance(outcome, Unauthorized):
        assert (outcome.reason == "blocked") == (row["class"] == "policy")


@each_row
def test_wait(row):
    """The longest wait that the headers of a recorded answer name is found, whatever its class."""
    assert find_wait_seconds(row["headers"]) == row["wait_seconds"]
    outcome = classify_row(row)
    if isinstance(outcome, (Throttled, Unavailable)):
        assert outcome.wait_seconds == row["wait_seconds"]


@each_row
def test_shuffled_keys(row):
    """The order of an answer's keys means nothing."""
    assert classify_row({**row, "body": shuffle_keys(row["body"], random.Random(row["id"]))}) == classify_row(row)


@pytest.mark.parametrize("recase", [str.lower, str.upper])
@each_row
def test_header_names_in_any_case(row, recase):
    """Header names are read in any case."""
    headers = {recase(name): value for name, value in row["headers"].items()}
    assert classify_row({**row, "headers": headers}) == classify_row(row)


@each_row
def test_unknown_keys(row):
    """Keys that nobody knows change nothing, beside the error and in it."""
    grown = with_error(row, new_key={"deep": [1, None]}, code_text="190")
    if isinstance(row["body"], dict):
        grown = {**grown, "body": {**grown["body"], "new_key": [{"error": 190}]}}
    assert classify_row(grown) == classify_row(row)


@each_row
def test_other_language(row):
    """Texts decide nothing: Meta localises them."""
    texts = {
        "message": "Ugyldig parameter",
        "error_user_title": "需要更多的客户信息参数",
        "error_user_msg": "Der Zugriffstoken ist abgelaufen. Unsupported post request. Please retry.",
        "type": "GraphMethodException",
    }
    assert forget_texts(classify_row(with_error(row, **texts))) == forget_texts(classify_row(row))


@each_row
def test_numbers_in_other_writing(row):
    """A code is the same code as a number, as text and with a fraction of zero."""
    error = row["body"].get("error", {}) if isinstance(row["body"], dict) else {}
    for write in (str, float):
        numbers = {key: write(error[key]) for key in ("code", "error_subcode") if key in error}
        assert classify_row(with_error(row, **numbers)) == classify_row(row)


# --- rules that no recorded answer shows ---


def test_success():
    """A success is accepted with Meta's trace id; the count may be missing."""
    body = b'{"events_received":2,"messages":[],"fbtrace_id":"A1"}'
    assert classify(200, {}, body, events_sent=2) == Accepted("A1")
    assert classify(200, {}, b"{}", events_sent=2) == Accepted(None)


def test_fewer_received():
    """A success that counts fewer events than were sent is unclear."""
    body = b'{"events_received":1,"fbtrace_id":"A1"}'
    assert classify(200, {}, body, events_sent=2) == Unclear(1, "A1")


@pytest.mark.parametrize(
    ("events_received", "outcome"),
    [
        ("2", Accepted()),
        (2.0, Accepted()),
        (3, Accepted()),
        (-1, Unclear(-1)),
        (None, Unclear(0)),
        ("many", Unclear(0)),
        (True, Unclear(0)),
        ([2], Unclear(0)),
    ],
)
def test_odd_count(events_received, outcome):
    """A success whose count can't be read is unclear, so that it is repeated once and not for ever."""
    assert classify(200, {}, json.dumps({"events_received": events_received}).encode(), events_sent=2) == outcome


@pytest.mark.parametrize("error", [None, {}, "invalid_request", 190, [190], {"message": "no code"}, {"code": None}])
def test_error_without_code(error):
    """An error without a code decides nothing: the HTTP status does, and a success is not believed."""
    body = json.dumps({"error": error}).encode()
    assert isinstance(classify(400, {}, body, EVENTS_SENT), Unavailable)
    assert isinstance(classify(429, {}, body, EVENTS_SENT), Throttled)
    assert isinstance(classify(413, {}, body, EVENTS_SENT), Rejected)
    expected = Accepted if error is None else Unavailable
    assert isinstance(classify(200, {}, body, EVENTS_SENT), expected)


@pytest.mark.parametrize(
    "odd",
    [
        {"error_subcode": None},
        {"error_subcode": "new"},
        {"is_transient": "maybe"},
        {"message": {"text": "nested"}},
        {"error_user_title": 7, "error_user_msg": ["x"]},
        {"fbtrace_id": 12},
    ],
)
def test_odd_fields(odd):
    """One field of an unexpected type does not hide the code."""
    assert isinstance(classify_error(code=190, **odd), Unauthorized)
    assert isinstance(classify_error(code=100, **odd), Rejected)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"ok"', b"", b"\xff", b"{", b'{"error":{"code":1}}x'])
def test_unreadable_success(body):
    """A 200 that is no JSON object confirms nothing."""
    assert isinstance(classify(200, {}, body, EVENTS_SENT), Unavailable)


def test_transient_policy_block():
    """A policy block stays one even when it is called transient."""
    assert classify_error(code=368, is_transient=True).reason == "blocked"


def test_status_429_beats_temporary_codes():
    """HTTP 429 throttles also with a code that would only be retried, but not with a broken token."""
    assert classify_error(429, {"Retry-After": "9"}, code=2) == Throttled(9.0, "2")
    assert classify_error(429, {}, code=100, error_subcode=2804050, is_transient=True) == Throttled(None, "100/2804050")
    assert isinstance(classify_error(429, {}, code=190), Unauthorized)


@pytest.mark.parametrize("code", [200, 299])
def test_permission_codes(code):
    """200 to 299 are missing permissions."""
    assert classify_error(code=code).reason == "permission"


@pytest.mark.parametrize("code", [199, 300, 79999, 80015])
def test_codes_beside_the_ranges(code):
    """A code just outside of a range is an objection to the data, though of a kind that nobody knows."""
    assert classify_error(code=code) == Rejected(str(code), str(code), is_known=False)


def test_rejection_tells_why():
    """A rejection carries Meta's code and subcode, what Meta says to a person, and the trace id."""
    outcome = classify_error(
        code=100, error_subcode=2804050, message="m", error_user_title="T", error_user_msg="M", fbtrace_id="A1"
    )
    assert outcome == Rejected("100/2804050", "100/2804050 T: M", "A1")


def test_long_text_is_cut():
    """No text of Meta's is so long that it would swell logs and dead letters."""
    assert len(classify_error(code=100, message="x" * 1_000_000).detail) < 1_100


def test_reasons_are_known():
    """Every row of the table names a treatment that the gateway knows."""
    known = {"throttle", "retry", *get_args(Unauthorized.__annotations__["reason"])}
    assert set(GRAPH_ERRORS.values()) <= known


# --- anything at all ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
error_keys = st.sampled_from(["code", "error_subcode", "is_transient", "message", "error_user_msg", "fbtrace_id"])
answers = st.fixed_dictionaries(
    {},
    optional={
        "error": json_values | st.dictionaries(error_keys, json_values),
        "events_received": json_values,
        "fbtrace_id": json_values,
    },
)
header_names = st.sampled_from(["X-Business-Use-Case-Usage", "x-ad-account-usage", "Retry-After", "Date"])
header_values = st.text() | json_values.map(json.dumps)
statuses = st.integers(100, 599) | st.integers()


@given(statuses, st.dictionaries(header_names, header_values), st.binary(), st.integers(1, 1000))
@example(200, {}, b"[" * 100_000, 1)
@example(200, {}, b'{"error":' * 100_000, 1)
@example(400, {}, b'{"error":{"code":1' + b"0" * 5_000 + b"}}", 1)
@example(400, {}, b'{"error":{"code":1' + b"0" * 400 + b"}}", 1)
@example(400, {}, b'{"error":{"code":1e300}}', 1)
def test_any_bytes(status, headers, body, events_sent):
    """Whatever bytes come with whatever status, there is an outcome."""
    assert isinstance(classify(status, headers, body, events_sent), Outcome)


@given(statuses, st.dictionaries(header_names, header_values), json_values | answers, st.integers(1, 1000))
def test_any_json(status, headers, answer, events_sent):
    """Whatever JSON comes, there is an outcome, and only a success of HTTP without an error is accepted."""
    outcome = classify(status, headers, json.dumps(answer).encode(), events_sent)
    if isinstance(outcome, Accepted | Unclear):
        assert 200 <= status < 300
        assert isinstance(answer, dict)
        assert answer.get("error") is None
    if isinstance(outcome, Throttled) and outcome.wait_seconds is not None:
        assert 0 < outcome.wait_seconds <= 12 * 3600
