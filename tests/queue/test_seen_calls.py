"""The index of calls seen follows the writer's transactions and knows whole digests only."""

from hypothesis import given
from hypothesis import strategies as st

from signalpost.queue.seen_calls import DIGEST_BYTES, SeenCalls, build_call_digest, split_digests

# Few different bytes, so that the end of one digest and the start of the next often look like a third one.
alike_digests = st.lists(st.sampled_from(b"ab"), min_size=14, max_size=14).map(lambda tail: b"aa" + bytes(tail))


@given(known=st.lists(alike_digests, unique=True), asked=alike_digests)
def test_only_whole_digests_are_known(known: list[bytes], asked: bytes):
    """A digest is known exactly if it was learned, whatever its neighbours look like."""
    seen = SeenCalls([b"".join(known)])
    assert seen.learn(asked) == (asked not in known)


def test_neighbours_are_no_digest():
    """The end of one digest and the start of the next do not pass for a third."""
    first, second = b"aa" + b"x" * 7 + b"y" * 7, b"aa" + b"z" * 14
    seen = SeenCalls([first + second])
    assert seen.learn(b"aa" + b"y" * 7 + b"z" * 7)


def test_learned_counts_at_once_and_stays_after_the_commit():
    """Within a transaction a digest is known once it was learned; a rollback forgets it, a commit keeps it."""
    seen = SeenCalls([])
    digest = build_call_digest("website", "m1")
    assert (seen.learn(digest), seen.learn(digest)) == (True, False)
    seen.rollback()
    assert seen.learn(digest)
    seen.commit()
    assert not seen.learn(digest)


def test_forgetting_waits_for_the_commit():
    """A digest that is to be forgotten is known until its deletion is durable."""
    digests = [build_call_digest("website", f"m{number}") for number in range(1000)]
    seen = SeenCalls([b"".join(digests)])
    seen.forget(b"".join(digests[:500]))
    assert not seen.learn(digests[0])
    seen.rollback()
    assert not seen.learn(digests[0])
    seen.forget(b"".join(digests[:500]))
    seen.commit()
    assert [seen.learn(digest) for digest in digests] == [True] * 500 + [False] * 500


def test_log_row_is_digests_end_to_end():
    """A row of the log holds 16 bytes a call."""
    row = build_call_digest("website", "m1") + build_call_digest("website", "m2")
    assert len(row) == 2 * DIGEST_BYTES
    assert split_digests(row) == [build_call_digest("website", "m1"), build_call_digest("website", "m2")]
