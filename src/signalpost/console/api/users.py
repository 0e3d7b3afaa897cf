"""Who may sign in to the console, and the tokens of programs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from signalpost.console.access import Admin, ConfirmedAdmin
from signalpost.console.parts import Parts
from signalpost.store.api_tokens import ApiToken
from signalpost.store.users import Role, User

router = APIRouter(prefix="/api", tags=["users and tokens"])

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]


class UserView(BaseModel):
    """One user."""

    id: int
    name: str
    role: Role
    created_at: datetime
    signed_in_at: datetime | None


class NewUser(BaseModel):
    """A user to add. The password has at least 12 characters."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    password: SecretStr = Field(max_length=2_000)
    role: Role


class ChangedUser(BaseModel):
    """What to change about a user; what is null stays. A new password ends the user's sessions."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    password: SecretStr | None = Field(None, max_length=2_000)


class TokenView(BaseModel):
    """One API token, without its text."""

    id: int
    name: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class NewToken(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    role: Role
    expires_at: AwareDatetime | None = None


class MadeToken(TokenView):
    """A new token with its text, which is never shown again."""

    token: str


def _describe_user(user: User) -> UserView:
    return UserView(
        id=user.id, name=user.name, role=user.role, created_at=user.created_at, signed_in_at=user.signed_in_at
    )


def _describe_token(token: ApiToken) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        role=token.role,
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        used_at=token.used_at,
    )


@router.get("/users", summary="All users")
async def list_users(parts: Parts, _: Admin) -> list[UserView]:
    """By name."""
    return [_describe_user(user) for user in parts.people.list_users()]


@router.post("/users", status_code=201, summary="Add a user")
async def add_user(parts: Parts, caller: ConfirmedAdmin, user: NewUser) -> UserView:
    """The user can sign in at once."""
    password = user.password.get_secret_value()
    return _describe_user(await parts.people.add_user(user.name, password, user.role, caller.actor))


@router.patch("/users/{user_id}", summary="Change a user's role or password")
async def change_user(parts: Parts, caller: ConfirmedAdmin, user_id: Id, changed: ChangedUser) -> UserView:
    """The last admin stays one."""
    user = parts.people.find_user(user_id)
    if changed.role is not None and changed.role != user.role:
        await parts.people.set_role(user, changed.role, caller.actor)
    if changed.password is not None:
        await parts.people.set_password(user, changed.password.get_secret_value(), caller.actor)
    return _describe_user(parts.people.find_user(user_id))


@router.delete("/users/{user_id}", status_code=204, summary="Remove a user")
async def remove_user(parts: Parts, caller: ConfirmedAdmin, user_id: Id) -> None:
    """Signed out everywhere. The last admin stays."""
    await parts.people.remove_user(parts.people.find_user(user_id), caller.actor)


@router.delete("/users/{user_id}/sessions", status_code=204, summary="Sign a user out everywhere")
async def end_sessions(parts: Parts, caller: ConfirmedAdmin, user_id: Id) -> None:
    """The password stays."""
    await parts.people.sign_out_everywhere(parts.people.find_user(user_id), caller.actor)


@router.get("/tokens", summary="All API tokens")
async def list_tokens(parts: Parts, _: Admin) -> list[TokenView]:
    """Also expired ones; without their text."""
    return [_describe_token(token) for token in parts.people.list_tokens()]


@router.post("/tokens", status_code=201, summary="Make an API token")
async def add_token(parts: Parts, caller: ConfirmedAdmin, token: NewToken) -> MadeToken:
    """The text of the answer is shown this once."""
    made, text = await parts.people.add_token(token.name, token.role, token.expires_at, caller.actor)
    return MadeToken(**_describe_token(made).model_dump(), token=text)


@router.delete("/tokens/{token_id}", status_code=204, summary="Remove an API token")
async def remove_token(parts: Parts, caller: ConfirmedAdmin, token_id: Id) -> None:
    """Refused from now on."""
    await parts.people.remove_token(token_id, caller.actor)
