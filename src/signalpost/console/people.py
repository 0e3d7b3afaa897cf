"""Users and API tokens, each change with its audit row; what the pages, the control API and the command line share."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import apsw

from signalpost.console.passwords import Passwords, check_password
from signalpost.store import api_tokens, sessions, users
from signalpost.store.api_tokens import ApiToken
from signalpost.store.audit import Actor, record_change
from signalpost.store.database import SettingsStore
from signalpost.store.users import Role, User
from signalpost.workspace.changes import ChangeRefused

_NAME_CHARACTERS: Final = 64


class People:
    """Who may use the console and its API."""

    def __init__(self, store: SettingsStore, passwords: Passwords, now: Callable[[], datetime]) -> None:
        self._store = store
        self._passwords = passwords
        self._now = now

    @property
    def is_empty(self) -> bool:
        """Whether nobody may sign in yet."""
        return self._store.read(users.count_users) == 0

    def list_users(self) -> list[User]:
        """Everybody, by name."""
        return self._store.read(users.list_users)

    def list_tokens(self) -> list[ApiToken]:
        """Every API token, without its text."""
        return self._store.read(api_tokens.list_tokens)

    async def find_by_password(self, name: str, password: str) -> User | None:
        """The user whose name and password these are; an unknown name takes as long as a wrong password."""
        found = self._store.read(lambda connection: users.find_user_and_hash(connection, name))
        stored = found[1] if found else None
        return found[0] if await self._passwords.matches(password, stored) and found else None

    async def add_user(self, name: str, password: str, role: Role, actor: Actor) -> User:
        """Add a user. Raises ChangeRefused."""
        name = check_user_name(name)
        password_hash = await self._hash(password, name)
        now = self._now()

        def add(connection: apsw.Connection) -> User:
            if users.find_user_and_hash(connection, name):
                raise ChangeRefused("name_taken", f'There is already a user named "{name}".', {"name": "is taken"})
            record_change(connection, actor, "user.added", name, now=now, after={"role": role})
            return users.add_user(connection, name, password_hash, role, now)

        return await self._store.write(add)

    async def set_password(self, user: User, password: str, actor: Actor) -> None:
        """Give a user another password, and end the sessions that the old one opened. Raises ChangeRefused."""
        password_hash = await self._hash(password, user.name)

        def change(connection: apsw.Connection) -> None:
            users.set_password(connection, user.id, password_hash)
            sessions.end_sessions(connection, user.id)
            record_change(connection, actor, "user.password_changed", user.name, now=self._now())

        await self._store.write(change)

    async def set_role(self, user: User, role: Role, actor: Actor) -> None:
        """Change what a user may do. Raises ChangeRefused when no admin would be left."""

        def change(connection: apsw.Connection) -> None:
            if role != "admin":
                _check_an_admin_is_left(connection, user)
            users.set_role(connection, user.id, role)
            before, after = {"role": user.role}, {"role": role}
            record_change(connection, actor, "user.changed", user.name, now=self._now(), before=before, after=after)

        await self._store.write(change)

    async def remove_user(self, user: User, actor: Actor) -> None:
        """Remove a user and end every session. Raises ChangeRefused when no admin would be left."""

        def remove(connection: apsw.Connection) -> None:
            _check_an_admin_is_left(connection, user)
            users.remove_user(connection, user.id)
            record_change(connection, actor, "user.removed", user.name, now=self._now(), before={"role": user.role})

        await self._store.write(remove)

    def find_user(self, user_id: int) -> User:
        """The user of this id. Raises ChangeRefused."""
        user = self._store.read(lambda connection: users.find_user(connection, user_id))
        if user is None:
            raise ChangeRefused("not_found", "There is no such user.")
        return user

    async def sign_in(self, user: User, address: str) -> str:
        """Return the id of a new session."""
        now = self._now()

        def start(connection: apsw.Connection) -> str:
            sessions.forget_ended_sessions(connection, now)
            users.mark_signed_in(connection, user.id, now)
            record_change(connection, Actor(user.name, address), "user.signed_in", user.name, now=now)
            return sessions.start_session(connection, user.id, now)

        return await self._store.write(start)

    async def confirm(self, session_id: str) -> None:
        """Remember that the password was given again."""
        await self._store.write(lambda connection: sessions.confirm_session(connection, session_id, self._now()))

    async def sign_out(self, session_id: str) -> None:
        """End one session."""
        await self._store.write(lambda connection: sessions.end_session(connection, session_id))

    async def sign_out_everywhere(self, user: User, actor: Actor) -> int:
        """End all sessions of a user; return how many there were."""

        def end(connection: apsw.Connection) -> int:
            record_change(connection, actor, "user.signed_out_everywhere", user.name, now=self._now())
            return sessions.end_sessions(connection, user.id)

        return await self._store.write(end)

    async def add_token(self, name: str, role: Role, expires_at: datetime | None, actor: Actor) -> tuple[ApiToken, str]:
        """Make an API token; its text is returned once. Raises ChangeRefused."""
        name = check_user_name(name)
        now = self._now()
        if expires_at is not None and expires_at <= now:
            raise ChangeRefused("invalid", "Choose a later day.", {"expires_at": "is in the past"})

        def add(connection: apsw.Connection) -> tuple[ApiToken, str]:
            record_change(connection, actor, "token.added", name, now=now, after={"role": role})
            return api_tokens.add_token(connection, name, role, actor.name, expires_at, now)

        return await self._store.write(add)

    async def remove_token(self, token_id: int, actor: Actor) -> None:
        """Refuse a token from now on. Raises ChangeRefused."""

        def remove(connection: apsw.Connection) -> None:
            token = api_tokens.remove_token(connection, token_id)
            if token is None:
                raise ChangeRefused("not_found", "There is no such token.")
            record_change(connection, actor, "token.removed", token.name, now=self._now(), before={"role": token.role})

        await self._store.write(remove)

    async def _hash(self, password: str, name: str) -> str:
        objection = check_password(password, name)
        if objection:
            raise ChangeRefused("invalid", f"The password {objection}.", {"password": objection})
        return await self._passwords.hash(password)


def check_user_name(name: str) -> str:
    """The name without spare spaces. Raises ChangeRefused."""
    name = " ".join(name.split())
    if not name or len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise ChangeRefused("invalid", "Choose a name.", {"name": f"must be 1 to {_NAME_CHARACTERS} characters"})
    return name


def _check_an_admin_is_left(connection: apsw.Connection, user: User) -> None:
    if users.is_last_admin(connection, user.id):
        raise ChangeRefused("in_use", f"{user.name} is the only admin; make another one first.")
