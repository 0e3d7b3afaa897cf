"""The identifiers, each its own type, so that a write key can't be passed where a dataset id is meant."""

from typing import NewType

WriteKey = NewType("WriteKey", str)
SourceId = NewType("SourceId", str)
DestinationId = NewType("DestinationId", str)
DatasetId = NewType("DatasetId", str)
MessageId = NewType("MessageId", str)
