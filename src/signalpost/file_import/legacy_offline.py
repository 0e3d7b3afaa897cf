"""Files made for the Offline Conversions API that Meta ended in May 2025: entries with `match_keys` become calls.

Each line holds an entry, or an upload: {"upload_tag": ..., "data": [entries]}. Hashed match keys stay as they are.
Source: Meta, "Offline Conversions API" (Graph API v16.0), "Upload Event Data"; the new names: "Conversions API for
Offline Events".
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from signalpost.file_import.calls import (
    Call,
    build_context,
    build_message_id,
    build_person_id,
    check_age,
    check_purchase,
    name_value,
)
from signalpost.file_import.dates import DateReading
from signalpost.file_import.tables import MAX_LINE_BYTES, ByteStream, ImportFailed, Input, Refusal, Values, read_lines
from signalpost.mapping.action_source import PHYSICAL_STORE

_LARGEST_DOCUMENT = 64 << 20
_MARK = b"\xef\xbb\xbf"
_UPLOADED = "data"

SEGMENT_EVENTS: Mapping[str, str] = {
    "Search": "Products Searched",
    "ViewContent": "Product Viewed",
    "AddToWishlist": "Product Added to Wishlist",
    "AddToCart": "Product Added",
    "InitiateCheckout": "Checkout Started",
    "AddPaymentInfo": "Payment Info Entered",
    "Purchase": "Order Completed",
}
"""Meta's event -> the Segment event that the mapping turns back into it. Others keep their names."""

_TRAITS = {"email": "email", "phone": "phone", "gen": "gender", "fn": "firstName", "ln": "lastName"}
_ADDRESS = {"ct": "city", "st": "state", "zip": "postalCode", "country": "country"}
_SENT_BESIDE = ("currency", "order_id", "item_number")
_dates = DateReading()


class LegacyTable:
    """The entries of such a file, each a row with one cell."""

    is_semicolon_separated = False
    first_row = 1

    columns: tuple[str, ...] = ("entry",)

    def __init__(self, source: Input) -> None:
        self.name = source.name
        self._source = source
        self.row_count: int | None = None
        self.digest = source.head_digest
        if source.path is not None:
            stream = ByteStream(source)
            self.row_count = sum(1 for _ in self._read(stream))
            self.digest = stream.hexdigest()
            stream.close()
            if not self.row_count:
                raise ImportFailed(f"{self.name}: there is no entry with match_keys in it")

    def rows(self) -> Iterator[Values | Refusal]:
        """Each entry, decoded."""
        for entry in self._read(ByteStream(self._source)):
            if isinstance(entry, dict) and isinstance(entry.get("match_keys"), dict):
                yield (entry,)
            else:
                yield Refusal("no_match_keys", "This entry is no object with match_keys.", (entry,))

    def _read(self, stream: ByteStream) -> Iterator[object]:
        buffered = io.BufferedReader(stream, MAX_LINE_BYTES)
        if self._is_one_document():
            yield from _list_entries(self._decode(buffered.read(_LARGEST_DOCUMENT + 1), "the file"))
            return
        for number, line in enumerate(read_lines(buffered, self.name), start=1):
            if line.strip():
                yield from _list_entries(self._decode(line, f"line {number}"))

    def _is_one_document(self) -> bool:
        """An array, or an object that does not end on its first line."""
        text = self._source.head.removeprefix(_MARK).lstrip()
        if text.startswith(b"["):
            return True
        try:
            msgspec.json.decode(text.partition(b"\n")[0])
        except (msgspec.DecodeError, RecursionError):
            return True
        return False

    def _decode(self, text: bytes, what: str) -> object:
        if len(text) > _LARGEST_DOCUMENT:
            raise ImportFailed(f"{self.name} is one JSON document of over 64 MiB; write one entry a line instead")
        try:
            return msgspec.json.decode(text.removeprefix(_MARK))
        except (msgspec.DecodeError, RecursionError) as error:
            raise ImportFailed(f"{self.name}: {what} is not valid JSON: {error}") from None


