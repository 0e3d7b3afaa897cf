"""The page on feature rows: which golden case, test or other place stands for each of F001 to F260."""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.markdown_table import write_table
from scripts.rewrite_golden import GOLDEN, find_cases
from tests.mapping import test_rows

TESTS = Path(test_rows.__file__)
SHOWN_CASES = 3


def build_rows() -> Iterator[str]:
    """The lines of the page."""
    cases, tests = _find_golden_cases(), _find_tests()
    yield "# Feature rows"
    yield ""
    yield "Every promise about mapping has a number. A golden case is a call with its whole result and the reason for"
    yield f"it; up to {SHOWN_CASES} a row are named here. The tests are those of"
    yield "[test_rows.py](../../tests/mapping/test_rows.py), where `test_row` is the table of what a row says alone;"
    yield "what mapping does not decide is looked after elsewhere."
    yield ""
    rows = (
        (row, "<br>".join(map(_show_case, cases[row][:SHOWN_CASES])), "<br>".join(f"`{test}`" for test in tests[row]))
        for row in sorted(cases.keys() | tests.keys())
    )
    yield from write_table(("row", "golden cases", "tests"), rows)


def _find_golden_cases() -> dict[str, list[Path]]:
    """Row -> the cases that name it; those that name the fewest rows come first, since they are about it."""
    named = {file: json.loads(file.read_text(encoding="utf-8"))["rows"] for file in find_cases([GOLDEN])}
    cases = defaultdict(list)
    for file in sorted(named, key=lambda file: (len(named[file]), file)):
        for row in named[file]:
            cases[row].append(file.relative_to(GOLDEN))
    return cases


def _find_tests() -> dict[str, list[str]]:
    """Row -> its tests: the table, those marked with `@covers`, and what is looked after elsewhere."""
    tests = defaultdict(list, {row.id: ["test_row"] for row in test_rows.ROWS})
    body = ast.parse(TESTS.read_text(encoding="utf-8")).body
    for function in (each for each in body if isinstance(each, ast.FunctionDef)):
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "covers":
                for row in map(ast.literal_eval, mark.args):
                    tests[row].append(function.name)
    for row, place in test_rows.ELSEWHERE.items():
        tests[row].append(place)
    return tests


def _show_case(file: Path) -> str:
    return f"[{file.with_suffix('').as_posix()}](../../tests/mapping/golden/{file.as_posix()})"
