"""Style sheets, scripts, icons and fonts. Addresses carry the version (but for fonts), so that browsers keep them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC_FOLDER: Final = Path(__file__).with_name("static")
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


class _KeptFiles(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        is_kept = b"v=" in scope["query_string"] or path.endswith(".woff2")
        response.headers["Cache-Control"] = _FOR_GOOD if is_kept else "no-cache"
        return response


def build_static_files() -> StaticFiles:
    """The app under /static."""
    return _KeptFiles(directory=STATIC_FOLDER)


@cache
def static_url(name: str) -> str:
    """The address of a file, which changes with what is in it."""
    digest = hashlib.sha256((STATIC_FOLDER / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:10]}"
