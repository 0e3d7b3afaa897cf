"""Fetches the console's scripts and fonts from npm at the versions named here, and writes the manifest.

`make assets`. A test compares the manifest's hashes with the files (tests/console/test_static_files.py).
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Package, version, file in the package, where it goes. The licence is read from the package.
CONSOLE = ROOT / "src/signalpost/console/static/vendor"
TESTS = ROOT / "tests/browser/vendor"
ASSETS = (
    ("htmx.org", "2.0.11", "dist/htmx.min.js", CONSOLE / "htmx.min.js"),
    ("uplot", "1.6.32", "dist/uPlot.iife.min.js", CONSOLE / "uplot.min.js"),
    ("uplot", "1.6.32", "dist/uPlot.min.css", CONSOLE / "uplot.min.css"),
    ("@fontsource-variable/inter", "5.3.0", "files/inter-latin-wght-normal.woff2", CONSOLE / "inter.woff2"),
    (
        "@fontsource-variable/jetbrains-mono",
        "5.3.0",
        "files/jetbrains-mono-latin-wght-normal.woff2",
        CONSOLE / "jetbrains-mono.woff2",
    ),
    ("axe-core", "4.14.1", "axe.min.js", TESTS / "axe.min.js"),
)


def fetch(package: str, version: str, folder: Path) -> Path:
    """The unpacked package."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    target = folder / packed.removesuffix(".tgz")
    with tarfile.open(folder / packed) as archive:
        archive.extractall(target, filter="data")
    return target / "package"


def main() -> None:
    """Fetch everything."""
    manifests: dict[Path, list[dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, version, file, target in ASSETS:
            source = fetch(package, version, Path(folder))
            content = (source / file).read_bytes()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            row = {
                "file": target.name,
                "package": package,
                "version": version,
                "license": json.loads((source / "package.json").read_text())["license"],
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            manifests.setdefault(target.parent, []).append(row)
    for folder_path, rows in manifests.items():
        (folder_path / "manifest.json").write_text(json.dumps(rows, indent=2) + "\n")
        for row in rows:
            print(f"{row['file']}: {row['package']} {row['version']} ({row['license']})")


if __name__ == "__main__":
    main()
