"""The body of `signalpost import`: a file of past conversions becomes Segment calls, each sent once.

`tables` reads rows, `guessing` and `plan` say what a column means, `calls` builds a call of a row, `sending` posts
batches and keeps `progress`. Nothing here maps: the gateway does that, as for every other call.
"""