def _list_entries(found: object) -> Sequence[object]:
    if isinstance(found, dict) and _UPLOADED in found:
        data = found[_UPLOADED]
        if isinstance(data, str):  # a form field: JSON inside JSON
            try:
                data = msgspec.json.decode(data)
            except (msgspec.DecodeError, RecursionError):
                return [data]
        return data if isinstance(data, list) else [data]
    return found if isinstance(found, list) else [found]


class LegacyCallBuilder:
    """Builds the calls of such a file."""

    def __init__(self, digest: str, now: datetime) -> None:
        self._digest = digest
        self._now = now

    def build(self, number: int, values: Values) -> Call | Refusal:
        """number: the entry's place in the file, from 1."""
        entry = values[0]
        keys = entry["match_keys"]  # type: ignore[index]
        name, given_time = entry.get("event_name"), entry.get("event_time")  # type: ignore[attr-defined]
        if not isinstance(name, str) or not name:
            return Refusal("missing_event", "This entry has no event_name.")
        happened_at = _dates.read(given_time)
        if happened_at is None:
            return Refusal("missing_time", "This entry has no event_time that can be read.")
        properties = _build_properties(entry)  # type: ignore[arg-type]
        event = SEGMENT_EVENTS.get(name, name)
        refusal = check_age(happened_at, PHYSICAL_STORE, self._now) or check_purchase(event, properties.get("value"))
        if refusal is not None:
            return refusal
        traits = _build_traits(keys)
        user_id, lead_id = _read_first(keys.get("extern_id")), _read_first(keys.get("lead_id"))
        if not traits and user_id is None and lead_id is None:
            return Refusal("no_match_key", "None of this entry's match_keys can be used any more.")
        name_value(event, properties)
        call: Call = {"type": "track", "messageId": build_message_id(self._digest, number), "event": event}
        call["timestamp"] = happened_at
        if user_id is None:
            call["anonymousId"] = build_person_id(traits, number, self._digest)
        else:
            call["userId"] = user_id
        return {**call, "properties": properties, "context": build_context(traits, lead_id)}


def _build_traits(keys: Mapping[str, object]) -> dict[str, object]:
    """A hashed birthday or advertiser id has no place any more: Meta wants the one whole, the other unhashed."""
    traits = {trait: keys[key] for key, trait in _TRAITS.items() if keys.get(key)}
    address = {trait: keys[key] for key, trait in _ADDRESS.items() if keys.get(key)}
    if address:
        traits["address"] = address
    parts = [str(_read_first(keys.get(key))) for key in ("doby", "dobm", "dobd")]
    if all(part.isdecimal() and len(part) <= 4 for part in parts):
        traits["birthday"] = f"{parts[0]:0>4}-{parts[1]:0>2}-{parts[2]:0>2}"
    return traits


def _build_properties(entry: Mapping[str, object]) -> dict[str, object]:
    custom = entry.get("custom_data")
    properties: dict[str, object] = dict(custom) if isinstance(custom, dict) else {}
    properties.update({key: entry[key] for key in _SENT_BESIDE if entry.get(key) is not None})
    if entry.get("value") is not None:
        properties["value"] = entry["value"]
    contents, ids = entry.get("contents"), entry.get("content_ids")
    if isinstance(contents, list):
        properties["products"] = [_build_product(item) for item in contents if isinstance(item, dict)]
    elif isinstance(ids, list):
        properties["products"] = [{"product_id": each} for each in ids]
    return properties


def _build_product(item: Mapping[str, object]) -> dict[str, object]:
    names = {"id": "product_id", "quantity": "quantity", "price": "price", "item_price": "price"}
    return {new: item[old] for old, new in names.items() if item.get(old) is not None}


def _read_first(given: object) -> object:
    first = next((each for each in given if each), None) if isinstance(given, list) else given
    return first or None
