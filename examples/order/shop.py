"""The shop's own tables, in the schema `shop`. No word about workflows: functions of a connection, as in any program.

What does (`reserve`, `charge`, `ship`) is called in the transaction that records its step, so it need not fear to be
repeated: a second insert would break a primary key. What undoes (`release`, `refund`) may be called again, or for
nothing.
"""

from __future__ import annotations

from typing import Any

import psycopg

from pgflow import Fatal

Connection = psycopg.Connection[Any]

# Two orders may come at the same moment, and `if not exists` does not wait for the other.
_TABLES = """
    select pg_advisory_xact_lock(hashtext('shop'));
    create schema if not exists shop;
    create table if not exists shop.stock (
        sku       text    primary key,
        cents     integer not null,                         -- the price of one
        available integer not null check (available >= 0));
    create table if not exists shop.reservation (
        number    bigint  primary key,                      -- the order's: the id of its run
        sku       text    not null references shop.stock,
        quantity  integer not null check (quantity > 0),
        released  boolean not null default false);
    create table if not exists shop.payment (
        number    bigint  primary key,
        cents     integer not null,
        refunded  boolean not null default false);
    create table if not exists shop.parcel (
        number    bigint  primary key,
        address   text    not null,
        tracking  text    not null);
    insert into shop.stock values ('tea', 450, 1000), ('teapot', 3900, 3) on conflict do nothing;
"""


class OutOfStock(Fatal):
    """There is not as much of it as was ordered."""


class CardDeclined(Fatal):
    """The bank says no, and would say so again."""


class NoCourier(Exception):
    """Nobody goes there just now; somebody may, a little later."""


def open_shop(db: Connection) -> None:
    """Make the tables, and put something on the shelves, unless that was done."""
    db.execute(_TABLES)


def reserve(db: Connection, number: int, sku: str, quantity: int) -> None:
    """Take goods off the shelf."""
    taken = db.execute(
        "update shop.stock set available = available - %(quantity)s where sku = %(sku)s and available >= %(quantity)s",
        {"sku": sku, "quantity": quantity},
    )
    if taken.rowcount == 0:
        raise OutOfStock(f"there are no {quantity} of {sku}")
    db.execute("insert into shop.reservation (number, sku, quantity) values (%s, %s, %s)", (number, sku, quantity))


def charge(db: Connection, number: int, card: str) -> int:
    """Take the money for what is reserved. Returns how many cents."""
    if card.replace(" ", "").endswith("0000"):
        raise CardDeclined("the bank declined the card")
    row = db.execute(
        """
        insert into shop.payment (number, cents)
        select r.number, r.quantity * s.cents from shop.reservation r join shop.stock s using (sku) where r.number = %s
        returning cents
        """,
        (number,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def ship(db: Connection, number: int, address: str) -> str:
    """Hand a parcel to a courier. Returns its tracking number."""
    if "moon" in address:
        raise NoCourier(f"no courier goes to {address}")
    tracking = f"PF{number:08}"
    db.execute("insert into shop.parcel (number, address, tracking) values (%s, %s, %s)", (number, address, tracking))
    return tracking


def release(db: Connection, number: int) -> None:
    """Put back what is reserved, if it is."""
    db.execute(
        """
        with given_back as (
            update shop.reservation set released = true where number = %s and not released returning sku, quantity)
        update shop.stock s set available = s.available + g.quantity from given_back g where s.sku = g.sku
        """,
        (number,),
    )


def refund(db: Connection, number: int) -> None:
    """Give the money back, if it was taken."""
    db.execute("update shop.payment set refunded = true where number = %s and not refunded", (number,))
