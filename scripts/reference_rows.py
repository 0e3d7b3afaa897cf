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
    cases = _find_golden_cases()
    tables = defaultdict(int)
    for row in test_rows.ROWS:
        tables[row.id] += 1
    tests = _find_tests()
    yield "# Feature rows"
    yield ""
    yield "Every promise about mapping has a number. A golden case is a call with its whole result and the reason for it;"
    yield "the table and the tests of [test_rows.py](../../tests/mapping/test_rows.py) hold what a row names alone."
    yield ""
    rows = (
        (row, _show_cases(cases[row]), _show_tests(row, tables[row], tests[row]))
        for row in sorted({*cases, *tables, *tests, *test_rows.ELSEWHERE})
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
    """Row -> the tests that are marked with `@covers`."""
    tests = defaultdict(list)
    for function in ast.parse(TESTS.read_text(encoding="utf-8")).body:
        if isinstance(function, ast.FunctionDef):
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "covers":
                    for row in mark.args:
                        tests[ast.literal_eval(row)].append(function.name)
    return tests


def _show_cases(files: list[Path]) -> str:
    links = [f"[{file.with_suffix('')}](../../tests/mapping/golden/{file})" for file in files[:SHOWN_CASES]]
    return "<br>".join(links) + (f"<br>and {len(files) - SHOWN_CASES} more" if len(files) > SHOWN_CASES else "")


def _show_tests(row: str, in_table: int, tests: list[str]) -> str:
    shown = [f"{in_table} in the table"] if in_table else []
    shown += [f"`{test}`" for test in tests]
    return "<br>".join([*shown, *([test_rows.ELSEWHERE[row]] if row in test_rows.ELSEWHERE else [])])
