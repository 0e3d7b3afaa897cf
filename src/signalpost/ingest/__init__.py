"""HTTP in: the Segment-compatible tracking API."""
