"""Which calls were seen in the last day: the index over the log `dedupe_keys`, in memory and exact.

A B-tree of random digests would rewrite one page for every call it learns; the log appends 16 bytes, and this index
costs 18 to 24 bytes a call. It follows the writer's transactions: what a group learns counts within the group at once,
and stays only after its commit.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 16
# The first bytes choose the bucket, the bucket holds the rest end to end: at 10 million calls about 150 in each.
_PREFIX_BYTES: Final = 2
_REST_BYTES: Final = DIGEST_BYTES - _PREFIX_BYTES


def build_call_digest(source_id: str, message_id: str) -> bytes:
    """Return the 16 bytes under which a call is remembered."""
    return blake2b(f"{source_id}\n{message_id}".encode(), digest_size=DIGEST_BYTES).digest()


def split_digests(log_row: bytes) -> list[bytes]:
    """The digests of one row of the log."""
    return [log_row[start : start + DIGEST_BYTES] for start in range(0, len(log_row), DIGEST_BYTES)]


class SeenCalls:
    """A set of digests with a transaction around it. Used by one thread only."""

    def __init__(self, log_rows: Iterable[bytes]) -> None:
        self._buckets: dict[bytes, bytearray] = {}
        self._learned: set[bytes] = set()
        self._forgotten: list[bytes] = []
        for log_row in log_rows:
            for digest in split_digests(log_row):
                self._add(digest)

    def learn(self, digest: bytes) -> bool:
        """Note a digest until the transaction ends; False when it was known already."""
        if digest in self._learned or self._find(digest) >= 0:
            return False
        self._learned.add(digest)
        return True

    def forget(self, log_row: bytes) -> None:
        """Drop the digests of a row of the log once its deletion is committed."""
        self._forgotten += split_digests(log_row)

    def commit(self) -> None:
        """The transaction is durable: keep what it learned, drop what it forgot."""
        for digest in self._learned:
            self._add(digest)
        for digest in self._forgotten:
            self._remove(digest)
        self.rollback()

    def rollback(self) -> None:
        """The transaction is undone, and with it what it learned and forgot."""
        self._learned.clear()
        self._forgotten.clear()

    def _add(self, digest: bytes) -> None:
        prefix = digest[:_PREFIX_BYTES]
        bucket = self._buckets.get(prefix)
        if bucket is None:
            self._buckets[prefix] = bytearray(digest[_PREFIX_BYTES:])
        else:
            bucket += digest[_PREFIX_BYTES:]

    def _find(self, digest: bytes) -> int:
        bucket = self._buckets.get(digest[:_PREFIX_BYTES])
        if bucket is None:
            return -1
        rest = digest[_PREFIX_BYTES:]
        at = bucket.find(rest)
        while at > 0 and at % _REST_BYTES:  # the end of one digest and the start of the next may look like it
            at = bucket.find(rest, at + 1)
        return at

    def _remove(self, digest: bytes) -> None:
        at = self._find(digest)
        if at >= 0:
            del self._buckets[digest[:_PREFIX_BYTES]][at : at + _REST_BYTES]
