"""What runs: the versions that a person who reports a fault is asked for."""

import importlib.metadata

import apsw
import msgspec

from signalpost.queue.migrations import SCHEMA


class BuildInfo(msgspec.Struct, frozen=True):
    """commit: None unless the package was installed straight from a repository. schema: of the queue's file."""

    version: str
    commit: str | None
    sqlite: str
    schema: int


class _Origin(msgspec.Struct):
    vcs_info: dict[str, str] = {}


def read_build_info() -> BuildInfo:
    """What is installed. The commit is what the installer noted (PEP 610)."""
    package = importlib.metadata.distribution("signalpost")
    noted = package.read_text("direct_url.json")
    commit = msgspec.json.decode(noted, type=_Origin).vcs_info.get("commit_id") if noted else None
    return BuildInfo(package.version, commit, apsw.sqlite_lib_version(), SCHEMA)
