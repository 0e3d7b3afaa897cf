"""Each check of the doctor on something that is well, and on something that is not."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import apsw
import msgspec
import pytest

from signalpost.catalog import Source
from signalpost.config.reading import find_secret_files, read_config
from signalpost.config.sections import Config
from signalpost.data_folder import DataFolder
from signalpost.doctor.examination import check_configuration
from signalpost.doctor.folder_checks import check_disk, check_folder, check_lock, check_secret_files
from signalpost.doctor.meta_checks import check_api_version, check_clock
from signalpost.doctor.queue_checks import check_balance, check_queue_file, check_sqlite
from signalpost.ledger_file import read_ledgers
from signalpost.mapping.destinations import build_destination
from signalpost.meta.api_versions import API_VERSION_ENDS, LATEST_API_VERSION
from signalpost.model.ids import SourceId, WriteKey
from signalpost.queue.migrations import SCHEMA
from signalpost.queue.room import RoomLimits
from signalpost.queue.sqlite import SqliteQueue
from tests.builders import build_calls, build_new_event

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
async def queue_file(tmp_path: Path) -> Path:
    """A queue that holds one event, closed."""
    queue = SqliteQueue.open(tmp_path)
    await queue.put(build_calls([build_new_event()]))
    await queue.close()
    return tmp_path / "queue.db"


def test_private_folder_is_ok(tmp_path: Path) -> None:
    """And one that is not there yet."""
    with DataFolder(tmp_path / "data") as folder:
        assert check_folder(folder.path).verdict == "ok"
    assert check_folder(tmp_path / "later").verdict == "ok"


def test_folder_that_others_may_read_is_told_with_the_command_that_closes_it(tmp_path: Path) -> None:
    """The fix is a command that can be copied, and it works."""
    with DataFolder(tmp_path / "data") as folder:
        (folder.path / "queue.db").touch(mode=0o600)
        (folder.path / "queue.db").chmod(0o644)
        check = check_folder(folder.path)
    assert (check.verdict, "queue.db" in check.detail) == ("warning", True)
    assert check.fix == f"chmod -R go= {folder.path}"


def test_data_dir_that_is_a_file_is_broken(tmp_path: Path) -> None:
    """It names the setting."""
    (tmp_path / "data").touch()
    check = check_folder(tmp_path / "data")
    assert (check.verdict, "server.data_dir" in check.fix) == ("broken", True)


def test_the_lock_tells_whether_a_gateway_runs(tmp_path: Path) -> None:
    """Looking takes nothing away from whoever starts next."""
    assert check_lock(tmp_path).verdict == "warning"
    with DataFolder(tmp_path):
        assert check_lock(tmp_path).verdict == "ok"
    assert check_lock(tmp_path).verdict == "warning"
    with DataFolder(tmp_path):
        pass


def test_disk_below_the_mark_is_broken(tmp_path: Path) -> None:
    """Also when the folder is not there yet."""
    assert check_disk(tmp_path / "a/b", RoomLimits(low_bytes=1, low_share=0)).verdict in {"ok", "warning"}
    assert check_disk(tmp_path, RoomLimits(low_bytes=1 << 60)).verdict == "broken"


def test_secret_file_that_others_may_read(tmp_path: Path) -> None:
    """A group may read, as secrets are mounted; nobody else may."""
    token = tmp_path / "token.txt"
    token.write_text("t")
    token.chmod(0o640)
    assert check_secret_files([token, tmp_path / "absent"]).verdict == "ok"
    token.chmod(0o644)
    check = check_secret_files([token])
    assert (check.verdict, check.fix) == ("warning", f"chmod 600 {token}")


def test_secret_files_are_those_of_the_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the configuration itself when a token stands in it."""
    key, host = tmp_path / "key", tmp_path / "host"
    key.write_text("00" * 32)
    host.write_text("127.0.0.1")
    monkeypatch.setenv("SIGNALPOST_MASTER_KEY_FILE", str(key))
    monkeypatch.setenv("SIGNALPOST_SERVER__HOST_FILE", str(host))
    file = tmp_path / "signalpost.toml"
    file.write_text('[[destinations]]\naccess_token_file = "token.txt"\n[[destinations]]\naccess_token = "t"\n')
    assert find_secret_files(read_config(file), file) == [tmp_path / "token.txt", key, host, file]


