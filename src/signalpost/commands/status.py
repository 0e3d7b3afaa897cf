"""`signalpost status`."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from signalpost.commands.options import ConfigFile, Json
from signalpost.config.reading import read_config
from signalpost.terminal import EXIT_FAILED, fail, out, print_json

if TYPE_CHECKING:
    from signalpost.model.ledger import Ledger


def status(config: ConfigFile = None, as_json: Json = False) -> None:
    """Show where everything accepted went, and what waits. Exit 1 when the sums don't agree."""
    from signalpost.ledger_file import read_ledgers

    file: Path = read_config(config).server.data_dir / "queue.db"
    if not file.exists():
        fail(f"{file.absolute()}: there is no queue yet; `signalpost serve` makes it", EXIT_FAILED)
    total, by_destination = read_ledgers(file)
    is_balanced = not total.imbalance and not total.dead_letter_imbalance
    if as_json:
        print_json({**msgspec.to_builtins(total), "destinations": by_destination})
    else:
        calls = total.calls
        invalid = sum(calls.invalid.values())
        out.print(
            f"[bold]{calls.received:,} calls[/bold]  {calls.accepted:,} accepted, {calls.duplicate:,} duplicates, "
            f"{invalid:,} invalid\n"
        )
        out.print(_build_table(total, by_destination))
        if total.events.pending.total:
            out.print(f"\nThe oldest event has waited for {total.oldest_pending_seconds:,.0f} s.")
        if total.dead_letters:
            out.print(f"{total.dead_letters:,} dead letters are kept: `signalpost dead-letters list`.")
        if is_balanced:
            out.print("\n[green]The ledger balances:[/green] everything accepted is accounted for.")
        else:
            out.print(
                f"\n[red]The ledger does not balance:[/red] {total.imbalance:+,} events, "
                f"{total.dead_letter_imbalance:+,} dead letters. Keep a copy of the data folder, and report it."
            )
    raise typer.Exit(0 if is_balanced else EXIT_FAILED)


def _build_table(total: "Ledger", by_destination: "dict[str, Ledger]") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("events for", max_width=18, overflow="ellipsis", no_wrap=True)
    for column in ("accepted", "delivered", "pending", "rejected", "filtered", "expired"):
        table.add_column(column, justify="right")
    for name, ledger in by_destination.items():
        table.add_row(Text(name), *_build_cells(ledger))
    table.add_row("[bold]all[/bold]", *_build_cells(total))
    return table


def _build_cells(ledger: "Ledger") -> list[Text]:
    events = ledger.events
    rejected, filtered = sum(events.rejected.values()), sum(events.filtered.values())
    cells = (
        (events.accepted, ""),
        (events.delivered, "green"),
        (events.pending.total, "cyan"),
        (rejected, "yellow"),
        (filtered, ""),
        (events.expired, "red"),
    )
    return [Text(f"{count:,}", style=style if count else "dim") for count, style in cells]
