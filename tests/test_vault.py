"""Secrets at rest: sealed for one place, opened by one key, and the key made once."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from signalpost.model.errors import SecretUnreadable
from signalpost.vault import (
    MASTER_KEY_NAME,
    Place,
    Vault,
    generate_master_key,
    parse_master_key,
    read_or_make_master_key,
)

SECRET = SecretStr("EAAB-a-token-äöü")
HERE = Place("destination_secrets", "main", "sealed")


def test_a_secret_opens_where_it_was_sealed() -> None:
    """What goes in comes out, and the sealed bytes hold nothing of it."""
    vault = Vault(os.urandom(32))
    sealed = vault.seal(SECRET, HERE)
    assert SECRET.get_secret_value().encode() not in sealed
    assert vault.open_sealed(sealed, HERE) == SECRET


def test_sealing_twice_gives_different_bytes() -> None:
    """Equal secrets can't be told from their sealed form."""
    vault = Vault(os.urandom(32))
    assert vault.seal(SECRET, HERE) != vault.seal(SECRET, HERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("write_keys", "main", "sealed"),
        Place("destination_secrets", "other", "sealed"),
        Place("destination_secrets", "main", "sealed2"),
        Place("destination_secretsm", "ain", "sealed"),
    ],
)
def test_a_secret_that_was_moved_stays_shut(elsewhere: Place) -> None:
    """Table, row and column belong to the seal, so that swapping two values is noticed."""
    vault = Vault(os.urandom(32))
    with pytest.raises(SecretUnreadable, match="moved from another place"):
        vault.open_sealed(vault.seal(SECRET, HERE), elsewhere)


def test_another_key_is_told_apart_from_damage() -> None:
    """The message says that the key is another one; a flipped byte is called damage."""
    vault = Vault(os.urandom(32))
    sealed = vault.seal(SECRET, HERE)
    with pytest.raises(SecretUnreadable, match="another master key"):
        Vault(os.urandom(32)).open_sealed(sealed, HERE)
    with pytest.raises(SecretUnreadable, match="damaged"):
        vault.open_sealed(sealed[:-1] + bytes([sealed[-1] ^ 1]), HERE)


def test_the_known_value_tells_a_wrong_key() -> None:
    """A vault with the right key passes; one with another key is told what to do."""
    vault = Vault(os.urandom(32))
    vault.check_known_value(vault.seal_known_value())
    with pytest.raises(SecretUnreadable, match="SIGNALPOST_MASTER_KEY"):
        Vault(os.urandom(32)).check_known_value(vault.seal_known_value())


def test_a_master_key_is_written_in_several_ways() -> None:
    """Base64, with and without padding, URL-safe or not, and hex."""
    text = generate_master_key()
    key = parse_master_key(text)
    assert parse_master_key(key.hex()) == key
    assert parse_master_key(text.rstrip("=") + "\n") == key
    assert parse_master_key(text.replace("-", "+").replace("_", "/")) == key


@pytest.mark.parametrize("text", ["", "short", "x" * 64, "A" * 42, "ä" * 44, "A" * 88])
def test_a_bad_master_key_is_refused_without_being_shown(text: str) -> None:
    """The message says how to make one, and repeats nothing."""
    with pytest.raises(ValueError, match="openssl rand") as raised:
        parse_master_key(text)
    assert not text or text not in str(raised.value)


def test_the_key_of_a_data_folder_is_made_once(tmp_path: Path) -> None:
    """The first start makes it, readable by its owner alone; later ones read it; no draft is left behind."""
    key, is_new = read_or_make_master_key(tmp_path)
    assert is_new
    assert stat.S_IMODE((tmp_path / MASTER_KEY_NAME).stat().st_mode) == 0o400
    assert read_or_make_master_key(tmp_path) == (key, False)
    assert [file.name for file in tmp_path.iterdir()] == [MASTER_KEY_NAME]


def test_a_spoilt_key_file_is_named(tmp_path: Path) -> None:
    """It is never replaced in silence: that would lose every secret."""
    (tmp_path / MASTER_KEY_NAME).write_text("")
    with pytest.raises(SecretUnreadable, match=r"master\.key: does not hold a master key"):
        read_or_make_master_key(tmp_path)