async def test_sound_queue(queue_file: Path) -> None:
    """SQLite, the file and the ledger."""
    ledger, _ = read_ledgers(queue_file)
    checks = [check_sqlite(), check_queue_file(queue_file), check_balance(ledger)]
    assert [check.verdict for check in checks] == ["ok"] * 3
    assert f"schema {SCHEMA}, WAL" in checks[1].detail
    assert "1 accepted, 1 pending" in checks[2].detail


async def test_imbalance_is_broken(queue_file: Path) -> None:
    """A row that was taken out of the file by hand is missed."""
    connection = apsw.Connection(str(queue_file))
    connection.execute("DELETE FROM queued_events")
    connection.close()
    ledger, _ = read_ledgers(queue_file)
    check = check_balance(ledger)
    assert (check.verdict, check.detail) == ("broken", "+1 accepted events are unaccounted for")
    assert check_balance(msgspec.structs.replace(ledger, imbalance=0, dead_letter_imbalance=-2)).verdict == "broken"


@pytest.mark.parametrize(
    ("change", "told"),
    [("PRAGMA journal_mode = DELETE", "DELETE"), (f"PRAGMA user_version = {SCHEMA + 1}", "newer Signalpost")],
    ids=["journal", "schema"],
)
async def test_queue_that_somebody_has_changed_is_broken(queue_file: Path, change: str, told: str) -> None:
    """Another journal, or the schema of a newer program."""
    connection = apsw.Connection(str(queue_file))
    connection.execute(change)
    connection.close()
    check = check_queue_file(queue_file)
    assert (check.verdict, told in check.detail) == ("broken", True)


def test_file_that_is_no_queue_is_broken(tmp_path: Path) -> None:
    """No traceback, whatever the file is; and none at all is well."""
    file = tmp_path / "queue.db"
    assert check_queue_file(file).verdict == "ok"
    file.write_bytes(b"no database " * 1_000)
    assert check_queue_file(file).verdict == "broken"


@pytest.mark.parametrize(
    ("version", "today", "verdict"),
    [
        ("v21.0", date(2026, 10, 22), "ok"),
        ("v21.0", date(2026, 10, 23), "warning"),
        ("v21.0", date(2027, 1, 21), "warning"),
        ("v21.0", date(2027, 1, 22), "broken"),
        ("v26.0", date(2030, 1, 1), "ok"),
        ("v99.0", date(2026, 11, 27), "warning"),
    ],
)
def test_api_version(version: str, today: date, verdict: str) -> None:
    """It warns 90 days before the end, and is broken the day after it."""
    assert check_api_version(version, today).verdict == verdict


def test_the_default_api_version_is_the_latest_one_known() -> None:
    """So the fix that is offered is what a new gateway has."""
    assert Config().meta.api_version == LATEST_API_VERSION
    assert API_VERSION_ENDS[LATEST_API_VERSION] is None


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0, "ok"), (30, "ok"), (31, "warning"), (-300, "warning"), (301, "broken"), (-301, "broken")],
)
def test_clock(seconds: int, verdict: str) -> None:
    """Compared with the latest answer; more than five minutes is what pauses delivery."""
    meta_time = NOW - timedelta(seconds=seconds)
    assert check_clock(NOW, [meta_time - timedelta(hours=1), meta_time]).verdict == verdict


def test_clock_without_an_answer() -> None:
    """Nothing is claimed that was not compared."""
    assert check_clock(NOW, []).verdict == "warning"


def test_browser_source_at_an_offline_destination_is_told() -> None:
    """Offline conversions come from servers and shops."""
    offline = build_destination("facebook-offline-conversions", {})
    source = Source(SourceId("site"), "site", (WriteKey("k" * 16),), (offline,), "browser")
    assert check_configuration([source], [offline]).verdict == "warning"
    assert check_configuration([move_to_a_server(source)], [offline]).verdict == "ok"
    assert check_configuration([source], []).verdict == "warning"


def move_to_a_server(source: Source) -> Source:
    return Source(source.id, source.name, source.write_keys, source.destinations, "server")


def test_datasets_of_a_destination() -> None:
    """Those that may receive events, each once; an id that is not filled in yet is none."""
    assert build_destination("facebook-conversions-api", {"pixel_id": ""}).settings.dataset_ids == ()
    assert build_destination("facebook-conversions-api", {"pixel_id": "12345"}).settings.dataset_ids == ("12345",)
    tables = {"event_sets": {"a": "11111", "b": "22222", "c": ""}, "lead_event_sets": {"a": "11111", "d": "33333"}}
    offline = build_destination("facebook-offline-conversions", tables)
    assert offline.settings.dataset_ids == ("11111", "22222", "33333")
