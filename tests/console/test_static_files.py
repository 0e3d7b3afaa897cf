"""Vendored files are what they were when they were reviewed, and a page is light."""

import hashlib
import json
from pathlib import Path

import pytest

from signalpost.console.static_files import STATIC_FOLDER

FOLDERS = [STATIC_FOLDER / "vendor", Path(__file__).parents[1] / "browser/vendor"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_vendored_files_match_their_manifest(folder: Path) -> None:
    """Each file has a row with package, version, licence and SHA-256, and nothing else lies there."""
    rows = json.loads((folder / "manifest.json").read_text())
    for row in rows:
        assert hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        assert all(row[key] for key in ("package", "version", "license"))
    assert {file.name for file in folder.iterdir()} == {"manifest.json", *(row["file"] for row in rows)}


def test_no_template_has_inline_script_or_style() -> None:
    """The content security policy forbids both, so neither would work; event data is never marked as safe."""
    for template in (STATIC_FOLDER.parent / "templates").glob("*.html"):
        text = template.read_text()
        assert "style=" not in text, template.name
        assert "|safe" not in text.replace(" ", ""), template.name
        assert "<style" not in text, template.name
        assert "onclick" not in text, template.name
        assert "<script>" not in text, template.name
