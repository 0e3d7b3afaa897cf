"""Takes the pictures of docs/images from the running demo: .venv/bin/python scripts/take_screenshots.py.

Needs Chromium on the PATH. The demo takes its usual ports, or free ones, and is stopped afterwards.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
DEMO = (sys.executable, "-m", "signalpost", "demo")
DESKTOP = {"width": 1280, "height": 800}
SCALE = 2  # for screens with small pixels
TERMINAL_COLUMNS = 100

TERMINAL_THEME = TerminalTheme(
    background=(22, 25, 32),
    foreground=(224, 227, 234),
    normal=[
        (22, 25, 32),
        (255, 139, 139),
        (86, 211, 155),
        (240, 185, 90),
        (165, 171, 255),
        (214, 160, 255),
        (110, 200, 220),
        (224, 227, 234),
    ],
)
TERMINAL_PAGE = """<!doctype html>
<meta charset="utf-8">
<style>
  html, body {{ margin: 0; background: none; }}
  main {{ width: max-content; border-radius: 12px; background: {background}; color: {foreground}; }}
  header {{ display: flex; gap: 8px; padding: 14px 16px; }}
  header i {{ width: 11px; height: 11px; border-radius: 50%; background: #363d4a; }}
  pre {{ margin: 0; padding: 6px 28px 26px; font: 14px/1.5 "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
</style>
<main>
  <header><i></i><i></i><i></i></header>
  <pre>{code}</pre>
</main>
"""


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--disable-gpu", "--disable-background-networking"]
        )
        with running_demo() as demo:
            take_emulator(browser, demo["meta"], "emulator.png", "light")
            take_emulator(browser, demo["meta"], "emulator-dark.png", "dark")
        take_terminal(browser, "signalpost demo --once", run_demo_once(), "demo.png")
        browser.close()


@contextmanager
def running_demo() -> Iterator[dict[str, Any]]:
    """A demo whose sample calls have all arrived; gives its addresses."""
    with subprocess.Popen([*DEMO, "--json"], stdout=subprocess.PIPE, text=True) as process:
        try:
            told: dict[str, Any] = {}
            for line in process.stdout or ():
                told |= json.loads(line)
                if told.get("event") == "ready":
                    break
            if not told.get("complete"):
                sys.exit("The demo did not end as it should; `signalpost demo` tells why.")
            yield told
        finally:
            process.terminate()


def take_emulator(browser: Browser, url: str, name: str, scheme: Literal["light", "dark"]) -> None:
    page = browser.new_page(viewport=DESKTOP, device_scale_factor=SCALE, color_scheme=scheme, reduced_motion="reduce")
    page.goto(url)
    page.get_by_role("heading", name="Latest events").wait_for()
    save(page.screenshot(), name)
    page.close()


def run_demo_once() -> str:
    """Return what a terminal of TERMINAL_COLUMNS would receive, colours included."""
    terminal = {"COLUMNS": str(TERMINAL_COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    environment = {**os.environ, **terminal}
    return subprocess.run([*DEMO, "--once"], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def take_terminal(browser: Browser, command: str, output: str, name: str) -> None:
    """Save a picture of a terminal in which the command was just run."""
    console = Console(record=True, file=StringIO(), width=TERMINAL_COLUMNS)
    console.print(Text.assemble(("$ ", "dim"), command, "\n"))
    console.print(Text.from_ansi(output.rstrip()), soft_wrap=True)
    page = browser.new_page(viewport=DESKTOP, device_scale_factor=SCALE)
    page.set_content(console.export_html(theme=TERMINAL_THEME, code_format=TERMINAL_PAGE, inline_styles=True))
    save(page.locator("main").screenshot(omit_background=True), name)
    page.close()


def save(picture: bytes, name: str) -> None:
    (IMAGES / name).write_bytes(picture)
    print(f"docs/images/{name}  {len(picture) // 1000} kB")


if __name__ == "__main__":
    main()
