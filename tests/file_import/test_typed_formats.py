"""JSON Lines and Parquet: rows with types, and files that are no such thing."""

from datetime import UTC, datetime

import polars as pl
import pytest

from signalpost.file_import.tables import ImportFailed
from tests.file_import.builders import build_call, open_file, refusal_codes

LINES = (
    '{"when": "2026-11-20T08:30:00Z", "customer": {"email": "a@b.co"}, "total": 12.5}\n'
    '{"when": 1795163400, "customer": {"email": "c@d.co", "phone": "+49 151 1"}, "items": [{"product_id": "A"}]}\n'
)


def test_json_lines(tmp_path):
    """Nested objects are columns by their path; a key that comes late is a column too; lists stay whole."""
    table = open_file(tmp_path / "sales.jsonl", "\ufeff" + LINES)
    assert table.columns == ("when", "customer.email", "total", "customer.phone", "items")
    assert table.row_count == 2
    first, second = table.rows()
    assert list(first) == ["2026-11-20T08:30:00Z", "a@b.co", 12.5, None, None]
    assert second[4] == [{"product_id": "A"}]


def test_lines_that_are_no_object_cost_only_themselves(tmp_path):
    """They are refused; blank lines are passed over."""
    table = open_file(tmp_path / "sales.jsonl", LINES + '\n{"broken": \n[1]\n')
    assert refusal_codes(table) == ["not_an_object", "not_an_object"]
    assert len(list(table.rows())) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}]', r"is a JSON array; .* jq -c"),
        ("{\n", "there is no JSON object in it"),
        ("{}\n", "no JSON object"),
    ],
)
def test_json_that_is_no_lines(tmp_path, text, message):
    """One sentence each."""
    with pytest.raises(ImportFailed, match=message):
        open_file(tmp_path / "sales.json", text)


@pytest.fixture
def parquet(tmp_path):
    file = tmp_path / "sales.parquet"
    frame = pl.DataFrame(
        {
            "email": [f"customer{number}@example.com" for number in range(25_000)],
            "sold at": [datetime(2026, 11, 20, 8, 30, tzinfo=UTC)] * 25_000,
            "total": [12.5] * 25_000,
            "products": [[{"product_id": "A", "quantity": 1}]] * 25_000,
        }
    )
    frame.write_parquet(file)
    return file


def test_parquet(tmp_path, parquet):
    """Rows come in order, with their types, and become calls."""
    table = open_file(tmp_path / "copy.parquet", parquet.read_bytes())
    assert table.row_count == 25_000
    rows = list(table.rows())
    assert [row[0] for row in rows[::10_000]] == [f"customer{number}@example.com" for number in (0, 10_000, 20_000)]
    call = build_call(table.columns, rows[0])
    assert call["timestamp"] == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    assert call["properties"] == {"revenue": 12.5, "products": [{"product_id": "A", "quantity": 1}]}


def test_parquet_that_is_half_written(tmp_path, parquet):
    """Without its end, or with its middle missing, it is told before anything is sent."""
    whole = parquet.read_bytes()
    with pytest.raises(ImportFailed, match="is cut off: a Parquet file ends with a table of contents"):
        open_file(tmp_path / "half.parquet", whole[: len(whole) // 2])
    with pytest.raises(ImportFailed, match=r"can't be read as Parquet: .*; export it again"):
        open_file(tmp_path / "holes.parquet", whole[:100] + b"PAR1")


def test_parquet_that_is_damaged_inside(tmp_path, parquet):
    """All of it is read before anything is sent, so that no half of it is imported."""
    damaged = bytearray(parquet.read_bytes())
    damaged[1000:3000] = b"\xff" * 2000
    with pytest.raises(ImportFailed, match=r"can't be read as Parquet: .*; export it again"):
        open_file(tmp_path / "damaged.parquet", bytes(damaged))


def test_an_empty_parquet(tmp_path):
    """It has columns and nothing to import."""
    file = tmp_path / "none.parquet"
    pl.DataFrame({"email": []}).write_parquet(file)
    with pytest.raises(ImportFailed, match="has no rows"):
        open_file(file, file.read_bytes())
