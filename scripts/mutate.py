"""Changes the mapping in small ways, one at a time, and tells which changes no test notices. `make mutate`.

    python -m scripts.mutate [--count 400] [--seed N] [--jobs N] [FILE ...]

Each mutant (scripts/mutants.py) lives in a fork of one warm process: everything is imported and every case has been run
once, so that a fork only imports the package again, with the changed module in it, and calls the tests of CHECKS as
plain functions until one fails. Mutants that cannot change a result, or should not be tested, are listed with their
reasons in scripts/mutation_survivors.toml and are never drawn.
Exit codes: 0 enough were killed, 1 too few, 2 the tests fail on the code as it stands.
"""

import argparse
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import random
import signal
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest

from scripts.mutants import Mutant, list_mutants

ROOT = Path(__file__).parents[1]
MAPPING = ROOT / "src/signalpost/mapping"
LISTED = ROOT / "scripts/mutation_survivors.toml"

CHECKS = {
    "golden cases": ["test_golden:test_golden_case"],
    "feature rows": ["test_rows"],
    "vectors": ["test_match_keys:test_vector"],
    "gaps": ["test_gaps"],
    "other examples": [
        "test_match_keys",
        "test_user_data",
        "test_click_ids",
        "test_normalize",
        "test_places",
        "test_phone_numbers",
        "test_numbering_plans:test_some",
        "test_numbering_plans:test_what",
    ],
}
"""What notices a mutant -> files of tests/mapping, or one test of a file; the first to fail ends the run."""

ENOUGH = 0.9
_UNDER_TEST = ("signalpost", "tests.mapping.", "scripts.rewrite_golden")
_CPU_SECONDS = 10  # all checks together take less than one
_FIRST_EXIT_CODE = 10  # of a mutant killed by the first of CHECKS


class Verdict(NamedTuple):
    """How a mutant ended. killed_by: a key of CHECKS, "timeout", or None for a survivor."""

    mutant: Mutant
    killed_by: str | None


def list_checks(module: ModuleType, prefix: str) -> Iterator[Callable[[], None]]:
    """The tests of a module with each of their parameters, ready to call; those that need a fixture are left out."""
    for name, test in vars(module).items():
        if not name.startswith(prefix) or getattr(test, "__module__", None) != module.__name__:
            continue
        marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
        for cases in product(*(_read_cases(*mark.args) for mark in marks)):
            arguments = {name: value for case in cases for name, value in case.items()}
            if not hasattr(test, "hypothesis") and arguments.keys() == inspect.signature(test).parameters.keys():
                yield partial(test, **arguments)


