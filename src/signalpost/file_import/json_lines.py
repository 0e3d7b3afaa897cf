"""JSON Lines: an object a line, its columns the paths of its values ("customer.email")."""

import io
from collections.abc import Iterator, Mapping

import msgspec

from signalpost.file_import.tables import ByteStream, ImportFailed, Input, Refusal, Values, read_lines

_decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder()
_MARK = b"\xef\xbb\xbf"
_MOST_COLUMNS = 500


class JsonLinesTable:
    """A JSON Lines file. Of standard input the columns are those of its first line."""

    is_semicolon_separated = False
    first_row = 1

    def __init__(self, source: Input) -> None:
        self.name = source.name
        self._source = source
        self.row_count: int | None = None
        self.digest = source.head_digest
        if source.head.removeprefix(_MARK).lstrip().startswith(b"["):
            raise ImportFailed(
                f"{self.name} is a JSON array; it must hold an object a line: jq -c '.[]' FILE | signalpost import - …"
            )
        columns: dict[str, None] = {}
        if source.path is None:
            first = source.head.removeprefix(_MARK).lstrip().partition(b"\n")[0]
            columns.update(dict.fromkeys(_flatten(_read_object(first) or {})))
        else:
            self.row_count = 0
            stream = ByteStream(source)
            for line in self._read_lines(stream):
                self.row_count += 1
                columns.update(dict.fromkeys(_flatten(_read_object(line) or {})))
                if len(columns) > _MOST_COLUMNS:
                    raise ImportFailed(f"{self.name}: the objects have more than {_MOST_COLUMNS} different keys")
            self.digest = stream.hexdigest()
            stream.close()
        if not columns:
            raise ImportFailed(f"{self.name}: there is no JSON object in it; it must hold one a line")
        self.columns = tuple(columns)

    def rows(self) -> Iterator[Values | Refusal]:
        """Each object's values in the order of the columns; None where it has none."""
        for line in self._read_lines(ByteStream(self._source)):
            if not line.strip():
                yield ()
                continue
            found = _read_object(line)
            if found is None:
                sentence = "This line is not a JSON object; look for a missing brace or quote."
                yield Refusal("not_an_object", sentence, (line.decode(errors="replace").rstrip(),))
            else:
                flat = _flatten(found)
                yield [flat.get(column) for column in self.columns]

    def _read_lines(self, stream: ByteStream) -> Iterator[bytes]:
        for number, line in enumerate(read_lines(io.BufferedReader(stream), self.name)):
            yield line.removeprefix(_MARK) if number == 0 else line


def _read_object(line: bytes) -> Mapping[str, object] | None:
    try:
        found = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _flatten(found: Mapping[str, object], prefix: str = "", depth: int = 0) -> dict[str, object]:
    """Values by dotted path; lists stay whole. Below the fourth level nothing is looked for."""
    flat: dict[str, object] = {}
    for key, value in found.items():
        if isinstance(value, dict) and depth < 4:
            flat.update(_flatten(value, f"{prefix}{key}.", depth + 1))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
