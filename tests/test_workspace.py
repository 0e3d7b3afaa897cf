"""Changes made while the gateway runs: in force at once, audited, and never of what the file declares."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from signalpost.catalog import Catalog, Source
from signalpost.mapping.destinations import build_destination
from signalpost.model.ids import DatasetId, DestinationId, SourceId, WriteKey
from signalpost.store import audit
from signalpost.store.audit import Actor
from signalpost.store.connected_tokens import ConnectedToken
from signalpost.store.database import SettingsStore
from signalpost.vault import Vault
from signalpost.workspace.changes import ChangeRefused
from signalpost.workspace.workspace import Workspace

ANN = Actor("ann", "192.0.2.1")
SLUG = "facebook-conversions-api"
TOKEN = "EAABcanary0123456789"
FILE_KEY = WriteKey("wk_file_0123456789abcdef")


@dataclass
class Desk:
    """A workspace with what it puts in force."""

    workspace: Workspace
    catalog: Catalog
    store: SettingsStore
    waiting: dict[str, int] = field(default_factory=dict)
    changes: int = 0

    @property
    def audited(self) -> list[tuple[str, str]]:
        return [(row.action, row.subject) for row in reversed(self.store.read(audit.list_changes))]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = SettingsStore.open(tmp_path, Vault(os.urandom(32)))
    catalog = Catalog((), (), "v26.0")

    def on_change() -> None:
        desk.changes += 1

    async def count_pending(destination: DestinationId) -> int:
        return desk.waiting.get(destination, 0)

    workspace = Workspace(
        store, catalog, now=lambda: datetime.now(UTC), on_change=on_change, count_pending=count_pending
    )
    desk = Desk(workspace, catalog, store)
    in_file = build_destination(SLUG, {"pixel_id": "11111"}, name="from-file")
    workspace.apply_file([Source(SourceId("shop"), "shop", [FILE_KEY], [in_file])], [in_file], "v26.0")
    yield desk
    store.close()


async def test_a_new_source_takes_calls_at_once(desk: Desk) -> None:
    """Its key is known to the catalog when the change returns, and it is told to whoever waits."""
    before = desk.changes
    entry = await desk.workspace.add_source("  My   website ", ANN)
    ((key, _),) = entry.keys
    found = desk.catalog.find_source(key)
    assert found is not None
    assert (found.name, desk.changes) == ("My website", before + 1)
    assert desk.audited == [("source.added", "My website")]


async def test_a_destination_takes_the_calls_of_its_sources(desk: Desk) -> None:
    """Connect and disconnect change what the catalog gives to ingest."""
    entry = await desk.workspace.add_source("web", ANN)
    await desk.workspace.add_destination("main", SLUG, {"pixel_id": "12345", "access_token": TOKEN}, ANN)
    await desk.workspace.connect("web", "main", ANN)
    await desk.workspace.connect("web", "from-file", ANN)
    source = desk.catalog.find_source(entry.keys[0][0])
    assert source is not None
    assert [destination.name for destination in source.destinations] == ["from-file", "main"]
    assert list(desk.workspace.find_destination("main").sources) == ["web"]
    target = desk.catalog.find_target(DestinationId("main"), DatasetId("12345"))
    assert target is not None
    assert target.access_token.get_secret_value() == TOKEN
    await desk.workspace.disconnect("web", "main", ANN)
    source = desk.catalog.find_source(entry.keys[0][0])
    assert source is not None
    assert [destination.name for destination in source.destinations] == ["from-file"]


async def test_changed_settings_are_in_force_and_audited_without_secrets(desk: Desk) -> None:
    """Only what was named changes; the audit row tells before and after, and that a secret changed, never which."""
    await desk.workspace.add_destination("main", SLUG, {"pixel_id": "12345", "access_token": TOKEN}, ANN)
    changes: dict[str, Any] = {"standard_events": {"Signed Up": "Lead"}, "access_token": "EAABother0123456789"}
    await desk.workspace.change_settings("main", changes, ANN)
    settings = desk.workspace.find_destination("main").settings.model_dump()
    assert (settings["pixel_id"], settings["standard_events"]) == ("12345", {"Signed Up": "Lead"})
    row = desk.store.read(audit.list_changes)[0]
    assert row.before == {"standard_events": None, "access_token": "(secret)"}
    assert row.after == {"standard_events": {"Signed Up": "Lead"}, "access_token": "(secret) changed"}
    assert all(word not in repr(desk.store.read(audit.list_changes)) for word in (TOKEN, "EAABother"))
    await desk.workspace.change_settings("main", {"standard_events": {}}, ANN)
    target = desk.catalog.find_target(DestinationId("main"), DatasetId("12345"))
    assert target is not None
    assert target.access_token.get_secret_value() == "EAABother0123456789"
    await desk.workspace.change_settings("main", {"access_token": None}, ANN)
    assert desk.catalog.find_target(DestinationId("main"), DatasetId("12345")) is None


async def test_nothing_changed_leaves_no_row(desk: Desk) -> None:
    """Saving a form as it was is no change."""
    await desk.workspace.add_destination("main", SLUG, {"pixel_id": "12345"}, ANN)
    await desk.workspace.change_settings("main", {"pixel_id": "12345", "value_field": "price"}, ANN)
    assert desk.audited == [("destination.added", "main")]


async def test_wrong_settings_are_refused_field_by_field(desk: Desk) -> None:
    """The answer names each field; nothing is stored."""
    with pytest.raises(ChangeRefused) as refused:
        await desk.workspace.add_destination("main", SLUG, {"pixel_id": "x", "value_field": "y", "colour": 1}, ANN)
    assert set(refused.value.faults) == {"pixel_id", "value_field", "colour"}
    assert desk.audited == []


async def test_what_the_file_declares_is_not_changed_here(desk: Desk) -> None:
    """Each kind of change is refused, and names the file."""
    workspace = desk.workspace
    refused = [
        workspace.set_source_enabled("shop", ANN, is_enabled=False),
        workspace.remove_source("shop", ANN),
        workspace.add_write_key("shop", ANN),
        workspace.remove_write_key("shop", FILE_KEY, ANN),
        workspace.connect("shop", "from-file", ANN),
        workspace.disconnect("shop", "from-file", ANN),
        workspace.change_settings("from-file", {"pixel_id": "22222"}, ANN),
        workspace.set_destination_enabled("from-file", ANN, is_enabled=False),
        workspace.remove_destination("from-file", ANN),
    ]
    for change in refused:
        with pytest.raises(ChangeRefused, match=r"declared in signalpost\.toml") as raised:
            await change
        assert raised.value.code == "from_file"
    assert desk.audited == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a/b", "a\\b", "..", "a\x00b"])
async def test_a_name_must_be_readable(desk: Desk, name: str) -> None:
    """Names are shown, and stand in addresses and metrics."""
    with pytest.raises(ChangeRefused) as refused:
        await desk.workspace.add_source(name, ANN)
    assert "name" in refused.value.faults


async def test_a_name_is_taken_once(desk: Desk) -> None:
    """Also in another case, and by the file."""
    for name in ("SHOP", "shop"):
        with pytest.raises(ChangeRefused, match="already"):
            await desk.workspace.add_source(name, ANN)


async def test_the_files_name_wins(desk: Desk) -> None:
    """A source made here steps back when the file declares one of that name, and returns when the file lets go."""
    entry = await desk.workspace.add_source("web", ANN)
    key = entry.keys[0][0]
    desk.workspace.apply_file([Source(SourceId("web"), "web", [FILE_KEY])], [], "v26.0")
    assert [(source.name, source.origin) for source in desk.workspace.sources] == [("web", "file")]
    assert desk.catalog.find_source(key) is None
    desk.workspace.apply_file([], [], "v26.0")
    assert desk.workspace.find_source("web").origin == "console"
    assert desk.catalog.find_source(key) is not None


async def test_a_key_is_replaced_without_a_gap(desk: Desk) -> None:
    """Two keys work side by side; the last one can't be removed."""
    first = (await desk.workspace.add_source("web", ANN)).keys[0][0]
    second = await desk.workspace.add_write_key("web", ANN)
    assert desk.catalog.find_source(first) is desk.catalog.find_source(second) is not None
    with pytest.raises(ChangeRefused, match="at most 2"):
        await desk.workspace.add_write_key("web", ANN)
    await desk.workspace.remove_write_key("web", first, ANN)
    assert desk.catalog.find_source(first) is None
    with pytest.raises(ChangeRefused, match="only write key"):
        await desk.workspace.remove_write_key("web", second, ANN)


