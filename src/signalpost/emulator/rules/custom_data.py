"""Checks of custom_data: what a Purchase needs, and the shape of contents.

Source: "Custom Data Parameters".
"""

import re
from typing import Any

from signalpost.emulator.rules.currencies import ISO_4217
from signalpost.emulator.rules.findings import Finding, Findings, Subject

is_number_text = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*").fullmatch

NOT_OBJECT = (Finding("custom_data_invalid", "custom_data", "custom_data must be an object"),)
VALUE_MISSING = (Finding("purchase_value_missing", "custom_data.value", "A Purchase needs a value"),)
VALUE_NOT_NUMBER = (Finding("value_not_number", "custom_data.value", "value must be a number"),)
CURRENCY_MISSING = (Finding("purchase_currency_missing", "custom_data.currency", "A Purchase needs a currency"),)
CURRENCY_INVALID = (Finding("purchase_currency_invalid", "custom_data.currency", "Not a currency of ISO 4217"),)
CURRENCY_UNKNOWN = (Finding("currency_unknown", "custom_data.currency", "Not a currency of ISO 4217"),)
NO_CURRENCY = (Finding("value_without_currency", "custom_data.currency", "A value needs a currency"),)
CONTENTS_MALFORMED = (Finding("contents_malformed", "custom_data.contents", "contents must be a list of objects"),)


def check_custom_data_type(subject: Subject) -> Findings:
    custom_data = subject.event.get("custom_data")
    return () if custom_data is None or type(custom_data) is dict else NOT_OBJECT


def check_value(subject: Subject) -> Findings:
    """Numbers and numeric text pass; zero is a value. Only a Purchase must have one."""
    value = subject.custom_data.get("value")
    if value is None or value == "":
        return VALUE_MISSING if subject.name == "Purchase" else ()
    return () if _is_number(value) else VALUE_NOT_NUMBER


def check_currency(subject: Subject) -> Findings:
    custom_data = subject.custom_data
    currency = custom_data.get("currency")
    is_purchase = subject.name == "Purchase"
    if currency is None or currency == "":
        if is_purchase:
            return CURRENCY_MISSING
        return () if custom_data.get("value") in (None, "") else NO_CURRENCY
    if type(currency) is str and (currency in ISO_4217 or currency.upper() in ISO_4217):
        return ()
    return CURRENCY_INVALID if is_purchase else CURRENCY_UNKNOWN


def check_contents(subject: Subject) -> Findings:
    contents = subject.custom_data.get("contents")
    if contents is None:
        return ()
    if type(contents) is not list:
        return CONTENTS_MALFORMED
    for content in contents:
        if type(content) is not dict:
            return CONTENTS_MALFORMED
    return ()


def _is_number(value: Any) -> bool:
    if type(value) is float or type(value) is int:
        return True
    return type(value) is str and is_number_text(value) is not None
