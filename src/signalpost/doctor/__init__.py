"""`signalpost doctor`: named checks of everything that delivery rests on, each with what to do when it is not well.

Nothing is changed, and Meta is only sent a request without events, which records nothing.
"""
