"""The progress file survives what it is for: a process that dies at any moment."""

import codecs
import csv
import stat

import pytest

from signalpost.file_import.progress import Position, Progress, begin_origin
from signalpost.file_import.rejects import RejectsFile
from signalpost.file_import.tables import ImportFailed, Refusal

KEY = "wk_test_0123456789abcdef"
HALF = Position(rows=1000, accepted=990, duplicates=3, refused=7, rejects_bytes=120)


def open_progress(tmp_path, digest="d1"):
    return Progress(tmp_path / "sales.csv.import", begin_origin(digest, KEY, "http://127.0.0.1:8080"))


def test_it_goes_on_where_it_was(tmp_path):
    """A second run reads the last position; nobody else can read the file, and the key is not in it."""
    with open_progress(tmp_path) as progress:
        progress.save(Position(rows=10))
        progress.save(HALF)
    with open_progress(tmp_path) as progress:
        assert progress.position == HALF
        assert progress.is_same_content
    file = tmp_path / "sales.csv.import"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY not in file.read_text()


@pytest.mark.parametrize("torn", [b"", b'{"rows":2000,"acc', b'{"rows":2000}'])
def test_a_torn_line_was_never_told(tmp_path, torn):
    """What has no end of line is passed over, and written over."""
    with open_progress(tmp_path) as progress:
        progress.save(HALF)
    file = tmp_path / "sales.csv.import"
    file.write_bytes(file.read_bytes() + torn)
    with open_progress(tmp_path) as progress:
        assert progress.position == HALF
        progress.save(Position(rows=3000))
    with open_progress(tmp_path) as progress:
        assert progress.position == Position(rows=3000)


def test_every_cut_of_the_file_is_a_position(tmp_path):
    """Wherever a crash cuts it, one of the saved positions comes back."""
    saved = [Position(rows=rows) for rows in (0, 1000, 2000)]
    with open_progress(tmp_path) as progress:
        for position in saved[1:]:
            progress.save(position)
    file = tmp_path / "sales.csv.import"
    whole = file.read_bytes()
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        with open_progress(tmp_path) as progress:
            assert progress.position in saved


def test_nothing_is_left_of_an_import_that_sent_nothing(tmp_path):
    """No file for nothing."""
    with open_progress(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_noticed(tmp_path):
    """Its rows would go out twice under other ids."""
    with open_progress(tmp_path) as progress:
        progress.save(HALF)
    with open_progress(tmp_path, "d2") as progress:
        assert not progress.is_same_content
        progress.start_over()
        assert progress.is_same_content
        assert progress.position == Position()


def test_one_import_at_a_time(tmp_path):
    """A second process is told, and the first goes on."""
    with open_progress(tmp_path) as progress:
        with pytest.raises(ImportFailed, match="being imported already"), open_progress(tmp_path):
            pass
        progress.save(HALF)


def test_a_file_that_is_none(tmp_path):
    """Somebody's file is not written over."""
    file = tmp_path / "sales.csv.import"
    file.write_text("shopping list\n")
    with pytest.raises(ImportFailed, match="is no progress file"), open_progress(tmp_path):
        pass
    assert file.read_text() == "shopping list\n"
    with pytest.raises(ImportFailed, match="cannot be written: Is a directory"):
        Progress(tmp_path, begin_origin("d", KEY, "u")).__enter__()


REFUSED = [(17, ("R-1", "a,b"), Refusal("missing_time", "This row has no time."))]


@pytest.mark.parametrize("separator", [",", ";"])
def test_rejects_can_be_imported_again(tmp_path, separator):
    """The row as it was, its number and the reason, as the spreadsheet had it; readable by the owner alone."""
    file = tmp_path / "sales.csv.rejected.csv"
    with RejectsFile(file, ("order", "email"), keep_bytes=0, separator=separator) as rejects:
        rejects.write([])
        assert not file.exists()
        rejects.write(REFUSED)
    assert file.read_bytes().startswith(codecs.BOM_UTF8)  # or Excel would spoil every accent
    assert list(csv.DictReader(file.read_text("utf-8-sig").splitlines(), delimiter=separator)) == [
        {
            "signalpost_row": "17",
            "signalpost_reason": "missing_time: This row has no time.",
            "order": "R-1",
            "email": "a,b",
        }
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_rejects_of_a_batch_that_was_not_noted_are_written_once(tmp_path):
    """A run that goes on cuts off what came after the last position."""
    file = tmp_path / "rejects.csv"
    with RejectsFile(file, ("order", "email"), keep_bytes=0) as rejects:
        rejects.write(REFUSED)
        noted = rejects.size
        rejects.write(REFUSED)
    with RejectsFile(file, ("order", "email"), keep_bytes=noted) as rejects:
        rejects.write(REFUSED)
    assert len(list(csv.DictReader(file.read_text().splitlines()))) == 2
