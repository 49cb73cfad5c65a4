"""SQL text lives in sql/ and migrations/ alone, where it is read, planned and reviewed as SQL."""

from __future__ import annotations

import re

import pytest

from tests.architecture.tree import modules, shown, strings

# Where SQL has to be made in Python, which verbs, and why. A prefix ending in / is a folder.
ALLOWED: dict[str, tuple[set[str], str]] = {
    "pgflow/db/": (
        {"listen", "unlisten", "set", "alter", "drop"},
        "a channel, a setting's name or a partition cannot be a parameter of a statement",
    ),
    "pgflow/nodes/sql.py": ({"select"}, "the example of a node that asks a database holds what a user would write"),
}

_NAME = r"""[\w."{}]+"""
_SETTING = (
    r"(?:\w+_timeout|search_path|role|jit|work_mem|maintenance_work_mem|plan_cache_mode|enable_\w+|synchronous_commit"
    r"|application_name|time\s?zone|client_encoding|random_page_cost|default_transaction_\w+|pgflow\.\w+)"
)
_OBJECT = (
    r"(?:(?:or\s+replace|temp|temporary|unlogged|unique|materialized|recursive)\s+)*"
    r"(?:table|index|schema|function|procedure|type|view|role|user|database|extension|sequence|trigger|domain|policy"
    r"|publication|statistics|aggregate|collation|system)\s"
)
_SHAPES = {
    "select": rf"(?:\*|\d|'|%|\$\d|(?:distinct|exists|case|null)\b|{_NAME}\s*\(|.*\bfrom\s+(?:only\s+)?{_NAME})",
    "insert": rf"into\s+{_NAME}",
    "update": rf"(?:only\s+)?{_NAME}(?:\s+as)?(?:\s+\w+)?\s+set\s",
    "delete": rf"from\s+{_NAME}",
    "merge": rf"into\s+{_NAME}",
    "with": rf"(?:recursive\s+)?{_NAME}\s*(?:\([^)]*\)\s*)?as\s+(?:not\s+)?(?:materialized\s*)?\(",
    "create": _OBJECT,
    "alter": _OBJECT,
    "drop": _OBJECT,
    "truncate": rf"(?:table\s|{_NAME}\s*(?:cascade\b|restart\b|;|$)|\w+\.\w+)",
    "listen": rf"{_NAME}\s*;?\s*$",
    "unlisten": rf"(?:{_NAME}|\*)\s*;?\s*$",
    "notify": rf"{_NAME}\s*(?:,.*)?;?\s*$",
    "set": rf"(?:local\s|session\s|transaction\s|constraints\s|\{{\}}\s*=|{_SETTING}\s*(?:=|\bto\b))",
    "reset": rf"(?:all\b|{_SETTING})",
    "show": rf"{_SETTING}\s*;?\s*$",
    "begin": r"(?:;|$|transaction\b|work\b|isolation\b|read\b)",
    "commit": r";",
    "rollback": r"(?:;|to\b)",
    "savepoint": rf"{_NAME}\s*;?\s*$",
    "do": r"(?:\$|language\b)",
    "lock": r"table\s",
    "copy": r".*\b(?:from\s+stdin|to\s+stdout)\b",
    "explain": r"(?:\(|analyze\b|select\b|insert\b|update\b|delete\b|with\b)",
    "analyze": r"pgflow\.",
    "vacuum": r"(?:\(|full\b|analyze\b|pgflow\.)",
    "call": r"(?:pgflow|\{\})\.\w",
    "values": r"\(\s*(?:[%$:'\d{]|default\b|null\b)",  # and not the name of a function of expressions
}
_FLAGS = re.IGNORECASE | re.DOTALL
_STATEMENTS = {verb: re.compile(rf"{verb}(?:\s+|(?=[;*(]|$)){shape}", _FLAGS) for verb, shape in _SHAPES.items()}
_LEADING = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
# A piece of one, wherever it stands: our own tables are named with their schema.
_PIECE = re.compile(
    rf"\b(?:insert\s+into|update|delete\s+from|join|from(?!\s+{_NAME}\s+import\b))\s+(?:pgflow|\{{\}})\.[\w{{]", _FLAGS
)


def sql_verb(text: str) -> str | None:
    """The verb of the SQL statement that a string holds, if it holds one."""
    bare = _LEADING.sub("", text)
    for verb, shape in _STATEMENTS.items():
        if shape.match(bare):
            return verb
    return "piece" if _PIECE.search(text) else None


def allowed(path: str, verb: str) -> bool:
    return any(
        verb in verbs and (path == where or (where.endswith("/") and path.startswith(where)))
        for where, (verbs, _) in ALLOWED.items()
    )


def test_no_module_holds_sql_text() -> None:
    found = [
        f"{path}:{line}: {verb}: {text.strip()[:60]!r}"
        for path, source in ((shown(module), module.read_text("utf-8")) for module in modules())
        for line, text in strings(source)
        if (verb := sql_verb(text)) and not allowed(path, verb)
    ]
    assert found == [], "move it to sql/<noun>/<verb>.sql"


@pytest.mark.parametrize(
    "source",
    [
        'c.execute("select 1")',
        'c.execute(" SELECT id, name\\n FROM task")',
        "c.execute('''\n-- all of them\nselect * from task''')",
        'c.execute(f"select {column} from {table} where id = %s")',
        'c.execute("select " "pg_notify(%s, %s)")',
        'c.execute(b"delete from task")',
        'c.execute("update pgflow.task as t set x = 1")',
        'c.execute("insert into task values (1)")',
        'c.execute("with t as (select 1) table t")',
        'c.execute("create table x (a int)")',
        'c.execute("create or replace function f() returns int")',
        'c.execute(f"drop schema {name} cascade")',
        'c.execute("alter role x login")',
        'c.execute("truncate pgflow.task")',
        'c.execute("listen wake")',
        "c.execute(f\"notify {channel}, 'x'\")",
        "c.execute(\"set lock_timeout = '2s'\")",
        'c.execute(f"set {name} = {value}")',
        'c.execute("set local search_path to x")',
        'c.execute("begin")',
        'c.execute("do $$ begin end $$")',
        'c.execute(head + " from pgflow.task where id = 1")',
    ],
)
def test_sql_in_python_is_seen(source: str) -> None:
    assert [sql_verb(text) for _, text in strings(source) if sql_verb(text)]


@pytest.mark.parametrize(
    "source",
    [
        '"""select * from task"""',
        'def f():\n    """Delete from the list what is done."""',
        'hint = "set PGFLOW_DATABASE_URL=postgresql://user@host/database"',
        'hint = "set max_attempts to 1 or more"',
        'hint = f"set {name} to a URL"',
        'hint = "create the schema with `pgflow migrate`"',
        'hint = "update pgflow-engine on this host"',
        'hint = "with a direct URL, LISTEN works"',
        'hint = "begin with `pgflow dev`"',
        'hint = "do this first: `from pgflow.sdk import App`"',
        'hint = "notify whoever runs it"',
        'name = "task/claim"',
        'state = "select"',
    ],
)
def test_words_for_people_are_not_taken_for_sql(source: str) -> None:
    assert [text for _, text in strings(source) if sql_verb(text)] == []
