"""Every documented rule, one event at a time; what refuses and what only leaves a note, by profile."""

import itertools
import time

import pytest

from signalpost.emulator.errors import read_error_rows
from signalpost.emulator.judge import UNSEEN_ENFORCEMENT, Refusal, judge_batch
from signalpost.emulator.profiles import ACTIONS, find_refused_rules
from signalpost.emulator.rules.catalogue import RULES

NOW = int(time.time())
DAY = 86_400
WEAK_KEYS = ("ct", "country", "st", "zp", "ge", "client_user_agent", "db", "fn", "ln")
INSUFFICIENT = (
    {"ct", "country", "st", "zp", "ge", "client_user_agent"},
    {"db", "client_user_agent"},
    {"fn", "ge"},
    {"ln", "ge"},
)


def judge(event, profile="observed", now=NOW):
    """Return the rule that refuses, or the set of rules that leave a note."""
    verdict = judge_batch([event], profile, now)
    if isinstance(verdict, Refusal):
        return verdict.rule
    return {finding.rule for finding in verdict[0]}


@pytest.mark.parametrize("profile", ["observed", "strict"])
def test_good_event(make_event, profile):
    """A complete event passes both profiles without a note."""
    assert judge(make_event(), profile) == set()


def test_profiles_name_every_rule():
    """Rules and profiles know the same ids, and each rule answers with a row that exists."""
    assert set(RULES) == set(ACTIONS)
    assert {rule.row for rule in RULES.values()} <= set(read_error_rows())


def test_strict_refuses_everything():
    """Strict has no notes: what satisfies strict satisfies observed."""
    assert find_refused_rules("strict") == set(ACTIONS)
    assert find_refused_rules("observed") < find_refused_rules("strict")


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"event_name": None}, "event_name_missing"),
        ({"event_name": ""}, "event_name_missing"),
        ({"event_name": 5}, "event_name_not_text"),
        ({"event_time": None}, "event_time_missing"),
        ({"event_time": "1700000000"}, "event_time_not_integer"),
        ({"event_time": 1.5}, "event_time_not_integer"),
        ({"event_time": True}, "event_time_not_integer"),
        ({"event_time": NOW * 1000}, "event_in_future"),
        ({"user_data": [1]}, "user_data_not_object"),
        ({"user_data": None}, "match_keys_insufficient"),
        ({"custom_data": "x"}, "custom_data_invalid"),
        ({"custom_data": {"value": 5}}, "value_without_currency"),
        ({"custom_data": {"value": "five", "currency": "EUR"}}, "value_not_number"),
        ({"custom_data": {"value": True, "currency": "EUR"}}, "value_not_number"),
        ({"custom_data": {"contents": "x"}}, "contents_malformed"),
        ({"custom_data": {"contents": [{"id": "a"}, "b"]}}, "contents_malformed"),
        ({"action_source": "moon"}, "action_source_unknown"),
        ({"action_source": 7}, "action_source_unknown"),
    ],
)
@pytest.mark.parametrize("profile", ["observed", "strict"])
def test_refused_by_both(make_event, overrides, rule, profile):
    """What Meta was seen to refuse is refused by both profiles."""
    assert judge(make_event(**overrides), profile) == rule


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"action_source": None}, "action_source_missing"),
        ({"event_source_url": None}, "website_field_missing"),
        ({"event_source_url": "shop.example.com"}, "website_field_missing"),
        ({"user_data": {"external_id": "x"}}, "website_field_missing"),
        ({"event_id": None}, "event_id_missing"),
        ({"event_id": 12}, "event_id_missing"),
        ({"custom_data": {"currency": "QQQ"}}, "currency_unknown"),
        ({"action_source": "app"}, "app_data_missing"),
        ({"data_processing_options": ["LDU"], "data_processing_options_country": 2}, "data_processing_code_unknown"),
        ({"data_processing_options": ["LDU"], "data_processing_options_state": 999}, "data_processing_code_unknown"),
    ],
)
def test_noted_or_refused(make_event, overrides, rule):
    """What only the documents demand is a note for observed, and a refusal for strict."""
    event = make_event(**overrides)
    assert judge(event) == {rule}
    assert judge(event, "strict") == rule


