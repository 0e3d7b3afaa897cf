"""From the queue to Meta: lease, batch, send, decide, settle."""
