"""Queries of others on the engine's own database, done with the rights of the reader role.

`set role` would not do: a query can take the role off again, within itself, and then read secrets. What Postgres holds
to is a function that runs as its owner: in there nothing changes the role. So `pgflow.look`, which belongs to the
reader role, executes the query. Such a function gives rows of one type; they come as the text of records, and are read
by the types that the query has, for which it is parsed before. Parsing executes nothing, and takes one statement alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.types.composite import RecordLoader

from pgflow.db.statements import statement
from pgflow.errors import Fatal

_UNNAMED = b""
"""Which a pooler between here and there leaves as it is."""
_RECORD = 2249

_Connection = psycopg.AsyncConnection[Any]


async def kept(connection: _Connection, schema: str) -> bool:
    """Whether the reader role does the asking; False: this schema is without roles.

    Args:
        connection: to the engine's database.
        schema: the engine's.

    Raises:
        Fatal: there is the role, but it cannot do it.
    """
    row = await (await connection.execute(statement("connection/keeper", schema))).fetchone()
    if row is None:
        raise Fatal(f"engine: there is no function {schema}.look (the operator runs `pgflow migrate`)")
    if row[0] is False:
        raise Fatal(
            f"engine: nothing would keep a query from secrets, as {schema}.look does not belong to {schema}_reader "
            f"(the operator says `alter function {schema}.look owner to {schema}_reader`, as a superuser)"
        )
    return row[0] is not None


async def looked(
    connection: _Connection, schema: str, query: str, parameters: Sequence[Any], most: int
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of a query's columns, and its rows.

    Args:
        connection: to the engine's database, in a transaction that only reads.
        schema: the engine's.
        query: one, with $1, $2 for values.
        parameters: the values.
        most: rows that it may give.

    Raises:
        psycopg.Error: the database could not do it, or the reader role may not.
    """
    adapted, encoding = Transformer(connection), connection.info.encoding
    values = adapted.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))
    sent = [None if value is None else bytes(value).decode(encoding) for value in values]
    async with connection.lock:
        types, columns = await connection.wait(
            _parsed(connection.pgconn, query.encode(encoding), adapted.types, encoding)
        )
    given = {"query": query, "types": types, "arguments": sent, "most": most}
    cursor = await connection.execute(statement("connection/look", schema), given)
    adapted.set_loader_types([oid for _, oid in columns], pq.Format.TEXT)
    record = RecordLoader(_RECORD, connection)
    rows = []
    async for (text,) in cursor:
        fields = record.load(text.encode(encoding)) or (None,) * len(columns)
        rows.append(adapted.load_sequence([None if one is None else one.encode(encoding) for one in fields]))
    return [name for name, _ in columns], rows


def _parsed(
    connection: pq.abc.PGconn, query: bytes, types: Sequence[int] | None, encoding: str
) -> PQGen[tuple[list[int], list[tuple[str, int]]]]:
    """Have a query parsed. Returns the types of its parameters, and its columns: name, and type."""
    connection.send_prepare(_UNNAMED, query, types)
    _checked((yield from generators.execute(connection)), encoding)
    connection.send_describe_prepared(_UNNAMED)
    said = _checked((yield from generators.execute(connection)), encoding)
    return [said.param_type(at) for at in range(said.nparams)], [
        ((said.fname(at) or b"").decode(encoding), said.ftype(at)) for at in range(said.nfields)
    ]


def _checked(results: Sequence[pq.abc.PGresult], encoding: str) -> pq.abc.PGresult:
    (result,) = results
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise error_from_result(result, encoding)
    return result