async def test_a_disabled_source_is_refused_like_an_unknown_one(desk: Desk) -> None:
    """Its keys come back with it."""
    key = (await desk.workspace.add_source("web", ANN)).keys[0][0]
    await desk.workspace.set_source_enabled("web", ANN, is_enabled=False)
    assert desk.catalog.find_source(key) is None
    await desk.workspace.set_source_enabled("web", ANN, is_enabled=True)
    assert desk.catalog.find_source(key) is not None


async def test_a_destination_with_waiting_events_stays(desk: Desk) -> None:
    """Removing it would leave them without an end."""
    await desk.workspace.add_destination("main", SLUG, {"pixel_id": "12345"}, ANN)
    desk.waiting["main"] = 3
    with pytest.raises(ChangeRefused, match="3 events wait"):
        await desk.workspace.remove_destination("main", ANN)
    desk.waiting["main"] = 0
    await desk.workspace.remove_destination("main", ANN)
    with pytest.raises(ChangeRefused, match="no destination"):
        desk.workspace.find_destination("main")


@pytest.mark.parametrize(("own", "used"), [(None, "of-the-app"), ("of-another-app", "of-another-app")])
async def test_a_connected_token_is_sent_with_a_proof(desk: Desk, own: str | None, used: str) -> None:
    """It belongs to the app of [meta], whose secret is used unless the destination names one; other tokens may not."""
    desk.workspace.apply_file([], [], "v26.0", SecretStr("of-the-app"))
    await desk.workspace.add_destination("pasted", SLUG, {"pixel_id": "12345", "access_token": TOKEN}, ANN)
    await desk.workspace.add_destination("main", SLUG, {"pixel_id": "12345", "app_secret": own}, ANN)
    token = ConnectedToken(SecretStr(TOKEN), "ann", datetime.now(UTC), None)
    await desk.workspace.connect_token("main", token, ANN)
    connected, pasted = (desk.catalog.find_target(DestinationId(name), DatasetId("1")) for name in ("main", "pasted"))
    assert connected is not None
    assert pasted is not None
    assert (connected.app_secret, pasted.app_secret) == (SecretStr(used), None)


async def test_what_is_stored_is_in_force_after_a_restart(desk: Desk) -> None:
    """Another workspace over the same file has the same sources, keys and settings."""
    key = (await desk.workspace.add_source("web", ANN)).keys[0][0]
    await desk.workspace.add_destination("main", SLUG, {"pixel_id": "12345", "access_token": TOKEN}, ANN)
    await desk.workspace.connect("web", "main", ANN)

    async def none_waits(_destination: DestinationId) -> int:
        return 0

    catalog = Catalog((), (), "v26.0")
    again = Workspace(
        desk.store, catalog, now=lambda: datetime.now(UTC), on_change=lambda: None, count_pending=none_waits
    )
    again.apply_file([], [], "v26.0")
    source = catalog.find_source(key)
    assert source is not None
    assert [destination.name for destination in source.destinations] == ["main"]
    assert catalog.find_target(DestinationId("main"), DatasetId("12345")) is not None
