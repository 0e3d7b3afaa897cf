"""A local Meta: the events edge of the Graph API, with Meta's real errors, faults on request and a page to look at.

It shares no code with the gateway: its rules are a second, independent reading of Meta's documentation.
"""
