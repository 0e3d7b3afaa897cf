"""The sending part of `signalpost import`: where it goes on, the progress bar, and what became of the rows."""

import gc
from dataclasses import dataclass, field
from pathlib import Path

from signalpost.commands.options import run
from signalpost.commands.progress_bar import ShowProgress, progress_bar
from signalpost.file_import.looking import Look
from signalpost.file_import.preview import Occurrence
from signalpost.file_import.progress import Position, Progress, begin_origin, describe_source
from signalpost.file_import.rejects import RejectsFile
from signalpost.file_import.report import build_refused_report, count_rows, describe_position, describe_when
from signalpost.file_import.sending import send_rows
from signalpost.file_import.tables import STANDARD_INPUT, ImportFailed
from signalpost.terminal import EXIT_FAILED, err, fail, out, print_json
from signalpost.tracking_client import SendFailed, TrackingClient

_PATIENCE_SECONDS = 300.0
_GO_ON = "run the same command again, and it goes on where it was"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. progress, rejects: None is beside the file. is_again: from the first row on, once more."""

    file: str
    write_key: str = field(repr=False)
    url: str
    progress: Path | None
    rejects: Path | None
    is_again: bool

    def find_progress_file(self) -> Path:
        """One for each file and source: another gateway address is the same import."""
        return self.progress or self._place_beside(f".import-{describe_source(self.write_key)[:8]}")

    def find_rejects_file(self, *, is_table: bool) -> Path:
        """A spreadsheet for rows of a table."""
        return self.rejects or self._place_beside(f".rejected{'.csv' if is_table else '.jsonl'}")

    def _place_beside(self, ending: str) -> Path:
        base = Path("standard-input" if self.file == STANDARD_INPUT else self.file)
        return base.with_name(base.name + ending)


def import_rows(look: Look, order: Order, *, as_json: bool) -> int:
    """Send the rows from where an earlier import stopped; the exit code: failed when one was refused."""
    origin = begin_origin(look.table.digest, order.write_key, order.url)
    with Progress(order.find_progress_file(), origin) as progress:
        if order.is_again:
            progress.start_over()
        if _may_go_on(progress, order.file, look.table.first_row, as_json=as_json):
            is_table = look.plan is not None
            rejects = RejectsFile(
                order.find_rejects_file(is_table=is_table),
                look.table.columns if is_table else None,
                keep_bytes=progress.position.rejects_bytes,
                separator=";" if look.table.is_semicolon_separated else ",",
            )
            try:
                refused = run(_send(look, order, progress, rejects, is_shown=not as_json))
            except KeyboardInterrupt:
                fail(f"interrupted; {_GO_ON}", EXIT_FAILED)
            _show_end(progress.position, refused, rejects.path, as_json=as_json)
        return EXIT_FAILED if progress.position.refused else 0


async def _send(
    look: Look, order: Order, progress: Progress, rejects: RejectsFile, *, is_shown: bool
) -> dict[str, Occurrence]:
    """What was refused, by code."""
    refused: dict[str, Occurrence] = {}
    rows = enumerate(look.rows, start=look.table.first_row)
    gc.freeze()  # what is loaded stays: looking at it again every few rows would cost a fifth of the time
    with rejects, progress_bar("Importing", look.table.row_count, is_shown=is_shown) as show:
        show(progress.position.rows, "Importing")
        try:
            async with _connect(order, progress, show) as client:
                async for position, refused_rows in send_rows(rows, look.builder, client, progress, rejects):
                    show(position.rows, "Importing")
                    for number, _, refusal in refused_rows:
                        refused.setdefault(refusal.code, Occurrence(refusal.sentence)).add(number)
        except (SendFailed, ImportFailed) as error:
            if not progress.position.rows:
                raise
            raise ImportFailed(f"{error}; {progress.position.rows:,} rows are done: {_GO_ON}") from None
    return refused


def _connect(order: Order, progress: Progress, show: ShowProgress) -> TrackingClient:
    def tell_wait(seconds: int, why: str) -> None:
        show(progress.position.rows, f"{why}; waiting {seconds} s")

    return TrackingClient(order.url, order.write_key, _PATIENCE_SECONDS, tell_wait)


def _may_go_on(progress: Progress, file: str, first_row: int, *, as_json: bool) -> bool:
    """Say what an earlier import means for this one. False when it is complete already."""
    earlier, position = progress.earlier, progress.position
    if earlier is None:
        return True
    when = describe_when(earlier.began_at)
    if not progress.is_same_content:
        raise ImportFailed(
            f"{file} has changed since it was imported ({when}, {position.rows:,} rows): its rows would be sent twice. "
            "Import the new rows as a file of their own, or everything once more with --again"
        )
    if position.is_complete:
        if as_json:
            print_json({"event": "complete_already", **_describe(position)})
        else:
            out.print(f"{file} was imported completely on {when}: {describe_position(position)}.")
            out.print("Nothing was sent. To send every row once more: --again")
        return False
    if not as_json:
        err.print(f"Going on with row {position.rows + first_row:,}; the import began on {when}.")
    return True


def _describe(position: Position) -> dict[str, object]:
    return {
        "rows": position.rows,
        "accepted": position.accepted,
        "duplicates": position.duplicates,
        "refused": position.refused,
    }


def _show_end(position: Position, refused: dict[str, Occurrence], rejects: Path, *, as_json: bool) -> None:
    rejects_path = str(rejects) if position.refused else None
    if as_json:
        counts = {code: each.count for code, each in refused.items()}
        print_json({"event": "imported", **_describe(position), "reasons": counts, "rejects": rejects_path})
        return
    out.print(f"[bold]{count_rows(position.rows)}:[/bold] {describe_position(position)}.")
    if refused:
        out.print(build_refused_report(refused))
    if rejects_path:
        next_step = f"\nNext: mend the rows in {rejects_path} and import that file, with the same options."
        out.print(next_step, soft_wrap=True, markup=False)
    else:
        out.print("Next: `signalpost status` tells what became of them at Meta.")
