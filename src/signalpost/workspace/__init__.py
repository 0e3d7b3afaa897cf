"""The sources and destinations that people change while the gateway runs."""
