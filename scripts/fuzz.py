"""Fuzz the parser, the validator and the mapping with atheris, which looks for bodies that reach new code.

Runs until it is stopped or finds something: `make fuzz`, or `make fuzz ARGS=-max_total_time=7200` before a release.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["signalpost.ingest", "signalpost.model", "signalpost.mapping"]):
    from tests.ingest.fuzzing import SEEDS, Feeder

_ENCODINGS = ("", "gzip")


def main() -> None:
    """The first byte of what atheris makes says what path and encoding the rest has."""
    with tempfile.TemporaryDirectory() as folder, Feeder() as feeder:
        for number, seed in enumerate(SEEDS):
            for kind in range(4):
                (Path(folder) / f"{number}-{kind}").write_bytes(bytes([kind]) + seed)

        def feed(data: bytes) -> None:
            kind = data[0] if data else 0
            feeder.feed(data[1:], _ENCODINGS[kind >> 1 & 1], is_batch=bool(kind & 1))

        atheris.Setup([sys.argv[0], "-max_len=20000", *sys.argv[1:], folder], feed)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
