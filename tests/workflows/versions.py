"""A workflow in several versions of its code: each an app of its own, which registers the same name."""

from __future__ import annotations

from collections.abc import Callable

from pgflow import App, Context, RetryPolicy, SyncContext

CALLS: list[str] = []
"""What steps did, in this process; tests clear it."""
ONCE = RetryPolicy(1)


async def charge(amount: int) -> int:
    CALLS.append(f"charge {amount}")
    return amount


async def ship(amount: int) -> str:
    CALLS.append(f"ship {amount}")
    return f"shipped {amount}"


async def refund(amount: int) -> None:
    CALLS.append(f"refund {amount}")


async def weigh() -> int:
    CALLS.append("weigh")
    return 7


COMMON = App()


@COMMON.task(name="double")
async def double(number: int) -> int:
    CALLS.append(f"double {number}")
    return number * 2


@COMMON.task(name="never")
async def never() -> None: ...


def app(code: Callable[..., object], *, retry: RetryPolicy | None = None) -> App:
    """An app with this code as its version of the workflow `order`, and the tasks that all versions have."""
    made = App()
    made.tasks.update(COMMON.tasks)
    made.workflow(name="order", retry=retry)(code)
    return made


async def first(ctx: Context, amount: int) -> str:
    """Charge, wait to be told, ship."""
    paid = await ctx.step(charge, amount)
    await ctx.signal("go")
    return await ctx.step(ship, paid)


async def without_charge(ctx: Context, amount: int) -> str:
    """It stops asking for a step that is recorded."""
    await ctx.signal("go")
    await ctx.signal("approved")
    return await ctx.step(ship, amount)


async def weighed(ctx: Context, amount: int) -> str:
    """A step put in before a recorded one."""
    weight = await ctx.step(weigh)
    paid = await ctx.step(charge, amount)
    await ctx.signal("go")
    return f"{await ctx.step(ship, paid)}, {weight} kg"


async def weighed_and_used(ctx: Context, amount: int) -> str:
    """A step put in whose answer the code cannot do without."""
    weight = await ctx.step(weigh)
    paid = await ctx.step(charge, amount + weight.bit_length())
    await ctx.signal("go")
    return await ctx.step(ship, paid)


async def endless(ctx: Context, amount: int) -> str:
    """It tries something until it has an answer."""
    while not await ctx.step(weigh):
        pass
    return await first(ctx, amount)


async def napping(ctx: Context, amount: int) -> str:
    """It sleeps before a recorded step."""
    await ctx.sleep(60)
    return await first(ctx, amount)


async def versioned(ctx: Context, amount: int) -> str:
    """Changed on purpose: old runs go the old way."""
    if ctx.version("weigh first", 2) >= 2:
        await ctx.step(weigh)
    paid = await ctx.step(charge, amount)
    await ctx.signal("go")
    return await ctx.step(ship, paid)


async def renamed(ctx: Context, amount: int, currency: str) -> str:
    """It takes another input."""
    return await first(ctx, amount)


async def saga(ctx: Context, amount: int) -> str:
    """Charge with a refund registered, wait for a child that nobody runs and for a signal, ship."""
    paid = await ctx.step(charge, amount)
    ctx.compensate(refund, paid)
    await ctx.gather(ctx.run(never.options(delay="1h")), ctx.signal("go"))
    return await ctx.step(ship, paid)


async def failing(ctx: Context, amount: int) -> str:
    """Two steps, a child and a signal, then one that fails for good."""
    paid = await ctx.step(charge, amount)
    doubled = await ctx.run(double, paid)
    bonus = await ctx.signal("bonus")
    ctx.compensate(refund, paid)
    await ctx.step(broken_once)
    return await ctx.step(ship, doubled + bonus)


FAIL = [True]


async def broken_once() -> None:
    CALLS.append("broken_once")
    if FAIL[0]:
        raise ValueError("no such address")


async def gathered(ctx: Context, amount: int) -> str:
    """Things beside each other: a step, a child that takes for ever, a signal."""
    paid, *_ = await ctx.gather(ctx.step(charge, amount), ctx.run(never.options(delay="1h")), ctx.signal("go"))
    return await ctx.step(ship, paid)


def plain(ctx: SyncContext, amount: int) -> str:
    """A plain workflow: steps, children beside each other, a signal."""
    paid = ctx.step(charge_plainly, amount)
    doubled = sum(ctx.map(double, [1, 2]))
    ctx.gather(ctx.op.step(charge_plainly, amount), ctx.op.run(double, 3))
    ctx.signal("go")
    return ctx.step(str, paid + doubled)


def plain_without_charge(ctx: SyncContext, amount: int) -> str:
    """Plain, and it stops asking for a step that is recorded."""
    ctx.map(double, [1, 2])
    ctx.signal("go")
    return str(amount)


def charge_plainly(amount: int) -> int:
    CALLS.append(f"charge {amount}")
    return amount


async def outer(ctx: Context, amount: int) -> str:
    """It runs an order as its child."""
    return str(await ctx.run("order", amount))
