"""Addresses of pages."""

from urllib.parse import quote


def path_of(section: str, name: str) -> str:
    """The page of one thing: its name, whatever characters it has, is one part of the path."""
    return f"/{section}/{quote(name, safe='')}"
