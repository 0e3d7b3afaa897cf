"""Amounts in a file: currency signs, thousands, either decimal mark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.file_import.amounts import find_currency, find_decimal, read_amount


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("1234.50", "point", 1234.5),
        ("1,234.50", "point", 1234.5),
        ("$1,234.50", "point", 1234.5),
        ("1234", "point", 1234),
        ("-5.00", "point", -5),
        ("1.234,50 €", "comma", 1234.5),
        ("12,50", "comma", 12.5),
        ("EUR 12,50", "comma", 12.5),
        ("1 234,50", "comma", 1234.5),
        ("1'234.50", "point", 1234.5),
        ("1.234", "comma", 1234),
        ("1.234", "point", 1.234),
        (12.5, "comma", 12.5),
        (7, "point", 7),
    ],
)
def test_amounts(text, decimal, number):
    """The mark is the one that was said; the other one separates thousands."""
    assert read_amount(text, decimal) == number


@pytest.mark.parametrize(
    "text", ["", "free", "1,23", "12,50", "1.2.3", "1e5x1", "9" * 40, True, None, [1], float("nan")]
)
def test_what_is_no_amount(text):
    """None: a wrong number would be worse than none."""
    assert read_amount(text, "point") is None


@given(st.text(), st.sampled_from(["point", "comma"]))
def test_anything_is_a_number_or_none(text, decimal):
    """Never an exception."""
    assert read_amount(text, decimal) is None or isinstance(read_amount(text, decimal), (int, float))


@pytest.mark.parametrize(
    ("values", "decimal"),
    [
        (["1.50", "1,234"], "point"),
        (["1,50", "1.234"], "comma"),
        (["1.234,50"], "comma"),
        (["1,234,567"], "point"),
        (["1,234", "1.234", "7"], "any"),
        (["1.50", "1,50"], "mixed"),
    ],
)
def test_the_mark_is_decided_by_the_values(values, decimal):
    """“1,234” decides nothing."""
    assert find_decimal(values) == decimal


def test_currency_signs():
    """One that a single currency has is taken; $ has many, and two signs decide nothing."""
    assert find_currency(["12,50 €", "3,00 €"]) == "EUR"
    assert find_currency(["$5"]) is None
    assert find_currency(["€5", "£5"]) is None
