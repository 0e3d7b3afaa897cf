"""Passwords: what makes one good enough, and their argon2id hashes.

Source of the parameters: OWASP, "Password Storage Cheat Sheet" (memory well above its floor). One hash takes 64 MiB, so
at most two are made at a time, however many people sign in at once.
"""

import asyncio
from functools import cache
from pathlib import Path
from typing import Final

import argon2

MIN_CHARACTERS: Final = 12
MAX_CHARACTERS: Final = 1_000
_AT_A_TIME: Final = 2
_LEAST_DIFFERENT: Final = 5
_COMMON_FILE: Final = Path(__file__).with_name("common_passwords.txt")

_hasher = argon2.PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=1, type=argon2.Type.ID)


class Passwords:
    """Hashes and compares, two at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._nobodys_hash: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store."""
        async with self._places:
            return await asyncio.to_thread(_hasher.hash, password)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether this is the password. stored: None for an unknown user, which takes the same work and is no match."""
        if stored is None:
            self._nobodys_hash = self._nobodys_hash or await self.hash("nobody has this password")
        async with self._places:
            is_right = await asyncio.to_thread(_verify, stored or self._nobodys_hash or "", password)
        return is_right and stored is not None


def hash_password(password: str) -> str:
    """The hash to store, for the command line."""
    return _hasher.hash(password)


def check_password(password: str, name: str) -> str | None:
    """What makes a new password too weak, or None. Length counts; there are no rules on which characters to use."""
    if len(password) < MIN_CHARACTERS:
        return f"must have at least {MIN_CHARACTERS} characters; a sentence of four words is easy to remember"
    if len(password) > MAX_CHARACTERS:
        return f"must have at most {MAX_CHARACTERS} characters"
    folded = password.casefold()
    if folded in _read_common() or len(set(folded)) < _LEAST_DIFFERENT:
        return "is among the first that anybody would try; choose another"
    if name and folded.replace(name.casefold(), "").strip("0123456789!.-_ ") == "":
        return "is your name; choose another"
    return None


@cache
def _read_common() -> frozenset[str]:
    """The common passwords that are long enough. Source: the frequency list of zxcvbn (MIT licence)."""
    return frozenset(_COMMON_FILE.read_text(encoding="utf-8").split())


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
