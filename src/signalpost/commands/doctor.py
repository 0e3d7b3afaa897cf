"""`signalpost doctor`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from signalpost.commands.options import ConfigFile, Json, run
from signalpost.terminal import EXIT_FAILED, err, out, print_json

if TYPE_CHECKING:
    from signalpost.doctor.examination import Examination
    from signalpost.model.check import Check

_STYLES = {"ok": "green", "warning": "yellow", "broken": "red"}


def doctor(config: ConfigFile = None, as_json: Json = False) -> None:
    """Check everything that delivery rests on, and say what to mend. Exit 1 when something is broken."""
    from signalpost.build_info import read_build_info
    from signalpost.doctor.examination import examine

    with err.status("Looking, and asking Meta…"):
        found = run(examine(config, datetime.now(UTC)))
    if as_json:
        print_json(
            {
                "is_broken": found.is_broken,
                "checks": found.checks,
                "ledger": found.ledger,
                "versions": msgspec.to_builtins(read_build_info()),
            }
        )
    else:
        out.print(_build_table(found.checks))
        out.print(_sum_up(found))
    raise typer.Exit(EXIT_FAILED if found.is_broken else 0)


def _build_table(checks: "list[Check]") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(max_width=24, overflow="fold")
    table.add_column(overflow="fold")
    for check in checks:
        found = Text(check.detail)
        if check.fix and check.verdict != "ok":
            found.append(f"\n→ {check.fix}", style="bold")
        table.add_row(Text(check.verdict, style=_STYLES[check.verdict]), Text(check.name), found)
    return table


def _sum_up(found: "Examination") -> str:
    count = {verdict: sum(check.verdict == verdict for check in found.checks) for verdict in _STYLES}
    if count["broken"]:
        return f"\n[red]{count['broken']} broken[/red], {count['warning']} warnings, {count['ok']} ok"
    if count["warning"]:
        return f"\n[yellow]{count['warning']} warnings[/yellow], {count['ok']} ok"
    return f"\n[green]All is well:[/green] {count['ok']} checks."
