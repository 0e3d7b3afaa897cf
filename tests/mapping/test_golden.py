"""The golden cases: one small file each, readable by whoever knows the shop, and all of them true."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.rewrite_golden import GOLDEN, KEYS, build_results, find_cases, rewrite

CASES = find_cases([GOLDEN])
each_case = pytest.mark.parametrize("file", CASES, ids=lambda file: str(file.relative_to(GOLDEN).with_suffix("")))


def read_case(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


@each_case
def test_golden_case(file: Path) -> None:
    """A call maps to exactly what its golden file says, down to the order of the keys."""
    case = read_case(file)
    results = build_results(case, file.relative_to(GOLDEN).parts[0])
    assert results == case["results"]
    assert json.dumps(results) == json.dumps(case["results"])


@each_case
def test_golden_file(file: Path) -> None:
    """A case says why it is so and where that comes from, names its feature rows, and is written like the others."""
    text = file.read_text(encoding="utf-8")
    case = json.loads(text)
    assert tuple(case) == KEYS
    assert case["why"].endswith(".")
    assert case["why"].count(". ") == 0
    assert case["source"]
    assert case["rows"] == sorted(set(case["rows"]))
    assert all(row[0] == "F" and 1 <= int(row[1:]) <= 260 for row in case["rows"])
    assert text == json.dumps(case, indent=2, ensure_ascii=False) + "\n"


def test_no_two_cases_are_the_same() -> None:
    """Every case shows something that no other shows: a call and settings of its own, and a reason of its own."""
    cases = [(file.relative_to(GOLDEN).parts[0], read_case(file)) for file in CASES]
    questions = [json.dumps([slug, case["settings"], case["segment_event"]]) for slug, case in cases]
    assert len(set(questions)) == len(cases) >= 120
    assert len({(slug, case["why"]) for slug, case in cases}) == len(cases)


def test_rewriting_mends_the_results_and_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case whose results are out of date is written again as it was, with a difference to read; a true one is not."""
    shutil.copytree(GOLDEN, tmp_path / "golden")
    monkeypatch.setattr("scripts.rewrite_golden.GOLDEN", tmp_path / "golden")
    file = tmp_path / "golden/facebook-conversions-api/product_added/monopoly.json"
    before = file.read_text(encoding="utf-8")
    assert list(rewrite(file)) == []
    file.write_text(before.replace('"value": 18.99', '"value": 19'), encoding="utf-8")
    assert [line.strip() for line in rewrite(file) if line.startswith(("- ", "+ "))] == [
        '-          "value": 19,',
        '+          "value": 18.99,',
    ]
    assert file.read_text(encoding="utf-8") == before
