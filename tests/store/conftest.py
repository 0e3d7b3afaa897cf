"""A settings store in a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalpost.store.database import SettingsStore
from signalpost.vault import Vault


@pytest.fixture
def vault() -> Vault:
    return Vault(os.urandom(32))


@pytest.fixture
def store(tmp_path: Path, vault: Vault) -> Iterator[SettingsStore]:
    store = SettingsStore.open(tmp_path, vault)
    yield store
    store.close()
