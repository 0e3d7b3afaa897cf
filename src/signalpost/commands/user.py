"""`signalpost user add | reset-password`: for the first admin of a headless machine, and for whoever is locked out."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalpost.commands.options import ConfigFile, Json, run
from signalpost.config.reading import read_config
from signalpost.data_folder import AlreadyRunning, DataFolder
from signalpost.model.errors import SignalpostError
from signalpost.terminal import EXIT_USAGE, fail, out, print_json

if TYPE_CHECKING:
    from signalpost.config.sections import Config
    from signalpost.console.people import People
    from signalpost.store.users import Role

user = typer.Typer(
    help="Who may sign in to the console. Goes through the running gateway, if there is one.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The name to sign in with.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="Read the password from this file. [default: asked for, or stdin]"),
]


@user.command("add")
def add_user(
    name: Name,
    role: Annotated[str, typer.Option(help="admin or viewer.")] = "viewer",
    password_file: PasswordFile = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Add somebody who may sign in."""
    if role not in {"admin", "viewer"}:
        fail(f"--role: must be admin or viewer, not {role}", EXIT_USAGE)
    password = _read_password(password_file)
    run(_change(read_config(config), name, password, role="admin" if role == "admin" else "viewer"))
    _tell(as_json, name, f"{name} can sign in now, as {role}.")


@user.command("reset-password")
def reset_password(
    name: Name, password_file: PasswordFile = None, config: ConfigFile = None, as_json: Json = False
) -> None:
    """Give somebody another password; every session of the old one ends."""
    password = _read_password(password_file)
    run(_change(read_config(config), name, password, role=None))
    _tell(as_json, name, f"{name} has a new password and is signed out everywhere.")


async def _change(config: "Config", name: str, password: str, *, role: "Role | None") -> None:
    """Add the user when a role is given, else change the password."""
    try:
        with DataFolder(config.server.data_dir) as folder:
            await _change_in_folder(config, folder.path, name, password, role)
    except AlreadyRunning:
        await _ask_gateway(config.server.data_dir, name, password, role)


async def _change_in_folder(config: "Config", folder: Path, name: str, password: str, role: "Role | None") -> None:
    from signalpost.console.passwords import Passwords
    from signalpost.console.people import People
    from signalpost.store.audit import Actor
    from signalpost.store.database import SettingsStore
    from signalpost.vault import open_vault

    store = SettingsStore.open(folder, open_vault(folder, config.master_key))
    try:
        people = People(store, Passwords(), lambda: datetime.now(UTC))
        actor = Actor("command line")
        if role is not None:
            await people.add_user(name, password, role, actor)
        else:
            await people.set_password(_find(people, name), password, actor)
    finally:
        store.close()


def _find(people: "People", name: str) -> Any:
    for each in people.list_users():
        if each.name.casefold() == name.casefold():
            return each
    raise SignalpostError(f'there is no user named "{name}"')


async def _ask_gateway(folder: Path, name: str, password: str, role: "Role | None") -> None:
    from signalpost.control_client import control_client

    async with control_client(folder) as gateway:
        if role is not None:
            await gateway.post("/api/users", {"name": name, "password": password, "role": role})
            return
        for each in await gateway.get("/api/users"):
            if each["name"].casefold() == name.casefold():
                await gateway.patch(f"/api/users/{each['id']}", {"password": password})
                return
    raise SignalpostError(f'there is no user named "{name}"')


def _read_password(file: Path | None) -> str:
    """Never an option: those stand in the shell's history and in the list of processes."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            fail(f"--password-file: cannot read {file}", EXIT_USAGE)
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _tell(as_json: bool, name: str, sentence: str) -> None:
    if as_json:
        print_json({"user": name})
    else:
        out.print(sentence, markup=False)
