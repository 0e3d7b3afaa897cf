"""What a call says about one destination in its `integrations` object."""

from collections.abc import Mapping, Sequence

JsonObject = Mapping[str, object]


def is_integration_enabled(integrations: JsonObject, names: Sequence[str]) -> bool:
    """False when the call excludes the destination that answers to these names.

    A named entry beats `All`; of several named entries one false is enough; an options object counts as true; anything
    else is ignored. Names are case exact, as Segment's are.
    """
    named = [value for name in names if isinstance(value := integrations.get(name), (bool, dict))]
    if named:
        return False not in named
    return integrations.get("All") is not False


def find_integration_option(integrations: JsonObject | None, names: Sequence[str], option: str) -> object:
    """The value of one per-event option, under the first of the destination's names that has it; None when absent."""
    if integrations is None:
        return None
    for name in names:
        options = integrations.get(name)
        if isinstance(options, dict) and options.get(option) is not None:
            return options[option]
    return None
