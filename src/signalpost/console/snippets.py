"""What to paste into a website, a server or a shell, with the real address and write key in it."""

import json
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to send a call. `name` is what the tab says; `where` tells where the code belongs."""

    id: str
    name: str
    where: str
    code: str


_CALL: Final = {
    "type": "track",
    "event": "Order Completed",
    "userId": "user-1",
    "properties": {"order_id": "1001", "revenue": 39.95, "currency": "USD"},
    "context": {"traits": {"email": "jane@example.com"}},
}

_CURL: Final = """\
curl {url}/v1/track \\
  -u {key}: \\
  -H 'Content-Type: application/json' \\
  -d '{call}'
"""

_BROWSER: Final = """\
npm install @segment/analytics-next

import {{ AnalyticsBrowser }} from '@segment/analytics-next'

const analytics = AnalyticsBrowser.load({{ writeKey: '{key}', cdnURL: '{url}' }})
analytics.track(
  'Order Completed',
  {{ order_id: '1001', revenue: 39.95, currency: 'USD' }},
  {{ context: {{ traits: {{ email: 'jane@example.com' }} }} }},
)
"""

_NODE: Final = """\
npm install @segment/analytics-node

import {{ Analytics }} from '@segment/analytics-node'

const analytics = new Analytics({{ writeKey: '{key}', host: '{url}' }})
analytics.track({{
  userId: 'user-1',
  event: 'Order Completed',
  properties: {{ order_id: '1001', revenue: 39.95, currency: 'USD' }},
  context: {{ traits: {{ email: 'jane@example.com' }} }},
}})
await analytics.closeAndFlush()
"""

_PYTHON: Final = """\
pip install segment-analytics-python

import segment.analytics as analytics

analytics.write_key = "{key}"
analytics.host = "{url}"
analytics.track(
    "user-1",
    "Order Completed",
    {{"order_id": "1001", "revenue": 39.95, "currency": "USD"}},
    context={{"traits": {{"email": "jane@example.com"}}}},
)
analytics.flush()
"""

_RUBY: Final = """\
gem install analytics-ruby

require 'segment/analytics'

analytics = Segment::Analytics.new(write_key: '{key}', host: '{host_name}', port: {port}, ssl: {ssl})
analytics.track(
  user_id: 'user-1',
  event: 'Order Completed',
  properties: {{ order_id: '1001', revenue: 39.95, currency: 'USD' }},
  context: {{ traits: {{ email: 'jane@example.com' }} }}
)
analytics.flush
"""

_ROWS: Final = (
    ("curl", "curl", "In any shell; the quickest way to see a call arrive.", _CURL),
    ("browser", "Browser", "In your website's bundle (Analytics.js 2).", _BROWSER),
    ("node", "Node.js", "On your server.", _NODE),
    ("python", "Python", "On your server.", _PYTHON),
    ("ruby", "Ruby", "On your server.", _RUBY),
)


def build_snippets(tracking_url: str, write_key: str) -> list[Snippet]:
    """Return a snippet for each kind of sender."""
    scheme, _, host = tracking_url.partition("://")
    host_name, _, port = host.partition(":")
    values = {
        "url": tracking_url,
        "host_name": host_name,
        "port": port or ("443" if scheme == "https" else "80"),
        "ssl": str(scheme == "https").lower(),
        "key": write_key,
        "call": json.dumps(_CALL, indent=2),
    }
    return [Snippet(row_id, name, where, code.format(**values)) for row_id, name, where, code in _ROWS]
