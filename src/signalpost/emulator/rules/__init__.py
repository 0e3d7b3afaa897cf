"""What Meta checks about an event: one small check for each documented rule, run in the order of `catalogue.CHECKS`."""
