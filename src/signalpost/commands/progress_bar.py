"""A bar for commands that go through many rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from signalpost.terminal import err

ShowProgress = Callable[[int, str], None]
"""How much is done, and what is being done."""


@contextmanager
def progress_bar(what: str, total: int | None, *, is_shown: bool = True) -> Iterator[ShowProgress]:
    """A bar on standard error, in a terminal only; it is gone at the end. total: None when nobody knows."""
    text = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_off = not is_shown or not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=is_off) as progress:
        task = progress.add_task(what, total=total)

        def show(done: int, doing: str) -> None:
            if not is_off:
                progress.update(task, completed=done, description=doing)

        yield show