@pytest.mark.parametrize(
    ("key", "value", "rule", "is_red"),
    [
        ("em", "anna@example.com", "value_not_hashed", True),
        ("ph", ["{hash}", "4917012345"], "value_not_hashed", True),
        ("zp", 10115, "value_not_hashed", True),
        ("fn", "g" * 64, "value_not_hashed", True),
        ("em", "{HASH}", "hash_unusable", True),
        ("em", "d41d8cd98f00b204e9800998ecf8427e", "hash_unusable", True),
        ("em", "{nothing}", "hash_unusable", True),
        ("em", "{nothing}.Ab", "hash_unusable", True),
        ("fbc", "IwAR0abc", "click_id_malformed", False),
        ("fbp", "fb.1.1700000000000.abc", "click_id_malformed", False),
        ("client_ip_address", "203.0.113", "ip_address_malformed", False),
        ("client_ip_address", 7, "ip_address_malformed", False),
        ("email", "x", "user_data_key_unknown", False),
    ],
)
def test_user_data_fields(make_event, sha256, *, key, value, rule, is_red):
    """A value in the wrong form is accepted with a note at its field; useless or harmful ones are red."""
    words = {
        "{hash}": sha256("x"),
        "{HASH}": sha256("x").upper(),
        "{nothing}": sha256(""),
        "{nothing}.Ab": f"{sha256('')}.Ab",
    }
    fill_in = lambda text: words.get(text, text)  # noqa: E731
    filled = [fill_in(text) for text in value] if isinstance(value, list) else fill_in(value)
    event = make_event()
    event["user_data"][key] = filled
    (notes,) = judge_batch([event], "observed", NOW)
    assert [(note.rule, note.field, note.is_red) for note in notes] == [(rule, f"user_data.{key}", is_red)]
    assert judge(event, "strict") == rule


@pytest.mark.parametrize("appendix", ["", ".Ab", ".AbCd1234"])
def test_appendix(make_event, sha256, appendix):
    """A hash may end in the appendix of Meta's parameter builder, and a key may have several values."""
    event = make_event()
    event["user_data"] |= {"em": [sha256("a") + appendix, sha256("b")], "ph": sha256("c") + appendix}
    event["user_data"]["client_ip_address"] = "2001:db8::1"
    assert judge(event, "strict") == set()


def test_several_notes(make_event, sha256):
    """Every imperfect field has its own note, also when good hashes stand beside bad ones of the same length."""
    event = make_event()
    event["user_data"] |= {"em": "z" * 64, "ph": sha256("x"), "fn": "anna", "fbc": "x"}
    (notes,) = judge_batch([event], "observed", NOW)
    assert {note.field for note in notes} == {"user_data.em", "user_data.fn", "user_data.fbc"}
    assert len(notes) == 3


@pytest.mark.parametrize("size", range(10))
def test_baseline_subsets(make_event, size):
    """All 2^9 subsets of the weak keys are judged by the four insufficient sets; with em beside them all pass."""
    for keys in itertools.combinations(WEAK_KEYS, size):
        event = make_event(user_data=dict.fromkeys(keys, "x"))
        is_too_little = any(set(keys) <= insufficient for insufficient in INSUFFICIENT)
        assert (judge(event) == "match_keys_insufficient") == is_too_little
        event["user_data"]["em"] = "x"
        assert judge(event) != "match_keys_insufficient"


@pytest.mark.parametrize(
    ("user_data", "is_enough"),
    [
        ({}, False),
        ({"client_user_agent": "x"}, False),
        ({"ge": "x", "ct": "x", "st": "x", "country": "x"}, False),
        ({"db": "x"}, False),
        ({"fn": "x"}, False),
        ({"fn": "x", "ge": "x"}, False),
        ({"fn": "x", "ln": "x"}, True),
        ({"db": "x", "ge": "x"}, True),
        ({"client_ip_address": "203.0.113.7", "client_user_agent": "x"}, True),
        *(({key: "x"}, True) for key in ("em", "ph", "external_id", "fbp", "fbc")),
        ({"em": None, "ph": "", "fbp": [], "external_id": [None, ""]}, False),
        ({"shoe_size": "44"}, False),
        ({"lead_id": 1234567890123456}, True),
    ],
)
def test_baseline_examples(make_event, user_data, is_enough):
    """The combinations that Meta names, and values that do not count."""
    assert (judge(make_event(user_data=user_data)) != "match_keys_insufficient") == is_enough


@pytest.mark.parametrize(
    ("action_source", "age", "rule"),
    [
        ("website", 7 * DAY, set()),
        ("website", 7 * DAY + 1, "event_too_old"),
        ("website", 0, set()),
        ("website", -1, "event_in_future"),
        ("physical_store", 62 * DAY, set()),
        ("physical_store", 62 * DAY + 1, "event_too_old_in_store"),
    ],
)
def test_time_window(make_event, action_source, age, rule):
    """Exactly 7 days pass, and 62 for physical_store; one more second, or one ahead, does not."""
    assert judge(make_event(action_source=action_source, event_time=NOW - age)) == rule


