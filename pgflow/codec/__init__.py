"""Arguments, results and errors as JSON that Postgres can store, and back.

Three rules hold here. Nothing is pickled: what is stored is JSON that any language reads. Nothing is bent on the way:
a value either comes back equal, in the form its annotation asks for, or is refused at the door with a `PayloadError`
that has the JSON path of the culprit; orjson alone would turn NaN into null, and Postgres would refuse `\\u0000` only
when the task is long done. And a failure always has a stored form, whatever its exception holds: `error_json` refuses
nothing.

`encode` and `decode` know values only. A `Signature` knows a function too: which argument is whose, and what it has
to be again on the other side. Plain annotations (`str`, `dict[str, int]`, unions of such) cost no conversion and are
not checked at run time; others go through pydantic, which is imported when the first such value comes by.

The fast path of `encode` is one pass of orjson and a few searches of its output for what may hide a fault. Only on a
find does the slow walk of `faults` run, which is exact and knows the path. So a search may cry wolf but must never
miss.
"""

from __future__ import annotations

from pgflow.codec.failure import error_json, sanitize
from pgflow.codec.faults import DEFAULT_PAYLOAD_LIMIT, MAX_DEPTH
from pgflow.codec.signature import Signature
from pgflow.codec.values import decode, encode

__all__ = ["DEFAULT_PAYLOAD_LIMIT", "MAX_DEPTH", "Signature", "decode", "encode", "error_json", "sanitize"]
