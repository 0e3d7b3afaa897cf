"""Match-key coverage: what is there in which tier, what would be accepted, and what to send first."""

import itertools
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.mapping import coverage
from signalpost.mapping.coverage import ADDRESS_AND_AGENT, TIERS, build_coverage
from signalpost.mapping.user_data import check_enough_match_keys
from signalpost.model.server_event import UserData

KEYS = UserData.__struct_fields__
EVERYTHING = UserData(**dict.fromkeys(KEYS, "x"))


def test_every_match_key_is_in_one_tier() -> None:
    """The tiers name each key of user_data once; address and agent are one."""
    named = [part for keys in TIERS.values() for key in keys for part in key.split(" + ")]
    assert sorted(named) == sorted(KEYS)


def test_present_and_missing() -> None:
    """Keys are told by tier in a fixed order, those that are there and those that are not."""
    found = build_coverage(UserData(ph="x", em=["x", "y"], fbp="x", country="x", fn="x"))
    assert found.present == {"direct": ("em", "ph"), "browser": ("fbp",), "descriptive": ("fn", "country")}
    assert found.missing == {
        "direct": ("external_id", "fbc", "lead_id"),
        "browser": (ADDRESS_AND_AGENT,),
        "descriptive": ("ln", "db", "ge", "ct", "st", "zp"),
    }


@pytest.mark.parametrize("alone", ["client_ip_address", "client_user_agent"])
def test_an_address_needs_its_agent(alone: str) -> None:
    """An IP address without a user agent, or the reverse, does not count as the pair."""
    found = build_coverage(UserData(**{alone: "x"}))
    assert found.present["browser"] == ()
    both = build_coverage(UserData(client_ip_address="x", client_user_agent="x"))
    assert both.present["browser"] == (ADDRESS_AND_AGENT,)


@given(st.sets(st.sampled_from(KEYS)))
def test_acceptance_is_that_of_the_mapping(keys: set[str]) -> None:
    """A combination is accepted here exactly when the mapping would let it pass."""
    user_data = UserData(**dict.fromkeys(keys, "x"))
    assert build_coverage(user_data).is_accepted == (check_enough_match_keys(user_data) is None)


@pytest.mark.parametrize(
    ("user_data", "first"),
    [
        (UserData(), "Send the e-mail address as context.traits.email."),
        (UserData(em="x"), "Send the phone number, with its country code, as context.traits.phone."),
        (UserData(em="x", ph="x"), "Send your own id of the person as userId."),
        (msgspec.structs.replace(EVERYTHING, fbp=None), "Send the cookie _fbp as context.clientIds.fbp."),
        (msgspec.structs.replace(EVERYTHING, zp=None), "Send the postal code as context.traits.address.postalCode."),
        (EVERYTHING, None),
    ],
)
def test_what_to_add_first(user_data: UserData, first: str | None) -> None:
    """One sentence names the trait or property to send: what names a person first, then a browser, then the rest."""
    assert build_coverage(user_data).add_first == first


def test_there_is_a_sentence_for_every_key() -> None:
    """Whatever is missing can be suggested, and each sentence names a field of the call."""
    for keys in TIERS.values():
        for key in keys:
            lacking = msgspec.structs.replace(EVERYTHING, **dict.fromkeys(key.split(" + ")))
            sentence = build_coverage(lacking).add_first or ""
            assert sentence.endswith(".")
            assert re.search(r"context\.|userId|integrations", sentence), key


def test_only_what_can_be_sent_is_missing() -> None:
    """A key that the destination never sends is neither missing nor suggested."""
    found = build_coverage(UserData(em="x"), sendable={"em", "lead_id", "client_user_agent"})
    assert found.missing == {"direct": ("lead_id",), "browser": (), "descriptive": ()}
    assert found.add_first is not None
    assert "leadId" in found.add_first
    assert build_coverage(UserData(em="x"), sendable={"em"}).add_first is None


def test_there_is_no_score() -> None:
    """Coverage is a list of names: no number and no percentage is made up."""
    for keys in itertools.combinations(KEYS, 3):
        found = build_coverage(UserData(**dict.fromkeys(keys, "x")))
        assert not re.search(r"\d|%|score|quality", str(found), re.IGNORECASE)
    assert "%" not in str(vars(coverage)["_SUGGESTIONS"])
