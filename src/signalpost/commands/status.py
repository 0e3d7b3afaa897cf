"""`signalpost status`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from signalpost.commands.options import ConfigFile, Json, run
from signalpost.config.reading import read_config
from signalpost.terminal import EXIT_FAILED, fail, out, print_json

if TYPE_CHECKING:
    from signalpost.model.ledger import Ledger


def status(config: ConfigFile = None, as_json: Json = False) -> None:
    """Show where everything accepted went, what waits, and what is paused. Exit 1 when the sums don't agree."""
    from signalpost.ledger_file import read_ledgers

    data_folder: Path = read_config(config).server.data_dir
    file = data_folder / "queue.db"
    if not file.exists():
        fail(f"{file.absolute()}: there is no queue yet; `signalpost serve` makes it", EXIT_FAILED)
    total, by_destination = read_ledgers(file)
    is_balanced = not total.imbalance and not total.dead_letter_imbalance
    delivery, warnings = run(_ask_gateway(data_folder))
    if as_json:
        told = {"destinations": by_destination, "delivery": delivery, "warnings": warnings}
        print_json({**msgspec.to_builtins(total), **told})
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
        _show_delivery(delivery)
        for name, warning in warnings.items():
            out.print(f"\n[yellow]{escape(name)}:[/yellow] {escape(warning)}")
        if is_balanced:
            out.print("\n[green]The ledger balances:[/green] everything accepted is accounted for.")
        else:
            out.print(
                f"\n[red]The ledger does not balance:[/red] {total.imbalance:+,} events, "
                f"{total.dead_letter_imbalance:+,} dead letters. Keep a copy of the data folder, and report it."
            )
    raise typer.Exit(0 if is_balanced else EXIT_FAILED)


async def _ask_gateway(data_folder: Path) -> tuple[list[dict[str, Any]] | None, dict[str, str]]:
    """How delivery stands, as /api/delivery tells it (None when no gateway runs on the folder), and tokens that end."""
    from signalpost.control_client import ControlRefused, GatewayNotRunning, control_client

    try:
        async with control_client(data_folder) as gateway:
            states: list[dict[str, Any]] = await gateway.get("/api/delivery")
            found = [(each["name"], each["connected"]) for each in await gateway.get("/api/destinations")]
            return states, {name: token["warning"] for name, token in found if token and token["warning"]}
    except (GatewayNotRunning, ControlRefused):
        return None, {}


def _show_delivery(states: list[dict[str, Any]] | None) -> None:
    if states is None:
        out.print("\n[yellow]No gateway runs on this data folder:[/yellow] nothing is sent. Start `signalpost serve`.")
        return
    for state in states:
        name, pause = escape(state["destination"]), state["pause"]
        if state["damage"] is not None:
            out.print(f"\n[red]{name}:[/red] {escape(state['damage'])}")
        if pause is not None:
            out.print(f"\n[red]{name} is paused ({pause['reason']}):[/red] {escape(pause['human'])}")
            out.print(f"Meta says: {escape(pause['detail'])}")
            out.print(f"→ {escape(pause['fix'])} Then: `signalpost resume {name}`.")
        elif state["rests_until"] is not None:
            until = datetime.fromisoformat(state["rests_until"])
            out.print(f"\n[yellow]{name} waits until {until:%H:%M:%S} UTC:[/yellow] {escape(state['rests_because'])}")


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
