"""The image, the compose file and the systemd unit ask for the least they need, and name what there is."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from signalpost.config.sections import Config
from signalpost.terminal import EXIT_ALREADY_RUNNING, EXIT_NEWER_DATA, EXIT_USAGE

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
INSTRUCTIONS = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
GATEWAY: dict[str, Any] = COMPOSE["services"]["signalpost"]
UNIT_FILE = ROOT / "deploy/signalpost.service"
UNIT_TEXT = UNIT_FILE.read_text()


def read_unit(section: str) -> dict[str, str]:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT_TEXT)
    return dict(unit[section])


def list_instructions(name: str) -> list[str]:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


def is_setting(variable: str) -> bool:
    section, _, key = variable.removeprefix("SIGNALPOST_").lower().partition("__")
    field = Config.model_fields.get(section)
    return field is not None and key in getattr(field.annotation, "model_fields", {})


def test_the_base_is_slim_and_pinned_and_so_is_all_that_is_installed() -> None:
    """Both stages have one base by digest; packages come with hashes, or from the stage itself."""
    bases = {base.removesuffix(" AS build") for base in list_instructions("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases.pop())
    installs = [run for run in list_instructions("RUN") if '"install", "--' in run and "pip" in run]
    assert len(installs) == 3
    assert all('"--require-hashes"' in run or '"--no-index"' in run for run in installs)


def test_the_image_needs_no_root_and_no_shell() -> None:
    """A numbered user, every command in the form that no shell reads, and a health check of its own."""
    assert list_instructions("USER") == ["10001:10001"]
    commands = [*list_instructions("ENTRYPOINT"), *list_instructions("CMD"), *list_instructions("RUN")]
    assert all(command.startswith("[") for command in commands)
    (health,) = list_instructions("HEALTHCHECK")
    assert 'CMD ["python", "-c", ' in health
    assert "/healthz" in health


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """Else the build would stop."""
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = [copy.split()[:-1] for copy in list_instructions("COPY") if not copy.startswith("--from")]
    for name in [name for names in copied for name in names]:
        assert (ROOT / name).exists(), name
        assert name.split("/")[0] in kept


def test_compose_takes_every_right_away() -> None:
    """Only /data is written, no capability is left, and the console is for this machine."""
    assert GATEWAY["user"] == "10001:10001"
    assert (GATEWAY["read_only"], GATEWAY["cap_drop"]) == (True, ["ALL"])
    assert GATEWAY["security_opt"] == ["no-new-privileges:true"]  # and the default seccomp profile
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(GATEWAY)
    assert [volume for volume in GATEWAY["volumes"] if not volume.endswith(":ro")] == ["data:/data"]
    assert GATEWAY["ports"] == ["8080:8080", "127.0.0.1:8081:8081"]


def test_the_environment_names_settings_that_there_are() -> None:
    """Of the image, of compose and of the unit: an unknown one would stop the start."""
    text = " ".join([*list_instructions("ENV"), *GATEWAY["environment"], read_unit("Service")["Environment"]])
    named = set(re.findall(r"SIGNALPOST_\w+", text))
    assert len(named) >= 4
    assert [name for name in named if not is_setting(name) and name != "SIGNALPOST_MASTER_KEY_FILE"] == []


def test_the_unit_confines_the_process() -> None:
    """As a user of its own, with one folder to write to, and no new start where only a person can help."""
    service = read_unit("Service")
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert service[key] == "yes"
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"]) == ("strict", "")
    assert (service["UMask"], service["StateDirectoryMode"]) == ("0077", "0700")
    assert service["Environment"].startswith(f"SIGNALPOST_SERVER__DATA_DIR=/var/lib/{service['StateDirectory']} ")
    assert (service["User"], service["Restart"]) == ("signalpost", "always")
    assert {"MemoryMax", "RestartSec", "TimeoutStopSec"} <= set(service)
    hopeless = [str(code) for code in (EXIT_USAGE, EXIT_ALREADY_RUNNING, EXIT_NEWER_DATA)]
    assert service["RestartPreventExitStatus"].split() == hopeless


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Where systemd is: no unknown key, no wrong value. The program need not be installed for that."""
    systemd_analyze = shutil.which("systemd-analyze")
    if systemd_analyze is None:  # the test above reads the unit everywhere
        return
    unit = tmp_path / "signalpost.service"
    unit.write_text(re.sub(r"(?<=^ExecStart=)\S+", "/bin/sh", UNIT_TEXT, flags=re.MULTILINE))
    verified = subprocess.run(
        [systemd_analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in verified.stderr.splitlines() if "signalpost.service" in line]
    assert complaints == []
