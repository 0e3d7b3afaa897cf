"""The control API: one file for each resource, each route with the role it asks for."""

from signalpost.console.api import calls, ledger

ROUTERS = (calls.router, ledger.router)
