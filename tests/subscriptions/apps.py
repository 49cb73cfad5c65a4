"""The tasks whose events are told."""

from __future__ import annotations

from pgflow import App, Context, Fatal

app = App()


@app.task(name="noop")
async def noop() -> None: ...


@app.task(name="add")
async def add(a: int, b: int) -> int:
    return a + b


@app.task(name="fatal")
async def fatal(text: str) -> None:
    raise Fatal(text)


@app.workflow(name="order")
async def order(ctx: Context, good: bool) -> None:
    await (ctx.run(noop) if good else ctx.run(fatal, "no stock"))
