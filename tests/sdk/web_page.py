"""A page of a shop that uses @segment/analytics-next, on an origin of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.sdk.snippets import SDK

BUNDLES = SDK / "javascript/node_modules/@segment/analytics-next/dist/umd"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,">
%s</head><body>A shop</body></html>"""
SCRIPT = """<script type="importmap">{"imports": {"@segment/analytics-next": "/analytics-next.js"}}</script>
<script src="/umd/index.js"></script>
<script type="module">%s</script>"""
# What a bundler would do with the import in the snippet.
MODULE = "export const { AnalyticsBrowser } = window.AnalyticsNext;"


@contextmanager
def serving_page(script: str) -> Iterator[str]:
    """The address of a page with this module script, or this HTML, in its head, until the end of the block."""
    in_head = script if script.startswith("<") else SCRIPT % script

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = "text/javascript", MODULE.encode()
            if self.path == "/":
                kind, content = "text/html", (PAGE % in_head).encode()
            elif self.path.startswith("/umd/"):
                content = (BUNDLES / self.path.removeprefix("/umd/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
