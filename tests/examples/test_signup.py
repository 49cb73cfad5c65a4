"""The sign-up, with real executors."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from pgflow.errors import ArgumentError
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.examples.conftest import Workers

Tasks = dict[str, Task[..., Any]]
ANN = {"email": "ann@example.com", "name": "Ann"}


async def stage(client: AsyncClient, run: Any) -> str | None:
    """What the run last told of itself."""
    told = await client.state(run)
    return None if told is None else told["state"]["stage"]


async def keys(client: AsyncClient, run: Any) -> list[str]:
    """The steps that the run recorded, in order."""
    return [event["key"] for event in await client.history(run.id) if event["type"] == "step.completed"]


async def mails(client: AsyncClient) -> list[str]:
    """The texts that were sent, in order."""
    sent = await client.tasks(name="signup.mail", state="completed")
    return [(await client.show(task["id"]))["input"]["text"] for task in reversed(sent)]


async def test_who_confirms_is_welcomed(workers: Workers, client: AsyncClient, tasks: Tasks) -> None:
    from signup import Ending, User

    async with workers("signup"):
        run = await client.start(tasks["signup"], User(**ANN), rest="50ms", patience="1h")
        async with asyncio.timeout(60):
            while await stage(client, run) != "waiting for the confirmation":
                await asyncio.sleep(0.01)
        await client.signal(run, "confirmed", {"by": "Ann"})
        assert await client.result(run, timeout=20) is Ending.WELCOMED
    told = await client.state(run)
    assert told is not None
    assert told["state"]["stage"] == "welcomed"
    assert UUID(told["state"]["account"])
    assert await mails(client) == [
        "Hello Ann, good to have you here",
        "Is this address yours, Ann?",
        "Thank you, Ann: welcome",
    ]
    assert await keys(client, run) == ["create_account", "$signal:confirmed"]


async def test_who_does_not_confirm_expires(workers: Workers, client: AsyncClient, tasks: Tasks) -> None:
    from signup import Ending, User

    async with workers("signup"):
        run = await client.start(tasks["signup"], User(**ANN), rest="0s", patience="100ms")
        assert await client.result(run, timeout=20) is Ending.EXPIRED
    assert await stage(client, run) == "expired"
    assert len(await mails(client)) == 2
    assert await keys(client, run) == ["create_account", "$signal:confirmed", "close_account"]


async def test_a_confirmation_that_comes_early_is_kept(workers: Workers, client: AsyncClient, tasks: Tasks) -> None:
    from signup import Ending, User

    run = await client.start(tasks["signup"], User(**ANN), rest="0s", patience="1h")
    await client.signal(run, "confirmed", {"by": "Ann's mother"})
    async with workers("signup"):
        assert await client.result(run, timeout=20) is Ending.WELCOMED
    assert (await mails(client))[-1] == "Thank you, Ann's mother: welcome"


async def test_a_user_without_an_address_is_refused_at_the_door(client: AsyncClient, tasks: Tasks) -> None:
    with pytest.raises(ArgumentError, match="email"):
        await client.start(tasks["signup"], {"name": "Ann"})
    assert await client.tasks() == []
