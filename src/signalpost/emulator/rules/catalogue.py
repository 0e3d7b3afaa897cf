"""Every rule, and the order in which the checks run: name before time, time before matching, then the rest.

The order was observed; a test asserts it. Which finding refuses and which is only a note is `profiles.py`.
"""

from collections.abc import Callable

from signalpost.emulator.rules.action_sources import check_app_data, check_messaging, check_website
from signalpost.emulator.rules.custom_data import check_contents, check_currency, check_custom_data_type, check_value
from signalpost.emulator.rules.findings import Findings, Rule, Subject
from signalpost.emulator.rules.server_event import (
    check_action_source,
    check_data_processing,
    check_event_id,
    check_event_name,
    check_event_time,
    check_user_data_type,
)
from signalpost.emulator.rules.user_data import check_lead_id, check_match_keys, check_user_data_fields

CHECKS: tuple[Callable[[Subject], Findings], ...] = (
    check_event_name,
    check_event_time,
    check_user_data_type,
    check_match_keys,
    check_custom_data_type,
    check_value,
    check_currency,
    check_contents,
    check_lead_id,
    check_action_source,
    check_app_data,
    check_messaging,
    check_website,
    check_user_data_fields,
    check_event_id,
    check_data_processing,
)

SERVER_EVENT = "Server Event Parameters"
CUSTOMER = "Customer Information Parameters"
CUSTOM = "Custom Data Parameters"
MESSAGING = "Conversions API for Business Messaging"

_RULES = (
    Rule("event_name_missing", "event_name is required", "observed", SERVER_EVENT, "event_field_missing"),
    Rule("event_name_not_text", "event_name is a string", "ours", SERVER_EVENT),
    Rule("event_time_missing", "event_time is required", "observed", SERVER_EVENT, "event_field_missing"),
    Rule("event_time_not_integer", "event_time is an integer in Unix seconds", "ours", SERVER_EVENT),
    Rule("event_too_old", "At most 7 days old", "observed", "Using the API", "event_too_old"),
    Rule(
        "event_too_old_in_store", "At most 62 days old", "ours", "Conversions API for Offline Events", "event_too_old"
    ),
    Rule("event_in_future", "Not in the future", "reported", "Using the API", "event_in_future"),
    Rule("user_data_not_object", "user_data is an object", "ours", SERVER_EVENT),
    Rule(
        "match_keys_insufficient",
        "Enough customer information",
        "observed",
        "Best Practices",
        "customer_information_insufficient",
    ),
    Rule("custom_data_invalid", "custom_data is an object", "reported", CUSTOM, "custom_data_invalid"),
    Rule("purchase_value_missing", "A Purchase has a value", "fixture", CUSTOM, "purchase_value_missing"),
    Rule("value_not_number", "value is a number", "ours", CUSTOM, "custom_data_invalid"),
    Rule("purchase_currency_missing", "A Purchase has a currency", "reported", CUSTOM, "purchase_currency_missing"),
    Rule("purchase_currency_invalid", "currency is of ISO 4217", "reported", CUSTOM, "purchase_currency_invalid"),
    Rule("currency_unknown", "currency is of ISO 4217", "documented", CUSTOM),
    Rule("value_without_currency", "A value has a currency", "reported", CUSTOM, "value_without_currency"),
    Rule("contents_malformed", "contents is a list of objects", "reported", CUSTOM, "contents_malformed"),
    Rule("lead_id_invalid", "lead_id has 15 or 16 digits", "fixture", CUSTOMER, "lead_id_invalid"),
    Rule("action_source_missing", "action_source is required", "documented", SERVER_EVENT),
    Rule("action_source_unknown", "action_source is a documented value", "ours", SERVER_EVENT),
    Rule("app_data_missing", "An app event has app_data", "documented", "Conversions API for App Events"),
    Rule(
        "app_extinfo_invalid",
        "extinfo has its 16 entries",
        "reported",
        "Conversions API for App Events",
        "app_extinfo_invalid",
    ),
    Rule("messaging_event_unknown", "A messaging event", "reported", MESSAGING, "messaging_event_type_invalid"),
    Rule("messaging_channel_missing", "messaging_channel is required", "documented", MESSAGING),
    Rule("messaging_ctwa_clid_missing", "WhatsApp has ctwa_clid", "reported", MESSAGING, "messaging_ctwa_clid_missing"),
    Rule("messaging_waba_missing", "WhatsApp names its account", "reported", MESSAGING, "messaging_waba_missing"),
    Rule("messaging_page_id_missing", "Messenger has page_id", "reported", MESSAGING, "messaging_page_id_missing"),
    Rule("messaging_ig_sid_missing", "Instagram has ig_sid", "reported", MESSAGING, "messaging_ig_sid_missing"),
    Rule(
        "messaging_ig_account_missing",
        "Instagram has ig_account_id",
        "reported",
        MESSAGING,
        "messaging_ig_account_missing",
    ),
    Rule("website_field_missing", "A website event has its page and user agent", "documented", SERVER_EVENT),
    Rule("value_not_hashed", "Personal data is hashed with SHA-256", "documented", CUSTOMER),
    Rule("hash_unusable", "Hashes are SHA-256 in lower case", "documented", CUSTOMER),
    Rule("click_id_malformed", "fbc and fbp have Meta's format", "documented", "fbp and fbc Parameters"),
    Rule("ip_address_malformed", "client_ip_address is an IP address", "documented", CUSTOMER),
    Rule("user_data_key_unknown", "user_data has documented keys only", "documented", CUSTOMER),
    Rule("event_id_missing", "event_id is there for deduplication", "documented", "Handling Duplicate Events"),
    Rule(
        "data_processing_code_unknown",
        "Country and state are in Meta's table",
        "documented",
        "Data Processing Options for US Users",
    ),
)

RULES = {rule.id: rule for rule in _RULES}
