"""The pages: one file for each, with a template of the same name. Each route asks for a role like those of the API."""

from signalpost.console.pages import (
    account,
    audit,
    dead_letters,
    debugger,
    delivery,
    destinations,
    discard,
    facebook,
    find,
    home,
    overview,
    sign_in,
    sources,
    tester,
    users,
    welcome,
)

PAGES = (
    home.router,
    overview.router,
    delivery.router,
    discard.router,
    dead_letters.router,
    sign_in.router,
    welcome.router,
    sources.router,
    destinations.router,
    debugger.router,
    find.router,
    tester.router,
    users.router,
    account.router,
    audit.router,
    facebook.router,
)
