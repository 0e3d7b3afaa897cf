"""Secrets at rest: sealed with AES-256-GCM under a master key that is kept apart from the database.

A sealed value opens only in the place it was sealed for: table, row, column and key id are its associated data, so that
nobody with write access to the file can move one secret into another's place. Losing the master key loses the secrets,
not the queue.
"""

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from signalpost.model.errors import SecretUnreadable

MASTER_KEY_NAME = "master.key"
NEXT_MASTER_KEY_NAME = "master.key.next"
_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_KNOWN_VALUE = SecretStr("signalpost")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value lies: it can be opened nowhere else."""

    table: str
    row: str
    column: str


_KNOWN_PLACE = Place("settings", "known value", "sealed")


class Vault:
    """Seals and opens secrets under one master key."""

    def __init__(self, master_key: bytes) -> None:
        """master_key: 32 bytes from a cryptographic source of chance. Raises ValueError for another length."""
        if len(master_key) != _KEY_BYTES:
            raise ValueError(f"a master key has {_KEY_BYTES} bytes")
        self._cipher = AESGCM(master_key)
        self.key_id = hashlib.sha256(b"signalpost key id" + master_key).digest()[:_KEY_ID_BYTES]

    def seal(self, secret: SecretStr, place: Place) -> bytes:
        """Return key id, nonce and ciphertext, one after the other. Sealing twice gives different bytes."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._cipher.encrypt(nonce, secret.get_secret_value().encode(), self._associate(place))
        return self.key_id + nonce + ciphertext

    def open_sealed(self, sealed: bytes, place: Place) -> SecretStr:
        """Return what was sealed for this place. Raises SecretUnreadable."""
        if sealed[:_KEY_ID_BYTES] != self.key_id:
            raise SecretUnreadable(f"{_name(place)} was sealed with another master key. {_WHAT_TO_DO}")
        nonce_end = _KEY_ID_BYTES + _NONCE_BYTES
        nonce, ciphertext = sealed[_KEY_ID_BYTES:nonce_end], sealed[nonce_end:]
        try:
            return SecretStr(self._cipher.decrypt(nonce, ciphertext, self._associate(place)).decode())
        except (InvalidTag, ValueError):
            raise SecretUnreadable(
                f"{_name(place)} is damaged, or was moved from another place. Set it anew."
            ) from None

    def seal_known_value(self) -> bytes:
        """Return what `check_known_value` opens: kept beside the secrets, it tells a wrong key at the start."""
        return self.seal(_KNOWN_VALUE, _KNOWN_PLACE)

    def check_known_value(self, sealed: bytes) -> None:
        """Raise SecretUnreadable unless this vault has the key that the secrets were sealed with."""
        if sealed[:_KEY_ID_BYTES] != self.key_id:
            raise SecretUnreadable(
                f"The master key is not the one that the stored secrets were sealed with. {_WHAT_TO_DO}"
            )
        self.open_sealed(sealed, _KNOWN_PLACE)

    def _associate(self, place: Place) -> bytes:
        # Lengths stand before the parts, so that no two places are written alike.
        parts = (place.table.encode(), place.row.encode(), place.column.encode(), self.key_id)
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


_WHAT_TO_DO = (
    "Start with the former key (SIGNALPOST_MASTER_KEY, SIGNALPOST_MASTER_KEY_FILE or master.key in the data folder); "
    "if it is lost, move settings.db away and enter the secrets again. Waiting events are not affected."
)


def parse_master_key(text: str) -> bytes:
    """Return the 32 bytes that the text stands for: base64 (also the URL-safe form) or 64 hex digits.

    Raises ValueError, without the text.
    """
    text = text.strip()
    try:
        if len(text) == 2 * _KEY_BYTES:
            return bytes.fromhex(text)
        key = base64.urlsafe_b64decode(text.translate(_URL_SAFE).rstrip("=") + "=")
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(
            "must be 32 random bytes as base64 or as 64 hex digits; make one with: openssl rand -base64 32"
        )
    return key


_URL_SAFE = str.maketrans("+/", "-_")


def generate_master_key() -> str:
    """Return a new master key as text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def open_vault(folder: Path, master_key: SecretStr | None, known_value: bytes | None = None) -> Vault:
    """Return the vault of a data folder: under the given key, else under the folder's own, made if there is none.

    known_value: as sealed in the file; a change of the key that died before its end is ended then. Raises
    SecretUnreadable.
    """
    if master_key is not None:
        return Vault(parse_master_key(master_key.get_secret_value()))
    next_file = folder / NEXT_MASTER_KEY_NAME
    if known_value is not None and next_file.exists():
        next_vault = Vault(read_key_file(next_file))
        if known_value[:_KEY_ID_BYTES] == next_vault.key_id:
            next_file.replace(folder / MASTER_KEY_NAME)
    key, _is_new = read_or_make_master_key(folder)
    return Vault(key)


def read_or_make_master_key(folder: Path) -> tuple[bytes, bool]:
    """Return the key of the data folder, made if there is none, and whether it is new. Raises SecretUnreadable."""
    path = folder / MASTER_KEY_NAME
    try:
        write_private(path, generate_master_key())
    except FileExistsError:
        return read_key_file(path), False
    except OSError as error:
        raise SecretUnreadable(f"{path}: cannot be written: {error.strerror}") from None
    return read_key_file(path), True


def read_key_file(path: Path) -> bytes:
    """Return the key that the file holds. Raises SecretUnreadable."""
    try:
        return parse_master_key(path.read_text(encoding="ascii"))
    except OSError as error:
        raise SecretUnreadable(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise SecretUnreadable(f"{path}: does not hold a master key (32 bytes as base64 or hex)") from None


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read (0400), whole or not at all. Raises FileExistsError."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    try:
        os.write(descriptor, text.encode() + b"\n")
        os.fsync(descriptor)
        os.link(draft, path)  # unlike a rename, it never takes the place of what is there
    finally:
        os.close(descriptor)
        draft.unlink()


def _name(place: Place) -> str:
    return f'{place.column} of {place.table} "{place.row}"'
