"""Requests that nobody means well with."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator

import orjson
import pytest

from pgflow.api import body as bodies
from pgflow.api.problems import ProblemError
from pgflow.config import Settings
from tests.api.conftest import Api
from tests.api.test_matrix import table
from tests.fixtures.database import Engine

JSON = {"Content-Type": "application/json"}
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


BODIES: list[tuple[bytes, str, str]] = [
    (b'{"name": "noop", "input": {"a": NaN}}', "bad_json", "line 1 column 33"),
    (b'{"name": "noop", "input": {"a": Infinity}}', "bad_json", "column"),
    (b'{"name": "noop", "input": {"a": "\\u0000"}}', "bad_json", "$.input.a"),
    (b'{"name": "noop", "input": {"a\\u0000": 1}}', "bad_json", "$.input"),
    (b'{"name": "noop", "input": {"a": "\\ud800"}}', "bad_json", ""),
    (b'{"name": "noop", "input": {"a": 9223372036854775808}}', "bad_json", "64 bits"),
    (b'{"name": "noop", "input": {"a": -9223372036854775809}}', "bad_json", "64 bits"),
    (b'{"name": "noop", "input": {"a": 1e999}}', "bad_json", ""),
    (b'{"name": "noop", "input": {"a": ' + b"[" * 65 + b"]" * 65 + b"}}", "bad_json", "64 deep"),
    (b"[" * 100_000, "bad_json", ""),
    (b'{"name": "noop"', "bad_json", "EOF"),
    (b"", "bad_json", ""),
    (b"\xff\xfe", "bad_json", ""),
    (b'"noop"', "invalid", "$"),
    (b'{"name": "a b"}', "invalid", "$.name"),
    (b'{"name": "noop", "tags": {"a": "\\u0001", "": "x"}}', "invalid", "$.tags"),
    (b'{"name": "noop", "delay": -1}', "invalid", "$.delay"),
    (b'{"name": "noop", "delay": "soon"}', "invalid", "$.delay"),
    (b'{"name": "noop", "at": "2030-01-01T00:00:00"}', "invalid", "$.at"),
    (b'{"name": "noop", "at": "9999-12-31T23:59:59Z"}', "invalid", "$.at"),
    (b'{"name": "noop", "priority": "' + b"x" * 1000 + b'"}', "invalid", "$.priority"),
    (b'{"name": "noop", "nmae": 1}', "invalid", "$.nmae"),
]


async def test_a_body_that_cannot_be_stored_is_refused_with_its_place(api: Api, engine: Engine) -> None:
    for body, code, said in BODIES:
        answer = await api.post("/api/v1/runs", body=body, headers=JSON)
        assert (answer.status_code, answer.json["code"]) == (422 if code == "invalid" else 400, code), body[:80]
        assert said in answer.text
        assert "Traceback" not in answer.text
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


def usual(path: str) -> str:
    """A path as it might be asked for."""
    return re.sub(r"\{(\w+)\}", lambda found: "1" if found[1] in {"id", "version"} else "ORDERS", path)


async def test_no_route_takes_what_cannot_be_stored_wherever_it_stands(api: Api, engine: Engine) -> None:
    hostile = ("%00", "a%00b", "%ED%A0%80", "..%2F..%2Fa", "a" * 3000)
    numbers = ("9223372036854775808", "-9223372036854775809", "0", "1e3")
    texts = (b'{"a": "\\u0000"}', b'{"a": NaN}', b'{"a": 9223372036854775808}', b"[" * 200 + b"]" * 200)
    asked = 0
    for route in table():
        for method, _, operation in route.methods():
            wants_body = operation is not None and operation.body is not None
            odd = (*hostile, *(numbers if "{id}" in route.path else ())) if "{" in route.path else ()
            paths = [re.sub(r"\{\w+(?::path)?\}", text, route.path) for text in odd]
            for path in paths:
                answer = await api(method, path, {} if wants_body else None)
                assert 400 <= answer.status_code < 500 or answer.status_code == 200, (method, path, answer.text)
                asked += 1
            for body in texts if wants_body else ():
                answer = await api(method, usual(route.path), body=body, headers=JSON)
                assert (answer.status_code, answer.json["code"]) == (400, "bad_json"), (method, route.path)
                asked += 1
            if operation is not None and method == "GET":
                path = usual(route.path)
                answer = await api(method, path, query_string="limit=%00&after=%00&name=%00&nope=NaN")
                assert answer.status_code == 422, (path, answer.text)
                asked += 1
    assert asked > 600
    assert engine.query("select count(*) from pgflow.audit_entry") == [(0,)]


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    class Slow:
        content_length, stream = None, drip()

    monkeypatch.setattr(bodies, "READ_SECONDS", 0.02)
    with pytest.raises(ProblemError, match="did not come"):
        await bodies.read(Slow(), 2**40)  # type: ignore[arg-type]


async def test_numbers_at_the_edge_of_64_bits_are_kept(api: Api) -> None:
    body = b'{"name": "noop", "input": {"a": 9223372036854775807, "b": -9223372036854775808, "c": 1e300}}'
    answer = await api.post("/api/v1/runs", body=body, headers=JSON)
    shown = await api.get(f"/api/v1/runs/{answer.json['id']}")
    assert shown.json["input"] == {"a": 2**63 - 1, "b": -(2**63), "c": 1e300}


async def test_a_body_is_bounded_whatever_it_says_of_itself(api: Api, api_settings: Settings) -> None:
    big = b'{"name": "noop", "input": {"a": "' + b"x" * api_settings.api_body_limit + b'"}}'
    answer = await api.post("/api/v1/runs", body=big, headers=JSON)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"
    form = await api.post("/api/v1/runs", body=b"name=noop", headers={"Content-Type": "text/plain"})
    assert (form.status_code, form.json["code"]) == (415, "unsupported_media_type")


async def test_an_id_or_a_query_that_makes_no_sense_is_refused(api: Api) -> None:
    for id in ("0", "-1", "9223372036854775808", "1e3", "1.0", "abc", "%00", "00017", "%D9%A1", "1" * 400):
        answer = await api.get(f"/api/v1/runs/{id}")
        assert (answer.status_code, answer.json["errors"][0]["path"]) == (422, "path.id"), id
    for query in ("limit=0", "limit=501", "limit=x", "state=nope", "nope=1", "workflow=a%00b", "limit=1&limit=2"):
        answer = await api.get("/api/v1/runs", query_string=query)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid"), query
        assert answer.json["errors"][0]["path"].startswith("query.")


async def test_a_script_in_every_text_is_text(api: Api) -> None:
    body = {"name": "noop", "input": {SCRIPT: SCRIPT}, "tags": {SCRIPT: SCRIPT}, "key": SCRIPT}
    id = (await api.post("/api/v1/runs", body)).json["id"]
    for path in (f"/api/v1/runs/{id}", "/api/v1/runs", f"/api/v1/runs/{id}/history", "/api/v1/audit"):
        answer = await api.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await api.get(f"/api/v1/runs/{id}")).json["key"] == SCRIPT
    wrong = await api.get(f"/api/v1/{SCRIPT}")
    assert wrong.headers["content-type"] == "application/problem+json"
    page = await api.get("/api/v1/docs", token=None)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    assert "innerHTML" not in (await api.get("/api/v1/docs/page.js", token=None)).text


async def test_no_other_file_is_served(api: Api) -> None:
    for path in ("/api/v1/docs/..%2fapp.py", "/api/v1/docs/page.html%00", "/api/v1/docs/../../app.py"):
        assert (await api.get(path, token=None)).status_code == 404


async def test_big_answers_are_compressed_for_who_takes_that(api: Api) -> None:
    plain = await api.get("/api/v1/openapi.json", token=None)
    packed = await api.get("/api/v1/openapi.json", token=None, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    refused = await api.get("/api/v1/openapi.json", token=None, headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in refused.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(packed.content)) == plain.json
    assert len(packed.content) < len(plain.content) / 4


async def test_a_request_id_is_taken_or_made(api: Api) -> None:
    given = await api.get("/healthz", headers={"X-Request-Id": "trace-1.a_b"})
    assert given.headers["x-request-id"] == "trace-1.a_b"
    for bad in ("a b", "x" * 101, "<script>"):
        assert (await api.get("/healthz", headers={"X-Request-Id": bad})).headers["x-request-id"] != bad


async def test_what_goes_wrong_here_is_said_without_a_word_of_how(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pgflow.engine import standing

    def broken() -> None:
        raise RuntimeError("password=hunter22")

    monkeypatch.setattr(standing, "standing", broken)
    answer = await api.get("/readyz", token=None)
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "hunter22" not in answer.text
    assert answer.json["request_id"] in capsys.readouterr().err + answer.text
