"""Billing: what the payment provider tells us, and what a customer sees of it.

The webhook is believed only with the provider's signature over the exact bytes and a
recent time, and acts on each event once, however often it is delivered.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from upstream import queries
from upstream.answers import decode, private_json
from upstream.context import HUB
from upstream.errors import ApiError, forbidden, not_found
from upstream.handlers import audit
from upstream.identity import require_identity

SIGNATURE_TOLERANCE = 300.0
"""Seconds that a webhook's signature stays valid, either way."""


class SubscriptionObject(msgspec.Struct, frozen=True):
    """The parts of a subscription that we keep; the provider sends many more."""

    customer: str
    status: Literal["trialing", "active", "past_due", "unpaid", "canceled"]
    current_period_end: Annotated[int, Meta(ge=0, le=2**33)] | None = None
    quantity: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    metadata: dict[str, str] = {}


class EventData(msgspec.Struct, frozen=True):
    """What an event is about; read only once its type is known."""

    object: msgspec.Raw


class StripeEvent(msgspec.Struct, frozen=True):
    """The envelope of every webhook."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: EventData


async def webhook(request: web.Request) -> web.Response:
    """Take an event of the provider; those that we have no use for are acknowledged."""
    body = await request.read()
    _check_signature(request, body)
    event = decode(body, StripeEvent)
    invalidates: list[str] = []
    async with request.app[HUB].pool.transaction() as connection:
        new = await connection.fetchval(queries.STRIPE_EVENT_SEEN.sql, event.id, event.type)
        if new is not None and event.type.startswith("customer.subscription."):
            wanted = decode(bytes(event.data.object), SubscriptionObject)
            ended = event.type == "customer.subscription.deleted"
            row = await connection.fetchrow(
                queries.SUBSCRIPTION_UPDATE.sql,
                wanted.customer,
                "canceled" if ended else wanted.status,
                _plan(wanted),
                wanted.quantity,
                _instant(wanted.current_period_end),
            )
            if row is None:
                raise not_found(f"no organization pays as customer {wanted.customer}")
            org_id = row["org_id"]
            await connection.execute(
                queries.ORGANIZATION_PLAN.sql, org_id, "free" if ended else row["plan"]
            )
            await audit.record_for(connection, org_id, None, "billing.updated", f"org:{org_id}")
            invalidates.append(f"org:{org_id}")
    return private_json({"received": True, "repeated": new is None}, invalidates=invalidates)


async def subscription(request: web.Request) -> web.Response:
    """Answer with what the caller's organization pays for."""
    identity = await require_identity(request)
    row = await request.app[HUB].pool.fetchrow(queries.SUBSCRIPTION_OF_ORG, identity.org_id)
    if row is None:
        raise not_found("your organization has no subscription")
    return private_json(dict(row))


async def portal(request: web.Request) -> web.Response:
    """Answer with the address where an owner changes the subscription.

    A stand-in: the provider's own page would be asked for here, with the customer's id.
    """
    identity = await require_identity(request)
    if not identity.may_administer:
        raise forbidden("only owners and admins see billing")
    async with request.app[HUB].pool.transaction() as connection:
        row = await connection.fetchrow(queries.SUBSCRIPTION_OF_ORG.sql, identity.org_id)
        if row is None:
            raise not_found("your organization has no subscription")
        await audit.record(connection, identity, "billing.portal", f"org:{identity.org_id}")
    return private_json({"url": "/dashboard/billing", "customerId": row["customerId"]})


def sign(secret: str, body: bytes, timestamp: int) -> str:
    """Return the value of Stripe-Signature for *body* sent at *timestamp*."""
    signed = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signed}"


def _check_signature(request: web.Request, body: bytes) -> None:
    hub = request.app[HUB]
    sent = request.headers.get("Stripe-Signature", "")
    parts = [part.partition("=")[::2] for part in sent.split(",")]
    stamp = next((value for name, value in parts if name == "t"), "")
    if stamp.isascii() and stamp.isdigit() and len(stamp) < 12:
        expected = sign(hub.stripe_secret, body, int(stamp)).rpartition("=")[2]
        genuine = any(
            name == "v1" and value.isascii() and hmac.compare_digest(value, expected)
            for name, value in parts
        )
        if genuine and abs(hub.clock() - int(stamp)) <= SIGNATURE_TOLERANCE:
            return
    raise ApiError(
        HTTPStatus.BAD_REQUEST,
        "bad_signature",
        "Stripe-Signature is missing, wrong or too old for this body",
        field="Stripe-Signature",
    )


def _plan(wanted: SubscriptionObject) -> str | None:
    plan = wanted.metadata.get("plan")
    return plan if plan in {"free", "team", "business", "enterprise"} else None


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
