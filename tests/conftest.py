"""What all tests share: when one may be skipped, how Hypothesis runs, bytecode. Nothing here knows Signalpost.

A skip names the command that would let the test run. With CI=true a skip is a failure: there, nothing may be missing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
IN_CI = os.environ.get("CI") == "true"

# Where no bytecode may be written beside the source, the many processes of the tests keep theirs in one place, instead
# of compiling everything again each: that is half of a start.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")

if not IN_CI:  # there Hypothesis picks its own profile, which repeats
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_browser = [item for item in items if item.get_closest_marker("needs_chromium")]
    if in_browser and not can_drive_chromium():
        command = "sudo apt-get install chromium libatomic1"
        for item in in_browser:
            item.add_marker(pytest.mark.skip(reason=f"no Chromium here; to run this: {command}"))


def can_drive_chromium() -> bool:
    driver = [sys.executable, "-m", "playwright", "--version"]  # the driver needs a system library of its own
    return (
        shutil.which("chromium") is not None
        and subprocess.run(driver, capture_output=True, check=False).returncode == 0
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return forbid_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return forbid_skip((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.write_line(f"This order again: make test ARGS=--randomly-seed={config.option.randomly_seed}")


def forbid_skip(report: Report) -> Report:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"With CI=true nothing may be skipped: {report.longrepr}"
    return report
