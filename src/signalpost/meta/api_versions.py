"""When each version of the Graph API ends. After that day Meta refuses it, or answers as a newer one would."""

from collections.abc import Mapping
from datetime import date
from typing import Final

API_VERSION_ENDS: Final[Mapping[str, date | None]] = {
    "v20.0": date(2026, 9, 24),
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
    "v26.0": None,
}
"""Version -> its last day; None: in force, and no end is announced. Source: Graph API changelog, table "Available Graph
API Versions", as of November 2026. The shorter calendar of the Marketing API does not bind the Conversions API."""

LATEST_API_VERSION: Final = "v26.0"
