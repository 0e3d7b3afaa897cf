"""The documentation is true: generated pages match the code, links and paths exist, examples run."""

import importlib
import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

import signalpost
from scripts.generate_reference import build_pages
from signalpost.config.building import build_destinations, build_sources
from signalpost.config.sections import Config
from signalpost.ingest.decode import FaultCode
from signalpost.model.segment_event import CallCode

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", build_pages())
def test_generated_pages_match_the_code(name: str) -> None:
    """Every page of docs/reference is what `make reference` would write now."""
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == build_pages()[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a page exists."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    """Every test or source file that a page names is there."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b(?:tests|benchmarks|scripts|src)/[\w/]+\.\w+", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_walk_of_one_event_names_real_functions() -> None:
    """Each line of the walk names a module of the package and functions, methods or classes that it has."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    walk = re.findall(r"^ [|v] (\w+(?:/\w+)?\.py)\s+(\S.*)$", text, re.MULTILINE)
    assert len(walk) > 20
    for file, description in walk:
        module = importlib.import_module("signalpost." + file.removesuffix(".py").replace("/", "."))
        for name in re.findall(r"\b([\w.]+)\(\)", description.split("   ")[0]):
            found: object = module
            for part in name.split("."):
                found = getattr(found, part, None) or getattr(getattr(module, "Queue", None), part, None)
            assert found is not None, f"{file}: {name}"


def test_readme_commands_are_make_targets() -> None:
    """Every `make x` of the README is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)\b", README):
        assert re.search(rf"^{target}[ :]", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md", "docs/howto/store-sales.md"])
def test_configuration_examples_are_accepted(page: str, tmp_path: Path) -> None:
    """Every TOML example can be served as it stands."""
    (tmp_path / "token.txt").write_text("token")
    for block in re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        config = Config(**tomllib.loads(block))
        assert build_sources(config, build_destinations(config, tmp_path))


def test_the_readme_call_is_a_purchase() -> None:
    """The call of the README's curl maps to a Purchase without a refusal."""
    found = re.search(r"-d '(\{.*?\})'", README, re.DOTALL)
    assert found is not None
    request = signalpost.RequestContext(datetime.now(UTC), lambda: "m", call_type="track")
    event = signalpost.parse_call(json.loads(found.group(1)), request)
    assert isinstance(event, signalpost.SegmentEvent)
    destination = signalpost.build_destination("facebook-conversions-api", {"pixel_id": "1234567890"})
    (result,) = signalpost.map_event(event, destination)
    assert isinstance(result, signalpost.Mapped)
    assert result.server_event.event_name == "Purchase"


@pytest.mark.parametrize("page", ["README.md", "docs/try-a-mapping.md"])
def test_library_examples_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The examples of mapping from Python run as they stand, and print a Purchase."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(r"<!-- run by tests/docs -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    exec(compile(found.group(1), page, "exec"), {})
    assert json.loads(capsys.readouterr().out)["event_name"] == "Purchase"


def test_every_code_of_the_tracking_api_is_documented() -> None:
    """The page on the tracking API names each code that an answer can hold."""
    text = (ROOT / "docs/tracking-api.md").read_text(encoding="utf-8")
    codes = {*get_args(CallCode), *get_args(FaultCode)}
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_nothing_names_a_package_registry() -> None:
    """No file of the project names the host of a package registry."""
    hosts = ("pypi" + ".org", "npmjs" + ".org", "npmjs" + ".com", "pythonhosted" + ".org")
    pins = [*(ROOT / "requirements").iterdir(), *(ROOT / "tests/sdk/clients").iterdir()]
    listed = [*PAGES, ROOT / "pyproject.toml", ROOT / "Makefile", *pins]
    assert [file for file in listed if any(host in file.read_text(encoding="utf-8") for host in hosts)] == []


def test_every_promise_names_tests_that_exist() -> None:
    """Each file::function of the page on reliability is there, and every promise but the one of no order has one."""
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    missing = [(file, name) for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")]
    assert missing == []
    promises = re.findall(r"^\| (P\d+) .*$", text, re.MULTILINE)
    assert promises == [f"P{number}" for number in range(1, 11)]
    unproven = [line for line in text.splitlines() if re.match(r"\| P\d", line) and "::" not in line]
    assert [line.split()[1] for line in unproven] == ["P8"]
