"""The control API: one file for each resource, each route with the role it asks for."""

from signalpost.console.api import (
    audit,
    calls,
    dead_letters,
    delivery,
    destinations,
    events,
    facebook,
    ledger,
    sources,
    users,
)

ROUTERS = (
    calls.router,
    dead_letters.router,
    delivery.router,
    events.router,
    ledger.router,
    sources.router,
    destinations.router,
    facebook.router,
    users.router,
    audit.router,
)
