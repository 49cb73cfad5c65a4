from __future__ import annotations

import pytest

from tests.sdk.lint.snippets import IMPORTS, body, codes, module


@pytest.mark.parametrize(
    "head",
    [
        "@app.workflow\ndef flow(c):",
        "@app.workflow(queue='q')\nasync def flow(c, x):",
        "@anything.at.all.workflow\ndef flow(c):",
        "def flow(c: Context):",
        "def flow(x, c: SyncContext):",
        "def flow(*, c: 'Context'):",
        "async def flow(c: Context[int]):",
        "def flow(c: Context | None):",
        "import pgflow\ndef flow(c: pgflow.Context):",
        "from pgflow.sdk.context import Context as C\ndef flow(c: C):",
        "from typing import Annotated\ndef flow(c: Annotated[Context, 5]):",
    ],
)
def test_a_body_is_decorated_or_takes_a_context(head: str) -> None:
    assert codes(module(f"{head}\n    time.time()\n")) == ["PGF101"]


@pytest.mark.parametrize(
    "head",
    [
        "def flow(c):",
        "@app.task\ndef flow(c):",
        "import click\ndef flow(c: click.Context):",
        "from collections.abc import Callable\ndef flow(c: Callable[[Context], int]):",
        "def flow(c: list[Context]):",
        "class Flow:\n  workflow = 1\n  def flow(self):",
    ],
)
def test_all_other_functions_may_do_anything(head: str) -> None:
    assert module(f"{head}\n    time.time(); print(open('x'))\n") == []


def test_a_method_is_a_body_with_its_second_parameter() -> None:
    found = module("""
        class Flows:
            @app.workflow
            async def flow(self, c):
                c.sleep(5)
    """)
    assert codes(found) == ["PGF115"]


@pytest.mark.parametrize(
    "text",
    [
        "await ctx.step(effect)",
        "await ctx.tx(effect)",
        "await ctx.step('name', effect)",
        "await ctx.step(functools.partial(effect, 5))",
        "await ctx.map(effect, given)",
        "await ctx.run(effect)",
        "ctx.compensate(effect)",
        "ctx.on_cancel(effect)",
        "step = ctx.step\nawait step(effect)",
        "import pgflow\nawait ctx.step(pgflow.step(effect))",
    ],
)
@pytest.mark.parametrize("definition", ["def effect(*_): return time.time()", "effect = lambda *_: time.time()"])
def test_what_is_handed_to_a_step_may_do_anything(text: str, definition: str) -> None:
    assert "PGF101" not in codes(body(f"{definition}\n{text}"))
    assert "PGF101" in codes(body(f"{definition}\n{text}\neffect()")), "but not when it is called as well"


@pytest.mark.parametrize(
    "text",
    [
        "def inner(): time.time()\ninner()",
        "def inner(): time.time()",
        "def inner(): time.time()\nsorted(given, key=inner)",
        "sorted(given, key=lambda x: time.time())",
        "def outer():\n    def inner(): return time.time()\n    return inner()\nouter()",
        "async def branch(x):\n    await ctx.sleep(time.time())\nawait ctx.map(branch, given)",
        "@functools.cache\ndef inner(): return time.time()\ninner()",
        "def inner(x=time.time()): return x\nawait ctx.step(inner)",
        "await ctx.step(given(lambda: time.time()))",
    ],
)
def test_other_functions_inside_a_body_belong_to_it(text: str) -> None:
    assert "PGF101" in codes(body(text))


def test_a_nested_step_may_do_anything() -> None:
    assert body("@app.step\ndef inner(): return time.time()\nawait ctx.step(inner)\n") == []


def test_annotations_do_nothing() -> None:
    assert body("x: time.time() = 5\ndef inner(x: time.time()) -> time.time(): ...\ninner(1)") == []


def test_helpers_are_followed_and_name_the_workflow_that_leads_there() -> None:
    found = module("""
        def deep():
            return time.time()

        def helper():
            return deep() + helper()

        def unused():
            time.time()

        def effect():
            time.time()

        @app.task
        def task():
            time.time()

        @app.workflow
        def first(ctx):
            ctx.step(effect)
            task()
            return helper()

        @app.workflow
        def second(ctx):
            return deep()
    """)
    assert [finding.message for finding in found] == [
        "`time.time()` is another time at every replay (called from workflow second)"
    ]


def test_a_helper_is_told_at_its_own_line() -> None:
    found = module("""
        def helper():
            return time.time()
        @app.workflow
        def flow(ctx):
            return helper()
    """)
    assert [(finding.line - IMPORTS.count("\n"), finding.column) for finding in found] == [(3, 12)]
    assert found[0].message.endswith("(called from workflow flow)")


def test_a_helper_that_is_given_the_context_knows_it() -> None:
    found = module("""
        async def helper(x, c, *, d):
            c.sleep(5)
            await d.sleep(5)
            await fetch(x)

        @app.workflow
        async def flow(ctx):
            await helper(1, ctx, d=ctx)
    """)
    assert codes(found) == ["PGF115", "PGF116"]


def test_a_call_through_a_closure_is_one_of_the_context() -> None:
    text = """
        async def branch():
            await ctx.sleep(5)
        try:
            await branch()
        except BaseException:
            pass
    """
    assert codes(body(text)) == ["PGF111"]


def test_a_workflow_inside_a_function_is_one() -> None:
    found = module("""
        def test_it():
            app = App()
            time.time()
            @app.workflow
            def flow(ctx):
                time.sleep(1)
    """)
    assert codes(found) == ["PGF102"]
