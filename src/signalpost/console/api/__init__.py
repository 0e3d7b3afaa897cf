"""The control API: one file for each resource, each route with the role it asks for."""

from signalpost.console.api import calls, dead_letters, ledger

ROUTERS = (calls.router, dead_letters.router, ledger.router)
