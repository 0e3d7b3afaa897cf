"""The durable queue between accepting a call and delivering its events."""