@pytest.mark.parametrize(
    ("custom_data", "rule"),
    [
        (None, "purchase_value_missing"),
        ({"currency": "EUR"}, "purchase_value_missing"),
        ({"value": None, "currency": "EUR"}, "purchase_value_missing"),
        ({"value": 5}, "purchase_currency_missing"),
        ({"value": 5, "currency": "QQQ"}, "purchase_currency_invalid"),
        ({"value": 5, "currency": 978}, "purchase_currency_invalid"),
        ({"value": 0, "currency": "eur"}, set()),
        ({"value": "18.99", "currency": "EUR"}, set()),
    ],
)
def test_purchase(make_event, custom_data, rule):
    """A Purchase has a value, zero and numeric text included, and a currency of ISO 4217 in any case."""
    assert judge(make_event(event_name="Purchase", custom_data=custom_data)) == rule


@pytest.mark.parametrize(
    ("lead_id", "is_good"),
    [("123456789012345", True), (1234567890123456, True), ("12345", False), ("abc", False), (1.5, False), ({}, False)],
)
def test_lead_id(make_event, lead_id, is_good):
    """A lead_id has 15 or 16 digits, as text or as an integer."""
    assert (
        judge(make_event(action_source="other", user_data={"lead_id": lead_id, "fbp": "x"})) == "lead_id_invalid"
    ) != is_good


@pytest.mark.parametrize(
    ("app_data", "rule"),
    [
        ({"extinfo": ["a2"] * 16, "advertiser_tracking_enabled": 1}, set()),
        ({"extinfo": ["a2"] * 16}, {"app_data_missing"}),
        ({"extinfo": ["a2"] * 15}, "app_extinfo_invalid"),
        ({"extinfo": ["w1", *["x"] * 15]}, "app_extinfo_invalid"),
        ({"extinfo": ["i2", "", "", "", "", *[""] * 11]}, "app_extinfo_invalid"),
        ({"extinfo": ["i2", "", "", "", "17.0", *[""] * 11], "advertiser_tracking_enabled": 0}, set()),
        ({}, "app_extinfo_invalid"),
    ],
)
def test_app_data(make_event, app_data, rule):
    """extinfo has 16 strings, its platform first and the OS version fifth."""
    assert judge(make_event(action_source="app", app_data=app_data)) == rule


@pytest.mark.parametrize(
    ("channel", "ids", "rule"),
    [
        (None, {}, {"messaging_channel_missing"}),
        ("whatsapp", {"page_id": "1"}, "messaging_ctwa_clid_missing"),
        ("whatsapp", {"ctwa_clid": "x"}, "messaging_waba_missing"),
        ("whatsapp", {"ctwa_clid": "x", "page_id": "1"}, set()),
        ("messenger", {}, "messaging_page_id_missing"),
        ("instagram", {"ig_account_id": "1"}, "messaging_ig_sid_missing"),
        ("instagram", {"ig_sid": "1"}, "messaging_ig_account_missing"),
    ],
)
def test_messaging(make_event, channel, ids, rule):
    """Each messaging channel needs its own ids; without a channel the event is taken with a note."""
    event = make_event(action_source="business_messaging", messaging_channel=channel)
    event["user_data"] |= ids
    assert judge(event) == rule


def test_messaging_event_names(make_event):
    """Business messaging takes the reported names only."""
    event = make_event(action_source="business_messaging", event_name="Donate")
    assert judge(event) == "messaging_event_unknown"


async def test_refusal_in_words(client, make_event):
    """A row keeps Meta's words; a missing field and a strict-only refusal name what is wrong, and its confidence."""
    _, body, _ = await client.send(make_event(event_time=None))
    assert body["error"]["error_user_msg"] == "event_time is required"
    assert body["error"]["error_subcode"] == 2804019
    await client.control("/profile", {"profile": "strict"})
    status, body, headers = await client.send(make_event(event_source_url=None))
    assert (status, body["error"]["code"], "error_subcode" in body["error"]) == (400, 100, False)
    assert body["error"]["error_user_title"] == RULES["website_field_missing"].title
    assert headers["X-Emulator-Confidence"] == UNSEEN_ENFORCEMENT
    assert UNSEEN_ENFORCEMENT not in str(body)
