"""Who is asking: a person with a session, or a machine with an API key.

The organization comes from the session or the key, never from anything a client may
write freely.  Whether an answer may be filed under that organization by a gateway is a
second question: only when the request carried a valid organization token for the same user
and organization do the gateway's key and our answer speak of the same thing.  Otherwise
somebody who belongs to two organizations could mix the cookies and plant one's rows
under the other's name.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg
from aiohttp import web

from upstream import passwords, queries
from upstream.context import HUB
from upstream.errors import login_required
from upstream.org_token import Claims

SESSION_COOKIE = "session_token"
ORG_COOKIE = "org_token"


class Proof(StrEnum):
    """What showed who is asking."""

    SESSION = "session"
    API_KEY = "api-key"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, acting in one organization."""

    user_id: int
    email: str
    name: str
    org_id: int
    org_name: str
    org_slug: str
    org_changed_at: datetime
    """When anything of the organization last changed, as of before what is read next."""
    role: str
    proof: Proof
    org_proven: bool
    """Whether the request's organization token says the same, so that a gateway may share
    what is answered within the organization."""

    @classmethod
    def of(cls, row: asyncpg.Record, proof: Proof, *, org_proven: bool) -> "Identity":
        """Return what one of the identity queries found."""
        return cls(
            user_id=row["user_id"],
            email=row["email"],
            name=row["name"],
            org_id=row["org_id"],
            org_name=row["org_name"],
            org_slug=row["org_slug"],
            org_changed_at=row["org_changed_at"],
            role=row["role"],
            proof=proof,
            org_proven=org_proven,
        )

    @property
    def user_proven(self) -> bool:
        """Whether a gateway may keep an answer for this user: the session is its own proof."""
        return self.proof is Proof.SESSION

    @property
    def may_write(self) -> bool:
        """Whether the role allows changes."""
        return self.role in {"owner", "admin", "member"}

    @property
    def may_administer(self) -> bool:
        """Whether the role allows changes to the organization itself."""
        return self.role in {"owner", "admin"}


async def identify(request: web.Request) -> Identity | None:
    """Return who is asking; None when nobody that we know."""
    hub = request.app[HUB]
    if authorization := request.headers.get("Authorization"):
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(passwords.API_KEY_PREFIX):
            return None
        query, token, proof = queries.IDENTITY_BY_API_KEY, key.strip(), Proof.API_KEY
    elif cookie := single_cookie(request, SESSION_COOKIE):
        query, token, proof = queries.IDENTITY_BY_SESSION, cookie, Proof.SESSION
    else:
        return None
    row = await hub.pool.fetchrow(query, passwords.hash_token(token))
    if row is None:
        return None
    claims = org_claims(request) if proof is Proof.SESSION else None
    agrees = (
        claims is not None and claims.user_id == row["user_id"] and claims.org_id == row["org_id"]
    )
    return Identity.of(row, proof, org_proven=agrees)


async def require_identity(request: web.Request) -> Identity:
    """Return who is asking, or raise the 401."""
    if (identity := await identify(request)) is None:
        raise login_required()
    return identity


def org_claims(request: web.Request) -> Claims | None:
    """Return what the organization token in the request says; None unless it is valid."""
    token = single_cookie(request, ORG_COOKIE)
    hub = request.app[HUB]
    return None if token is None else hub.signer.verify(token, now=hub.clock())


def single_cookie(request: web.Request, name: str) -> str | None:
    """Return the cookie called *name*; None when it is missing, or there more than once.

    Of two cookies with one name we might believe the first and a gateway the second.
    Quotes get no meaning either: a parser that knows them and one that doesn't would
    disagree about what `a="; org_token=..."` says.
    """
    pairs = (
        pair.partition("=")
        for field in request.headers.getall("Cookie", [])
        for pair in field.split(";")
    )
    values = [value.strip() for found, _, value in pairs if found.strip() == name]
    return values[0] if len(values) == 1 else None
