"""The command line: what each command prints and how it exits, without starting a server."""

import importlib.metadata
import io
import json
import logging
import subprocess
import sys

import pytest
import structlog
from typer.testing import CliRunner

import signalpost
from signalpost import cli
from signalpost.commands.log_lines import configure_logging
from signalpost.config.sections import LogSection

runner = CliRunner()
CALL = json.dumps({"type": "track", "userId": "u1", "event": "Seen", "messageId": "m"})


def run(*arguments: str, given: str = ""):
    return runner.invoke(cli.app, list(arguments), input=given)


def run_main(monkeypatch, *arguments: str) -> int:
    """The exit code of the whole program."""
    monkeypatch.setattr(sys, "argv", ["signalpost", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_version():
    """--version prints the version of the package, and nothing else."""
    answer = run("--version")
    assert (answer.exit_code, answer.stdout) == (0, f"signalpost {importlib.metadata.version('signalpost')}\n")


def test_help_lists_the_commands():
    """Without arguments, and with --help, the commands are shown."""
    for arguments in ((), ("--help",)):
        answer = run(*arguments)
        for command in ("serve", "demo", "emulator", "map", "send"):
            assert command in answer.output


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("map",), ("send",), ("serve", "--port", "1"), ("emulator", "--profile", "loose")]
)
def test_wrong_usage(monkeypatch, arguments):
    """An unknown command or option, or a missing one, is exit code 2."""
    assert run_main(monkeypatch, *arguments) == 2


def test_map_reads_standard_input():
    """- and no file at all are standard input."""
    for file in ((), ("-",)):
        answer = run("map", *file, "--destination", "facebook-conversions-api", given=CALL)
        assert answer.exit_code == 0
        assert json.loads(answer.stdout)["message_id"] == "m"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serve", "--config", "nowhere.toml"), "nowhere.toml: there is no such file"),
        (("map", "--destination", "tiktok"), "--destination: must be one of"),
        (("map", "nowhere.jsonl", "--destination", "facebook-conversions-api"), "nowhere.jsonl: cannot be read"),
        (
            ("map", "--destination", "facebook-conversions-api", "--received-at", "soon"),
            "--received-at: soon is not an ISO 8601 date and time like 2026-01-31T12:00:00Z",
        ),
    ],
)
def test_a_message_and_no_traceback(monkeypatch, capsys, tmp_path, arguments, message):
    """What the user got wrong is one line on standard error, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, *arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("error: ")
    assert message in written.err
    assert written.err.count("\n") == 1


def test_brackets_in_a_message_are_not_markup(monkeypatch, capsys, tmp_path):
    """A path or setting with brackets is shown as it is."""
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, "serve", "--config", "[bold]x[0].toml") == 2
    assert "error: [bold]x[0].toml: there is no such file" in capsys.readouterr().err


# --- Logs ---


@pytest.fixture
def log(monkeypatch):
    """The log of a gateway, on a stream of the test's own."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logging.root, "handlers", [])
    configure_logging(LogSection(level="info"), as_json=True)
    yield stream
    structlog.reset_defaults()


def test_a_log_line(log):
    """A line is JSON with the fact, its level and its time; what is below the chosen level is not written."""
    logger = structlog.get_logger()
    logger.debug("unseen")
    logger.warning("retry_scheduled", events=3)
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["action"], line["level"], line["events"]) == ("retry_scheduled", "warning", 3)
    assert line["timestamp"].endswith("Z")


def test_secrets_in_a_log_line(log):
    """Tokens and addresses are masked in every text of a line; the text of an exception is not in it at all."""
    error = ValueError("Jo Bloggs, 12 Elm Street")
    detail = "access_token=EAAsecrettoken0123456789 of jo.bloggs@example.com"
    structlog.get_logger().error("delivery_failed", detail=detail, exc_info=error)
    assert "ValueError" in log.getvalue()
    assert "EAAsecret" not in log.getvalue()
    assert "loggs" not in log.getvalue()
    assert "Elm" not in log.getvalue()


def test_a_warning_of_a_library(log):
    """It is a line like the others; what may quote a call is left out: later lines, and the text of an exception."""
    message, error = "Task exception was never retrieved\nexception=ValueError('Jo Bloggs')", ValueError("Jo Bloggs")
    logging.getLogger("asyncio").error(message, exc_info=error)
    logging.getLogger("asyncio").info("unseen")
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["action"], line["library"], line["level"]) == ("library_message", "asyncio", "error")
    assert line["message"] == "Task exception was never retrieved"
    assert line["error"] == "ValueError"
    assert "Bloggs" not in log.getvalue()


def test_a_log_that_nobody_reads(log):
    """When standard error is gone its lines are lost, and whoever logs goes on."""
    log.close()
    structlog.get_logger().error("delivery_failed")


# --- The library ---


def test_the_library_exports_what_it_says():
    """__all__ is sorted as ruff sorts it and is exactly what the package makes public."""
    public = {name for name, value in vars(signalpost).items() if not name.startswith("_") and not _is_module(value)}
    assert set(signalpost.__all__) == public
    assert len(set(signalpost.__all__)) == len(signalpost.__all__)


def _is_module(value: object) -> bool:
    return type(value) is type(sys)


HEAVY = ("aiohttp", "apsw", "fastapi", "phonenumbers", "pycountry", "starlette", "structlog", "typer", "uvicorn")


def loaded_by(statement: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_library_is_cheap():
    """`import signalpost` loads no server, no client and no tables of countries and phone numbers."""
    assert loaded_by("import signalpost") == set()


def test_the_command_line_loads_what_a_command_needs():
    """`signalpost --help` and `signalpost map` wait for no server and no HTTP client."""
    assert loaded_by("import signalpost.cli, signalpost.map_lines") == {"structlog", "typer"}
