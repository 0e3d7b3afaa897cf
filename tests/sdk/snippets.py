"""The snippets of docs/sdks, and how to run them: the code that people copy is the code that the tests run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs/sdks"
SDK = Path(sys.prefix) / "sdk"  # scripts/install-sdk-clients.sh puts the clients there

# As the snippets name them; a test puts its own in their place.
DOCUMENTED_URL = "http://127.0.0.1:8080"
DOCUMENTED_KEY = "wk_website_0123456789abcdef"


@dataclass(frozen=True)
class Snippet:
    """A runnable example of a page: its SDK, its language as the Markdown names it, and its code."""

    sdk: str
    language: str
    code: str

    def point_at(self, url: str, write_key: str) -> str:
        """The code with the address and the key replaced, and nothing else."""
        assert DOCUMENTED_URL in self.code
        assert DOCUMENTED_KEY in self.code
        return self.code.replace(DOCUMENTED_URL, url).replace(DOCUMENTED_KEY, write_key)


def read_snippets() -> Mapping[str, Snippet]:
    """SDK -> the snippet that its page says is run here."""
    found = re.compile(r"<!-- run by tests/sdk: (\S+) -->\n```(\w+)\n(.*?)```", re.DOTALL)
    snippets = [Snippet(*match) for page in sorted(DOCS.glob("*.md")) for match in found.findall(page.read_text())]
    return {snippet.sdk: snippet for snippet in snippets}


def run(snippet: Snippet, url: str, write_key: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a snippet as a program of its own, to its end, against the gateway at `url`."""
    suffix = {"python": "py", "javascript": "cjs"}[snippet.language]
    program = folder / f"program.{suffix}"
    program.write_text(snippet.point_at(url, write_key))
    environment = {"PATH": "/usr/bin:/bin", "NODE_PATH": str(SDK / "javascript/node_modules")}
    return subprocess.run(
        [find_interpreter(snippet), program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def find_interpreter(snippet: Snippet) -> str:
    """Segment's current Python client is in our own environment: the demo is made with it."""
    if snippet.language == "javascript":
        return shutil.which("node", path=SDK / "node/bin") or ""
    return sys.executable if snippet.sdk == "segment-analytics-python" else str(SDK / snippet.sdk / "bin/python")
