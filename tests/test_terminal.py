"""What commands print for people: Rich's own codes, and none that a text brings along."""

from rich.table import Table
from rich.text import Text

from signalpost.terminal import out

HOSTILE = "\x1b[2Jwiped\x9b31m\u202e"


def test_no_text_moves_the_cursor() -> None:
    """However a text gets there, as a string, in markup or in a table, the terminal shows it and does not obey."""
    table = Table("name")
    table.add_row(HOSTILE)
    with out.capture() as captured:
        out.print(HOSTILE)
        out.print(f"[red]{HOSTILE}[/red]\nnext line")
        out.print(Text(HOSTILE, "bold"), table)
    shown = captured.get()
    assert shown.count("�[2Jwiped�31m�") >= 3
    assert shown.count("�[2Jwiped") == 4
    assert not set(shown) & set("\x1b\x9b\u202e")
    assert "\nnext line\n" in shown