def _read_cases(names: str | Sequence[str], values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    for value in values:
        if isinstance(value, type(pytest.param())):
            row: Sequence[Any] = value.values
        else:
            row = value if len(names) > 1 else [value]
        yield dict(zip(names, row, strict=True))


def find_first_to_fail() -> str | None:
    """Import the checks and call them; the key of the first that fails, whatever is raised."""
    for name, places in CHECKS.items():
        for place in places:
            file, _, prefix = place.partition(":")
            try:
                for check in list_checks(importlib.import_module(f"tests.mapping.{file}"), prefix or "test_"):
                    check()
            except Exception:  # noqa: BLE001 - any failure at all is what we are looking for
                return name
    return None


class _Snapshot(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The modules under test as they were when the run began, but for one; every fork imports them from here."""

    def __init__(self) -> None:
        self._specs: dict[str, importlib.machinery.ModuleSpec] = {}
        self._codes: dict[str, CodeType] = {}

    def take(self) -> None:
        """Note the code of what is imported, and forget the modules themselves."""
        for name in [name for name in sys.modules if name.startswith(_UNDER_TEST)]:
            spec = sys.modules[name].__spec__
            if spec is not None and isinstance(spec.loader, importlib.abc.InspectLoader):
                code = spec.loader.get_code(name)
                if code is not None:
                    self._specs[name], self._codes[name] = spec, code
                    del sys.modules[name]

    def find_name(self, file: Path) -> str:
        """The name of a module by its file. Raises ValueError when no check imports it."""
        for name, spec in self._specs.items():
            if spec.origin == str(file):
                return name
        raise ValueError(f"no check imports {file}")

    def change(self, mutant: Mutant) -> None:
        """Put a mutant in the place of its module."""
        self._codes[self.find_name(mutant.file)] = compile(mutant.text, mutant.file, "exec")

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:  # noqa: ARG002
        spec = self._specs.get(fullname)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=self, submodule_search_locations=folders
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self._codes[module.__name__], module.__dict__)  # noqa: S102 - as an import does


def run(mutants: Sequence[Mutant], jobs: int) -> Iterator[Verdict]:
    """Try mutants, several at a time; verdicts come as they are reached.

    Raises ValueError when the checks fail without a mutant, before the run or, because files have changed, after it.
    """
    failed = find_first_to_fail()
    if failed is not None:
        raise ValueError(f"not run: {failed} fail on the code as it stands")
    snapshot = _Snapshot()
    snapshot.take()
    for file in {mutant.file for mutant in mutants}:
        snapshot.find_name(file)
    sys.meta_path.insert(0, snapshot)
    gc.collect()
    gc.freeze()  # so that no fork copies the parent's memory by collecting it
    running: dict[int, Mutant | None] = {}
    for mutant in (*mutants, None):
        if len(running) == jobs:
            yield from _wait(running)
        running[_start(mutant, snapshot)] = mutant
    while running:
        yield from _wait(running)


def _start(mutant: Mutant | None, snapshot: _Snapshot) -> int:
    """Fork. The fork ends with an exit code that names what failed, or the timer ends it."""
    process = os.fork()
    if process:
        return process
    exit_code = _FIRST_EXIT_CODE
    try:
        signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
        if mutant is not None:
            snapshot.change(mutant)
        failed = find_first_to_fail()
        exit_code = 0 if failed is None else _FIRST_EXIT_CODE + list(CHECKS).index(failed)
    finally:
        os._exit(exit_code)


def _wait(running: dict[int, Mutant | None]) -> Iterator[Verdict]:
    process, status = os.wait()
    exit_code = os.waitstatus_to_exitcode(status)
    mutant = running.pop(process)
    if mutant is not None:
        killed_by = (
            None if exit_code == 0 else "timeout" if exit_code < 0 else list(CHECKS)[exit_code - _FIRST_EXIT_CODE]
        )
        yield Verdict(mutant, killed_by)
    elif exit_code:
        raise ValueError("the checks fail without a mutant now: files have changed during the run")


def _read_listed() -> list[dict[str, str]]:
    listed: list[dict[str, str]] = tomllib.loads(LISTED.read_text(encoding="utf-8"))["survivors"]
    return listed


def leave_out_listed(mutants: Iterable[Mutant]) -> list[Mutant]:
    """The mutants that are worth trying; entries of the list that mean none any more are named."""
    entries = [(entry, {name: entry[name] for name in entry if name != "reason"}) for entry in _read_listed()]
    used: set[int] = set()
    kept = []
    for mutant in mutants:
        facts = {
            "file": mutant.file.relative_to(MAPPING).as_posix(),
            "within": mutant.within,
            "kind": mutant.kind,
            "line": mutant.before,
            "becomes": mutant.after,
        }
        meant = {index for index, (_, said) in enumerate(entries) if said.items() <= facts.items()}
        used |= meant
        if not meant:
            kept.append(mutant)
    for index, (entry, _) in enumerate(entries):
        if index not in used:
            print(f"{LISTED.name} means no mutant any more: {entry}")
    return kept


def print_report(verdicts: Sequence[Verdict]) -> None:
    """Survivors first, then the numbers of each file."""
    for verdict in sorted(verdicts):
        if verdict.killed_by is None:
            mutant = verdict.mutant
            print(f"{mutant.file.relative_to(ROOT)}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}\n")
    print(f"{'':44} mutants  killed  timeout  survived")
    for file in sorted({verdict.mutant.file for verdict in verdicts}):
        ends = Counter(verdict.killed_by for verdict in verdicts if verdict.mutant.file == file)
        timeouts, survived, total = ends["timeout"], ends[None], ends.total()
        name = str(file.relative_to(MAPPING))
        print(f"{name:44} {total:7} {total - survived - timeouts:7} {timeouts:8} {survived:9}")
    ends = Counter(verdict.killed_by for verdict in verdicts if verdict.killed_by)
    killers = ", ".join(f"{killer} {count}" for killer, count in ends.most_common())
    print(f"\nkilled {ends.total()} of {len(verdicts)} ({ends.total() / len(verdicts):.1%}): {killers}")


def main() -> int:
    """Draw, run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="modules to change; all of mapping when none is named")
    parser.add_argument("--count", type=int, default=400, help="how many mutants are drawn; 0 for all")
    parser.add_argument("--seed", type=int, default=None, help="repeats a draw")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many run at a time")
    options = parser.parse_args()
    seed = random.randrange(10_000) if options.seed is None else options.seed  # noqa: S311 - a draw, not a secret
    try:
        mutants = leave_out_listed(mutant for file in sorted(MAPPING.rglob("*.py")) for mutant in list_mutants(file))
        if options.files:
            chosen = {file.resolve() for file in options.files}
            mutants = [mutant for mutant in mutants if mutant.file in chosen]
        drawn = random.Random(seed).sample(mutants, min(options.count or len(mutants), len(mutants)))  # noqa: S311
        print(f"{len(drawn)} of {len(mutants)} mutants, --seed {seed}", flush=True)
        verdicts = []
        for verdict in run(drawn, options.jobs):
            verdicts.append(verdict)
            if sys.stderr.isatty():
                print(f"\r{len(verdicts)}", end="\r", file=sys.stderr)
    except ValueError as error:
        print(error)
        return 2
    print_report(verdicts)
    return 0 if sum(verdict.killed_by is not None for verdict in verdicts) >= ENOUGH * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
