"""All examples: they load together, what `make dev` starts exists, and the small ones do what they say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pgflow.backoff import NO_RETRY
from pgflow.errors import TaskFailed
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.examples.conftest import EXAMPLES, Workers


def test_the_demo_that_make_dev_starts_needs_no_arguments(tasks: dict[str, Task[..., Any]]) -> None:
    makefile = (EXAMPLES.parent / "Makefile").read_text("utf-8")
    ((folder, name),) = re.findall(r"pgflow dev (\S+) --demo (\S+)", makefile)
    assert folder == "examples"
    assert tasks[name].signature.decode_arguments({}) == ([], {})
    assert tasks[name].queue == "default"


def test_the_readme_names_every_example_and_every_task(tasks: dict[str, Task[..., Any]]) -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    folders = [path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [name for name in [*folders, *tasks] if f"`{name}" not in readme] == []


async def test_hello_greets_tries_its_luck_and_times_out(
    workers: Workers, client: AsyncClient, tasks: dict[str, Task[..., Any]]
) -> None:
    async with workers("hello"):
        greet = await client.enqueue(tasks["hello.greet"])
        lucky = await client.enqueue(tasks["hello.flaky"], chance=0)
        nap = await client.enqueue(tasks["hello.slow"].options(timeout="50ms", retry=NO_RETRY))
        assert await client.result(greet, timeout=20) == "Hello, world!"
        assert await client.result(lucky, timeout=20) == "attempt 1 made it"
        with pytest.raises(TaskFailed, match="TimedOut"):
            await client.result(nap, timeout=20)
