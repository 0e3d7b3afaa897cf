"""A Segment call and a destination's settings in, server events out. Pure: no I/O, clock, randomness or log."""
