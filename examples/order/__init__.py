"""An order as a saga: reserve, charge, ship; and undo what was done when that cannot be. See examples/README.md.

A plain function, so its context is a `SyncContext` and nothing is awaited. Each step is a transaction of the shop's own
tables, in the same database as the engine: its rows and the record of the step are one commit, so it happens once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from order import shop
from pgflow import App, RetryPolicy, SyncContext, step

app = App()


@dataclass(frozen=True, slots=True)
class Order:
    """What a customer asks for. A card that ends with 0000 is declined, and no courier goes to the moon."""

    sku: str
    quantity: int = 1
    card: str = "4111 1111 1111 1111"
    to: str = "Ann, 1 High Street"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the customer gets."""

    number: int
    cents: int
    tracking: str


@app.workflow(name="order")
def order(ctx: SyncContext, order: Order, packing: str = "10s") -> Receipt:
    """Fulfil an order.

    Args:
        ctx: the run; its id is the order's number.
        order: what is asked for.
        packing: how long it lies in the warehouse, where it can still be cancelled.
    """
    number = ctx.run_id
    ctx.tx(shop.open_shop)

    # Each compensation is registered before what it undoes, so there is no moment in which a cancellation would find
    # goods reserved and nothing said about them. It has to bear finding nothing to undo.
    ctx.compensate(release, number)
    ctx.tx(partial(shop.reserve, number=number, sku=order.sku, quantity=order.quantity))
    ctx.compensate(refund, number)
    cents = ctx.tx(partial(shop.charge, number=number, card=order.card))

    ctx.set_state({"stage": "packing", "cents": cents})
    ctx.sleep(packing)

    def ship(db: psycopg.Connection[Any]) -> str:
        tracking = shop.ship(db, number, order.to)
        # In the same commit, too: the customer is told if and only if there is a parcel.
        ctx.client.on(db).enqueue(tell, order.to, f"your order {number} is on its way: {tracking}")
        return tracking

    tracking: str = ctx.tx(step(ship, retry=RetryPolicy(3, base="100ms")))
    ctx.set_state({"stage": "shipped", "cents": cents, "tracking": tracking})
    return Receipt(number, cents, tracking)


def release(number: int) -> None:
    """Put reserved goods back."""
    with psycopg.connect(app.settings().require_url()) as db:
        shop.release(db, number)


def refund(number: int) -> None:
    """Give the money back."""
    with psycopg.connect(app.settings().require_url()) as db:
        shop.refund(db, number)


@app.task(name="order.tell", queue="mail")
def tell(whom: str, what: str) -> None:
    """Tell the customer; it is printed."""
    print(f"to {whom}: {what}", flush=True)
