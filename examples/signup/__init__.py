"""Somebody signs up: an account, a mail, an hour's rest, a confirmation or none. See examples/README.md."""

from __future__ import annotations

from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel

import pgflow
from pgflow import App, Context, RetryPolicy

app = App()


class User(BaseModel):
    """Who signs up."""

    email: str
    name: str = "you"


class Confirmation(BaseModel):
    """The payload of the signal `confirmed`: what the link in the mail leads to sends it."""

    by: str


class Account(BaseModel):
    """What the account service answers."""

    id: UUID
    email: str


class Ending(StrEnum):
    """How a sign-up can end."""

    WELCOMED = "welcomed"
    EXPIRED = "expired"


@app.workflow(name="signup")
async def signup(ctx: Context, user: User, rest: str = "1h", patience: str = "3d") -> Ending:
    """Sign somebody up.

    Args:
        ctx: the run.
        user: who.
        rest: how long to wait after the first mail, before the one that asks for a confirmation.
        patience: how long to wait for the confirmation.
    """
    account = await ctx.step(create_account, user)
    ctx.set_state({"stage": "resting", "account": account.id})
    await ctx.run(mail, user.email, f"Hello {user.name}, good to have you here")
    await ctx.sleep(rest)

    await ctx.run(mail, user.email, f"Is this address yours, {user.name}?")
    ctx.set_state({"stage": "waiting for the confirmation", "account": account.id})
    confirmation = await ctx.signal("confirmed", Confirmation, timeout=patience)

    if confirmation is None:
        await ctx.step(close_account, account)
        ctx.set_state({"stage": Ending.EXPIRED, "account": account.id})
        return Ending.EXPIRED
    await ctx.run(mail, user.email, f"Thank you, {confirmation.by}: welcome")
    ctx.set_state({"stage": Ending.WELCOMED, "account": account.id})
    return Ending.WELCOMED


@app.step(retry=RetryPolicy(5, base="200ms"))
async def create_account(user: User) -> Account:
    """Have an account made.

    It stands for a call to another service. Such a call is repeated when a worker dies before its answer is recorded,
    so it hands over the step's key, which every repetition shares, and the service answers with the account that it has
    made for that key already.
    """
    return Account(id=uuid5(NAMESPACE_URL, pgflow.current().idempotency_key), email=user.email)


@app.step
async def close_account(account: Account) -> None:
    """Have an account closed that nobody confirmed. Closing it twice is as good as once."""


@app.task(name="signup.mail", queue="mail", retry=RetryPolicy(5, base="500ms", cap="1m"), timeout="30s")
async def mail(to: str, text: str) -> str:
    """Send a mail; it is printed instead. A child, so that it waits in its own queue and is retried by itself."""
    print(f"mail to {to}: {text}", flush=True)
    return pgflow.current().idempotency_key
