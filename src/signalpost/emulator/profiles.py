"""What each profile does with a finding. `observed` is what Meta was seen to do; `strict` is all that Meta documents.

What satisfies strict satisfies observed.
"""

from typing import Literal, get_args

Profile = Literal["observed", "strict"]
Action = Literal["refuse", "note"]

PROFILES: tuple[Profile, ...] = get_args(Profile)

# For each rule, what `observed` does and what `strict` does.
ACTIONS: dict[str, tuple[Action, Action]] = {
    "event_name_missing": ("refuse", "refuse"),
    "event_name_not_text": ("refuse", "refuse"),
    "event_time_missing": ("refuse", "refuse"),
    "event_time_not_integer": ("refuse", "refuse"),
    "event_too_old": ("refuse", "refuse"),
    "event_too_old_in_store": ("refuse", "refuse"),
    "event_in_future": ("refuse", "refuse"),
    "user_data_not_object": ("refuse", "refuse"),
    "match_keys_insufficient": ("refuse", "refuse"),
    "custom_data_invalid": ("refuse", "refuse"),
    "purchase_value_missing": ("refuse", "refuse"),
    "value_not_number": ("refuse", "refuse"),
    "purchase_currency_missing": ("refuse", "refuse"),
    "purchase_currency_invalid": ("refuse", "refuse"),
    "currency_unknown": ("note", "refuse"),
    "value_without_currency": ("refuse", "refuse"),
    "contents_malformed": ("refuse", "refuse"),
    "lead_id_invalid": ("refuse", "refuse"),
    "action_source_missing": ("note", "refuse"),
    "action_source_unknown": ("refuse", "refuse"),
    "app_data_missing": ("note", "refuse"),
    "app_extinfo_invalid": ("refuse", "refuse"),
    "messaging_event_unknown": ("refuse", "refuse"),
    "messaging_channel_missing": ("note", "refuse"),
    "messaging_ctwa_clid_missing": ("refuse", "refuse"),
    "messaging_waba_missing": ("refuse", "refuse"),
    "messaging_page_id_missing": ("refuse", "refuse"),
    "messaging_ig_sid_missing": ("refuse", "refuse"),
    "messaging_ig_account_missing": ("refuse", "refuse"),
    "website_field_missing": ("note", "refuse"),
    "value_not_hashed": ("note", "refuse"),
    "hash_unusable": ("note", "refuse"),
    "click_id_malformed": ("note", "refuse"),
    "ip_address_malformed": ("note", "refuse"),
    "user_data_key_unknown": ("note", "refuse"),
    "event_id_missing": ("note", "refuse"),
    "data_processing_code_unknown": ("note", "refuse"),
}


def find_refused_rules(profile: Profile) -> frozenset[str]:
    """Return the rules whose findings refuse the batch; all others leave a note."""
    column = PROFILES.index(profile)
    return frozenset(rule for rule, actions in ACTIONS.items() if actions[column] == "refuse")


def is_strict_only(rule: str) -> bool:
    return ACTIONS[rule] == ("note", "refuse")
