"""`signalpost master-key rotate`: every stored secret under another key. The gateway must not run meanwhile."""

from pathlib import Path
from typing import Annotated

import typer

from signalpost.commands.options import ConfigFile, Json
from signalpost.config.reading import read_config
from signalpost.data_folder import DataFolder
from signalpost.model.errors import SignalpostError
from signalpost.terminal import out, print_json

master_key = typer.Typer(help="The key that stored tokens are sealed with.", no_args_is_help=True)


@master_key.command("rotate")
def rotate_master_key(
    new_key_file: Annotated[
        Path | None,
        typer.Option("--new-key-file", help="A file with the new key; needed when the key is given from outside."),
    ] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Seal every stored secret again with another key. Stop the gateway first; the queue is not touched."""
    from signalpost.store.database import SettingsStore
    from signalpost.store.secrets import seal_all_again
    from signalpost.vault import (
        MASTER_KEY_NAME,
        NEXT_MASTER_KEY_NAME,
        Vault,
        generate_master_key,
        open_vault,
        read_key_file,
        write_private,
    )

    settings = read_config(config)
    if settings.master_key is not None and new_key_file is None:
        raise SignalpostError("the master key comes from the environment: name the new one with --new-key-file")
    with DataFolder(settings.server.data_dir) as folder:
        old = open_vault(folder.path, settings.master_key)
        next_file = folder.path / NEXT_MASTER_KEY_NAME
        if new_key_file is None:
            next_file.unlink(missing_ok=True)
            write_private(next_file, generate_master_key())
        new = Vault(read_key_file(new_key_file or next_file))
        store = SettingsStore.open(folder.path, old)
        try:
            count = store.write_now(lambda connection: seal_all_again(connection, old, new))
        finally:
            store.close()
        # Dying before this line leaves the new key beside the old one; the next start takes it (vault.py).
        if new_key_file is None:
            next_file.replace(folder.path / MASTER_KEY_NAME)
    if as_json:
        print_json({"sealed_again": count})
    else:
        out.print(f"{count} secrets are sealed with the new key.")
