"""Billing: what the provider says changes the subscription, once, if it was the provider."""

import json
import time
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse

from tests.upstream.world import NEVER, Client, error_of
from upstream.handlers.stripe import sign


async def customer_of(sql: asyncpg.Connection, org_id: int) -> str:
    found = await sql.fetchval("SELECT customer_id FROM subscriptions WHERE org_id = $1", org_id)
    return str(found)


async def deliver(
    client: Client,
    event: dict[str, Any],
    *,
    age: int = 0,
    secret: str = "whsec_test",
    altered: bytes = b"",
) -> ClientResponse:
    body = json.dumps(event).encode()
    return await client.post(
        "/api/stripe/webhook",
        data=body + altered,
        headers={
            "Content-Type": "application/json",
            "Stripe-Signature": sign(secret, body, int(time.time()) - age),
        },
    )


def update(number: str, customer: str, **changes: Any) -> dict[str, Any]:
    subject = {"customer": customer, "status": "active", "object": "subscription", **changes}
    return {
        "id": f"evt_{number}",
        "type": "customer.subscription.updated",
        "data": {"object": subject},
    }


async def test_an_event_of_the_provider_changes_the_subscription(
    ada: Client, anyone: Client, sql: asyncpg.Connection
) -> None:
    customer = await customer_of(sql, 1)

    reply = await deliver(
        anyone,
        update("1", customer, status="past_due", quantity=7, metadata={"plan": "business"}),
    )

    assert (reply.status, await reply.json()) == (200, {"received": True, "repeated": False})
    assert reply.headers["Cache-Control"] == NEVER
    assert reply.headers["Cache-Group-Invalidation"] == '"org:1"'
    seen = await (await ada.get("/api/stripe/subscription")).json()
    assert (seen["status"], seen["seats"], seen["plan"]) == ("past_due", 7, "business")
    organization = await (await ada.get("/api/organizations/1")).json()
    assert organization["plan"] == "business"


async def test_an_event_that_comes_twice_acts_once(
    ada: Client, anyone: Client, sql: asyncpg.Connection
) -> None:
    customer = await customer_of(sql, 1)
    await deliver(anyone, update("twice", customer, quantity=11))
    await deliver(anyone, update("between", customer, quantity=22))

    reply = await deliver(anyone, update("twice", customer, quantity=11))

    assert (await reply.json())["repeated"] is True
    assert (await (await ada.get("/api/stripe/subscription")).json())["seats"] == 22


async def test_a_canceled_subscription_leaves_the_free_plan(
    alan: Client, anyone: Client, sql: asyncpg.Connection
) -> None:
    event = update("gone", await customer_of(sql, 3)) | {"type": "customer.subscription.deleted"}

    await deliver(anyone, event)

    assert (await (await alan.get("/api/stripe/subscription")).json())["status"] == "canceled"
    assert (await (await alan.get("/api/organizations/3")).json())["plan"] == "free"


async def test_an_event_that_failed_may_come_again(anyone: Client, sql: asyncpg.Connection) -> None:
    first = await deliver(anyone, update("again", "cus_nobody"))
    second = await deliver(anyone, update("again", await customer_of(sql, 2)))

    assert first.status == 404
    assert (await second.json())["repeated"] is False


@pytest.mark.parametrize(
    ("wrong", "id_"),
    [
        ({"secret": "other"}, "a"),
        ({"age": 400}, "b"),
        ({"age": -400}, "c"),
        ({"altered": b" "}, "d"),
    ],
    ids=["secret", "old", "future", "altered"],
)
async def test_an_event_that_the_provider_didnt_sign_just_now_is_refused(
    anyone: Client, sql: asyncpg.Connection, wrong: dict[str, Any], id_: str
) -> None:
    reply = await deliver(anyone, update(id_, await customer_of(sql, 1)), **wrong)

    assert reply.status == 400
    assert (await error_of(reply))["code"] == "bad_signature"


@pytest.mark.parametrize("signature", ["", "t=,v1=", "v1=é", "t=1", "t=٣,v1=x", "x"])
async def test_a_signature_of_another_shape_is_refused(anyone: Client, signature: str) -> None:
    reply = await anyone.post(
        "/api/stripe/webhook", data=b"{}", headers={"Stripe-Signature": signature}
    )

    assert reply.status == 400


async def test_an_event_that_means_nothing_to_us_is_acknowledged(anyone: Client) -> None:
    event = {"id": "evt_other", "type": "invoice.paid", "data": {"object": {"any": [1]}}}

    assert (await deliver(anyone, event)).status == 200


async def test_the_portal_is_for_owners_of_a_paying_organization(
    ada: Client, anyone: Client
) -> None:
    reply = await ada.post("/api/stripe/portal")

    assert (await reply.json())["url"] == "/dashboard/billing"
    assert (await anyone.post("/api/stripe/portal")).status == 401
    assert (await anyone.get("/api/stripe/subscription")).status == 401
