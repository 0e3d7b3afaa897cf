"""Accounts and the master key from the command line, on real processes."""

import subprocess
import sys
from pathlib import Path

import apsw

from tests.acceptance.processes import running, write_configuration

PASSWORD = "four words make one"


def signalpost(*arguments: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "signalpost", *arguments]
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False, timeout=60)


def read_users(folder: Path) -> list[tuple[str, str, str]]:
    connection = apsw.Connection(str(folder / "data/settings.db"))
    rows = connection.execute("SELECT name, role, password_hash FROM users ORDER BY name").fetchall()
    connection.close()
    return [(str(name), str(role), str(password_hash)) for name, role, password_hash in rows]


def test_users_are_added_with_and_without_a_gateway(tmp_path: Path) -> None:
    """The password is never stored, only its argon2id hash with its parameters; a short one is refused."""
    config = str(write_configuration(tmp_path, "http://127.0.0.1:9"))
    added = signalpost("user", "add", "Ann", "--role", "admin", "--config", config, folder=tmp_path, given=PASSWORD)
    assert (added.returncode, added.stderr) == (0, "")
    with running("serve", "--config", config, folder=tmp_path) as gateway:
        assert "setup_url" not in gateway.announced
        assert signalpost("user", "add", "Bob", "--config", config, folder=tmp_path, given=PASSWORD).returncode == 0
        short = signalpost("user", "add", "Eve", "--config", config, folder=tmp_path, given="short")
        assert (short.returncode, "at least 12 characters" in short.stderr) == (1, True)
        changed = signalpost("user", "reset-password", "ann", "--config", config, folder=tmp_path, given=PASSWORD[::-1])
        assert changed.returncode == 0
    users = read_users(tmp_path)
    assert [(name, role) for name, role, _ in users] == [("Ann", "admin"), ("Bob", "viewer")]
    assert all("$argon2id$v=19$m=65536,t=3,p=1$" in password_hash for *_, password_hash in users)
    assert PASSWORD not in str(users)


def test_the_master_key_is_changed_while_the_gateway_rests(tmp_path: Path) -> None:
    """Afterwards it starts with the new key; a change that died before its end is ended by the next start."""
    config = str(write_configuration(tmp_path, "http://127.0.0.1:9"))
    key_file = tmp_path / "data/master.key"
    with running("serve", "--config", config, folder=tmp_path):
        first = key_file.read_text()
    assert signalpost("master-key", "rotate", "--config", config, folder=tmp_path).returncode == 0
    second = key_file.read_text()
    assert second != first
    # As a crash would leave it: the secrets under the second key, which has not taken its place yet.
    key_file.rename(tmp_path / "data/master.key.next")
    key_file.write_text(first)
    with running("serve", "--config", config, folder=tmp_path):
        assert key_file.read_text() == second
