"""The sample files that ship do what their pages say."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from signalpost.file_import.calls import CallBuilder
from signalpost.file_import.guessing import complete_plan, find_missing, guess_columns
from signalpost.file_import.opening import find_format, open_table
from signalpost.file_import.plan import Plan
from signalpost.file_import.preview import Preview
from signalpost.file_import.tables import open_input

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "sendable", "refused", "keys"),
    [
        (
            "sample-store-sales.csv",
            2,
            {"no_match_key": 1, "missing_value": 1, "too_old": 1},
            {"em": 2, "ph": 2, "zp": 2},
        ),
        ("sample-leads.csv", 2, {}, {"em": 2, "lead_id": 2, "country": 2}),
    ],
)
def test_a_sample(name: str, sendable: int, refused: dict[str, int], keys: dict[str, int]) -> None:
    """Its columns are all guessed, and its rows end as the page says."""
    source = open_input(str(HOWTO / name))
    table = open_table(source, find_format(source, None), encoding=None, separator=None)
    sample = list(islice(table.rows(), 100))
    plan = complete_plan(Plan(guess_columns(table.columns, sample)), table.columns, sample)
    assert find_missing(plan, table.columns) is None
    preview = Preview(CallBuilder(plan, table.columns, table.digest, NOW), None, NOW)
    assert len(list(preview.go_through(table.rows(), table.first_row))) == table.row_count
    assert preview.findings.sendable == sendable
    assert {code: each.count for code, each in preview.findings.refused.items()} == refused
    assert {key: preview.findings.match_keys[key] for key in keys} == keys
