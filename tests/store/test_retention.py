"""Nothing is kept for longer than it is said to be, and nothing is removed before."""

from datetime import UTC, datetime, timedelta

from signalpost.store import audit, sessions, users
from signalpost.store.audit import Actor
from signalpost.store.database import SettingsStore
from signalpost.store.retention import forget_what_is_over

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)  # long ago for the clock by which the file protects young rows


async def forget(store: SettingsStore, after: timedelta) -> None:
    await store.write(lambda c: forget_what_is_over(c, NOW + after))


async def test_ended_sessions_are_removed(store: SettingsStore) -> None:
    """After 30 idle minutes or 12 hours the digest of a session is gone; one in use stays."""
    user = await store.write(lambda c: users.add_user(c, "ann", "hash", "admin", NOW))
    idle = await store.write(lambda c: sessions.start_session(c, user.id, NOW))
    used = await store.write(lambda c: sessions.start_session(c, user.id, NOW))

    def count() -> int:
        return int(store.read(lambda c: c.execute("SELECT count(*) FROM sessions").get))

    await forget(store, timedelta(minutes=29))
    assert count() == 2
    await store.write(lambda c: sessions.touch_session(c, used, NOW + timedelta(minutes=29)))
    await forget(store, timedelta(minutes=30))
    assert count() == 1
    assert store.read(lambda c: sessions.find_session(c, idle, NOW)) is None
    assert store.read(lambda c: sessions.find_session(c, used, NOW + timedelta(minutes=30))) is not None
    await store.write(lambda c: sessions.touch_session(c, used, NOW + timedelta(hours=12)))
    await forget(store, timedelta(hours=12))
    assert count() == 0


async def test_changes_are_removed_after_400_days(store: SettingsStore) -> None:
    """The older ones; those of the last 400 days stay, whoever asks."""

    async def record(subject: str, at: timedelta) -> None:
        await store.write(lambda c: audit.record_change(c, Actor("ann"), "source.added", subject, now=NOW + at))

    await record("first", timedelta())
    await record("second", timedelta(days=1))
    await forget(store, timedelta(days=400))
    assert [row.subject for row in store.read(audit.list_changes)] == ["second", "first"]
    await forget(store, timedelta(days=400, minutes=2))
    assert [row.subject for row in store.read(audit.list_changes)] == ["second"]
    await store.write(lambda c: audit.record_change(c, Actor("ann"), "source.added", "now", now=datetime.now(UTC)))
    await store.write(lambda c: forget_what_is_over(c, datetime.now(UTC)))
    assert [row.subject for row in store.read(audit.list_changes)] == ["now"]


async def test_a_row_of_just_400_days_stops_nothing(store: SettingsStore) -> None:
    """The file protects it for the rest of its second; what else is over is removed all the same."""
    now = datetime.now(UTC)
    edge, old = now - timedelta(days=400, microseconds=1), now - timedelta(days=500)
    for subject, at in (("edge", edge), ("old", old)):
        await store.write(
            lambda c, subject=subject, at=at: audit.record_change(c, Actor("ann"), "source.added", subject, now=at)
        )
    await store.write(lambda c: forget_what_is_over(c, now))
    assert [row.subject for row in store.read(audit.list_changes)] == ["edge"]
