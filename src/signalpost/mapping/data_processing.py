"""Limited Data Use: Meta's data processing options, for people in US states with privacy laws."""

from typing import NamedTuple

from signalpost.mapping.findings import Findings


class DataProcessing(NamedTuple):
    """The three request keys; None is not sent."""

    options: list[str] | None = None
    country: int | None = None
    state: int | None = None


NOT_SENT = DataProcessing()
LET_META_LOCATE = DataProcessing(["LDU"], 0, 0)
NO_OPTIONS = DataProcessing([])


def build_data_processing(given: object, default: DataProcessing, findings: Findings) -> DataProcessing:
    """The call's own triple `[options, country, state]` as it stands, or the default when absent or malformed.

    Source: Meta, "Data Processing Options for US Users"; Segment, "Limited Data Use" and "Limited Data Use per event".
    """
    if given is None:
        return default
    match given:
        case [[] | ["LDU"] as options, int() as country, int() as state] if not (
            isinstance(country, bool) or isinstance(state, bool)
        ):
            return DataProcessing(list(options), country, state)
        case _:
            findings.warn("invalid_data_processing_options")
            return default
