"""Turns the fragments of changelog.d into a section of CHANGELOG.md: python scripts/assemble_changelog.py 0.2.0.

A fragment is changelog.d/<slug>.<type>.md, one or more sentences for users. Used fragments are deleted.
"""

import datetime as dt
import sys
from pathlib import Path

TYPES = ("added", "changed", "deprecated", "removed", "fixed", "security")
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1][:1].isdigit():
        sys.exit("Which version? make changelog VERSION=0.2.0")
    fragments = sorted((ROOT / "changelog.d").glob("*.md"))
    check_names(fragments)
    changelog = ROOT / "CHANGELOG.md"
    section = build_section(sys.argv[1], dt.datetime.now(dt.UTC).date(), fragments)
    head, marker, released = changelog.read_text(encoding="utf-8").partition("\n## [")
    changelog.write_text(f"{head.rstrip()}\n\n{section}{marker}{released}", encoding="utf-8")
    for fragment in fragments:
        fragment.unlink()


def check_names(fragments: list[Path]) -> None:
    """Stop before anything is written when a fragment has no known type, or there is none."""
    wrong = [fragment.name for fragment in fragments if fragment_type(fragment) not in TYPES]
    if wrong or not fragments:
        found = ", ".join(wrong) or "no fragments"
        sys.exit(f"changelog.d: {found}; wanted <slug>.<type>.md, type one of {', '.join(TYPES)}")


def fragment_type(fragment: Path) -> str:
    return fragment.stem.rpartition(".")[2]


def build_section(version: str, today: dt.date, fragments: list[Path]) -> str:
    lines = [f"## [{version}] - {today}"]
    for kind in TYPES:
        of_kind = [fragment for fragment in fragments if fragment_type(fragment) == kind]
        if of_kind:
            lines += ["", f"### {kind.capitalize()}", *(build_item(fragment) for fragment in of_kind)]
    return "\n".join(lines) + "\n"


def build_item(fragment: Path) -> str:
    return "- " + fragment.read_text(encoding="utf-8").strip().replace("\n", "\n  ")


if __name__ == "__main__":
    main()
