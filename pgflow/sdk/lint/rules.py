"""The rules: their codes, what they say, and the names of what they forbid.

A rule about calls lists dotted names as `import` would spell them. `*` stands for anything without a call in it, `**`
for anything, and `()` for what a call gives: `httpx.Client().*` is every method of a client. Codes are never reused for
something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from pgflow.sdk.lint import forbidden
from pgflow.sdk.lint.findings import Level


@dataclass(frozen=True)
class Rule:
    """One thing that breaks replay.

    Attributes:
        code: `PGF` and a number.
        level: error or warning.
        finds: what it finds, for the documentation.
        message: what is wrong; `{what}` is the code in question.
        instead: what to do, short, for the documentation and the hint.
        calls: the names of what may not be called.
        unless: names among these that may be.
        enough: names that may be called with at least so many arguments.
        shared: names that may be called only through something that the body made itself.
        reads: names that may not even be read.
    """

    code: str
    level: Level
    finds: str
    message: str
    instead: str
    calls: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    enough: Mapping[str, int] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()


UNREADABLE = Rule(
    "PGF100", Level.ERROR, "a file that does not parse", "{what}", "mend the file; nothing else in it was looked at"
)
CLOCK = Rule(
    "PGF101", Level.ERROR, "the machine's clock: `time.time()`, `datetime.now()`, `date.today()`",
    "`{what}()` is another time at every replay", "`ctx.now()` is recorded",
    calls=forbidden.CLOCKS, enough=forbidden.CLOCKS_WITHOUT,
)  # fmt: skip
WAITING = Rule(
    "PGF102", Level.ERROR, "waiting in the process: `time.sleep()`, `asyncio.sleep()`",
    "`{what}()` holds the worker, and waits again at every replay",
    "`ctx.sleep(...)` holds nothing and survives restarts",
    calls=forbidden.WAITS,
)  # fmt: skip
RANDOMNESS = Rule(
    "PGF103", Level.ERROR, "chance: `random`, `secrets`, `os.urandom()`, `numpy.random`",
    "`{what}()` gives something else at every replay", "`ctx.random()` is recorded; make secrets in a `ctx.step`",
    calls=forbidden.CHANCE, unless=forbidden.KNOWN_CHANCE, enough=forbidden.SEEDED, shared=forbidden.SHARED_CHANCE,
)  # fmt: skip
NEW_UUID = Rule(
    "PGF104", Level.ERROR, "new UUIDs: `uuid.uuid1()`, `uuid.uuid4()`",
    "`{what}()` gives another UUID at every replay",
    "`ctx.uuid()` is recorded; `uuid.uuid5` of something known is fine",
    calls=forbidden.UUIDS,
)  # fmt: skip
NETWORK = Rule(
    "PGF105", Level.ERROR,
    "the network, databases and services: `requests`, `httpx`, `socket`, `psycopg.connect()`, `boto3`",
    "`{what}()` goes out again at every replay, and may answer otherwise",
    "call it in a function of its own through `ctx.step` (rows of this database: `ctx.tx`; tasks: `ctx.run`)",
    calls=forbidden.NETWORK, unless=forbidden.HARMLESS,
)  # fmt: skip
FILES = Rule(
    "PGF106", Level.ERROR, "files: `open()`, `Path.read_text()`, `os.listdir()`, `shutil`, `tempfile`",
    "`{what}()` meets another disk or another content at a replay",
    "read or write in a function of its own through `ctx.step`",
    calls=forbidden.FILES, unless=forbidden.HARMLESS,
)  # fmt: skip
PROGRAMS = Rule(
    "PGF107", Level.ERROR, "other programs: `subprocess`, `os.system()`",
    "`{what}()` starts the program again at every replay", "run it in a function of its own through `ctx.step`",
    calls=forbidden.PROGRAMS, unless=forbidden.HARMLESS,
)  # fmt: skip
PROCESS = Rule(
    "PGF108", Level.ERROR, "the process around it: `os.environ`, `os.getenv()`, `os.getpid()`, `sys.argv`, `input()`",
    "`{what}` is another one on another worker",
    "pass it as an argument of the workflow, or read it in a `ctx.step`",
    calls=forbidden.PROCESS, reads=forbidden.PROCESS_VALUES,
)  # fmt: skip
CONCURRENCY = Rule(
    "PGF109", Level.ERROR, "concurrency of one's own: `asyncio.gather()`, `asyncio.create_task()`, threads, executors",
    "`{what}()` runs things in an order that no replay repeats", "`ctx.gather(...)` and `ctx.map(...)` are recorded",
    calls=forbidden.CONCURRENCY, unless=forbidden.HARMLESS,
)  # fmt: skip
SET_ORDER = Rule(
    "PGF110", Level.ERROR, "going through a set",
    "`{what}` is a set, and its order is another one in every process",
    "go through `sorted(...)` of it, or keep a list",
)  # fmt: skip
SWALLOWED = Rule(
    "PGF111", Level.ERROR,
    "a bare `except:`, `except BaseException` or `suppress(BaseException)` around a call of the context",
    "`{what}` swallows the suspension of the calls it guards",
    "catch `Exception`, or end the handler with a bare `raise`",
)  # fmt: skip
LEFT_IN_FINALLY = Rule(
    "PGF112", Level.ERROR, "`return`, `break` or `continue` in a `finally` around a call of the context",
    "`{what}` in `finally` swallows the suspension of the calls it guards", "leave the function after the `finally`",
)  # fmt: skip
CLEAN_UP = Rule(
    "PGF113", Level.WARNING, "`finally`, `with` or `async with` around a call of the context that suspends",
    "`{what}` cleans up at every suspension, not only at the end",
    "hold nothing over a wait: do it inside one `ctx.step`; undo with `ctx.compensate` or `ctx.on_cancel`",
)  # fmt: skip
NAMELESS = Rule(
    "PGF114", Level.ERROR, "a lambda as a step, without a name",
    "a lambda has no name to record `{what}` under",
    'give it one: `ctx.step(pgflow.step(lambda: ..., name="..."))`, or write a `def`',
)  # fmt: skip
NOT_AWAITED = Rule(
    "PGF115", Level.ERROR, "a call of the context that is not awaited, in an async workflow",
    "`{what}(...)` is not awaited, so it never happens", "write `await` before it",
)  # fmt: skip
UNRECORDED = Rule(
    "PGF116", Level.WARNING, "awaiting what is no call of the context, `async for` and `async with` too",
    "`{what}` awaits something that is not recorded",
    "go through `ctx.step(...)`, or hand the context to a function that does",
)  # fmt: skip
GLOBALS = Rule(
    "PGF117", Level.WARNING, "changing what belongs to the module: `global`, attributes or parts of module-level names",
    "`{what}` changes the module, which another worker does not see and every replay repeats",
    "keep it in a local variable, or `ctx.set_state`",
)  # fmt: skip
IDENTITY = Rule(
    "PGF118", Level.WARNING, "`hash()` and `id()`",
    "`{what}()` gives another number in another process", "compare values, or use `hashlib`",
    calls=("builtins.hash", "builtins.id"),
)  # fmt: skip
PRINTED = Rule(
    "PGF119", Level.WARNING, "`print()` and loggers",
    "`{what}()` writes again at every replay", "`ctx.log(...)` writes once",
    calls=forbidden.PRINTERS,
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    UNREADABLE, CLOCK, WAITING, RANDOMNESS, NEW_UUID, NETWORK, FILES, PROGRAMS, PROCESS, CONCURRENCY, SET_ORDER,
    SWALLOWED, LEFT_IN_FINALLY, CLEAN_UP, NAMELESS, NOT_AWAITED, UNRECORDED, GLOBALS, IDENTITY, PRINTED,
)  # fmt: skip
"""Every rule, by code."""


def calling(name: str, arguments: int, *, shared: bool) -> Rule | None:
    """The rule against a call, if there is one.

    Args:
        name: the dotted name of what is called.
        arguments: how many it is called with.
        shared: whether it is reached through something that the module holds.
    """
    return next((rule for rule in RULES if _forbids(rule, name, arguments, shared)), None)


def reading(name: str) -> Rule | None:
    """The rule against reading a name, if there is one."""
    return next((rule for rule in RULES if name in rule.reads), None)


def _forbids(rule: Rule, name: str, arguments: int, shared: bool) -> bool:
    if name in rule.enough:
        return arguments < rule.enough[name]
    if shared and _matches(rule.shared, name):
        return True
    return _matches(rule.calls, name) and not _matches(rule.unless, name)


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return bool(patterns) and _compiled(patterns).fullmatch(name) is not None


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    spelled = (re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^()]*") for pattern in patterns)
    return re.compile("|".join(spelled))
