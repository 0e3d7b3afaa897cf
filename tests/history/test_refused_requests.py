"""Requests refused at the door: like ones share a row, so that a flood hides nothing."""

from datetime import UTC, datetime, timedelta

from signalpost.history.refused_requests import ROWS, RefusedKind, RefusedRequests
from signalpost.model.ids import SourceId

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def kind(code: str = "invalid_write_key", source: str | None = None, **fields: str) -> RefusedKind:
    known = {"path": "/v1/track", "key_ending": "", "client_network": "203.0.113.0/24", **fields}
    return RefusedKind(status=401, code=code, source_id=SourceId(source) if source else None, **known)


def test_a_flood_is_one_row():
    """A thousand like refusals are one row with first and last time; another kind stays visible beside it."""
    refused = RefusedRequests()
    refused.count(kind("missing_write_key"), NOON, "why", "curl/8")
    for second in range(1_000):
        refused.count(kind(), NOON + timedelta(seconds=second), "why", f"agent/{second}")
    flood, other = refused.recent()
    assert (flood.count, flood.first_at, flood.last_at) == (1_000, NOON, NOON + timedelta(seconds=999))
    assert flood.user_agent == "agent/999"
    assert (other.kind.code, other.count) == ("missing_write_key", 1)


def test_the_least_recent_makes_room():
    """However many kinds there are, 200 rows are kept; a row that is counted again is recent."""
    refused = RefusedRequests()
    refused.count(kind(path="/first"), NOON, "", "")
    refused.count(kind(path="/second"), NOON, "", "")
    refused.count(kind(path="/first"), NOON, "", "")
    for number in range(ROWS - 1):
        refused.count(kind(path=f"/{number}"), NOON, "", "")
    paths = [row.kind.path for row in refused.recent()]
    assert len(paths) == ROWS
    assert "/first" in paths
    assert "/second" not in paths


def test_of_one_source():
    """Who looks at one source sees its refusals and those that named none: its key may be the mistyped one."""
    refused = RefusedRequests()
    for source in ("website", "shop", None):
        refused.count(kind(source=source), NOON, "", "")
    assert {row.kind.source_id for row in refused.recent(SourceId("website"))} == {"website", None}
