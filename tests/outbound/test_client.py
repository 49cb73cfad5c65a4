"""The guarded client against real sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.errors import ConfigError
from pgflow.outbound.client import Outbound
from pgflow.outbound.connecting import Resolve, Resolver
from pgflow.outbound.errors import OutboundFailed, OutboundRefused
from pgflow.outbound.policy import Policy
from pgflow.outbound.reply import Reply
from tests.outbound.servers import Request, certified, respond, serving, unheard

HERE = Policy.parse(["127.0.0.1"])


def resolving(*answers: Sequence[str]) -> tuple[Resolve, list[str]]:
    """A resolver that gives these answers in turn, the last one for ever; and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def can_bind(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
        return True
    except OSError:
        return False


second = pytest.mark.skipif(not can_bind("127.0.0.2"), reason="this system has only one loopback address")


async def test_a_call_comes_back_with_status_headers_and_body() -> None:
    async with serving(respond(201, b'{"a": 1}', x_said="hello")) as server, Outbound(HERE) as outbound:
        reply = await outbound.request(
            "POST",
            f"{server.url}/a?b=1",
            headers={"X-Own": "1", "User-Agent": "me"},
            json={"c": 2},
            params={"d": "e f"},
        )
    assert (reply.status, reply.ok, reply.json(), reply.headers["X-Said"]) == (201, True, {"a": 1}, "hello")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/a?b=1&d=e+f", b'{"c":2}')
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert (request.headers["x-own"], request.headers["user-agent"]) == ("1", "me")
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_nothing_on_this_host_is_called(host: str) -> None:
    async with serving() as server, Outbound(Policy()) as outbound:
        with pytest.raises(OutboundRefused, match="this host itself") as refused:
            await outbound.request("GET", f"http://{host}:{server.port}/")
        assert server.connections == 0
    assert "PGFLOW_OUTBOUND_ALLOW" in str(refused.value)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fd00:ec2::254", "fe80::1%lo", "10.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::"]
)
async def test_a_name_that_stands_for_an_inner_address_is_refused(address: str) -> None:
    resolve, asked = resolving([address])
    async with Outbound(Policy(), resolve=resolve) as outbound:
        with pytest.raises(OutboundRefused, match=r"meta\.example is at"):
            await outbound.request("GET", "http://meta.example/latest")
    assert asked == ["meta.example"]


@second
async def test_a_name_that_is_rebound_between_two_answers_gets_nothing() -> None:
    """127.0.0.2 plays the public address, 127.0.0.1 what must not be reached; one server listens at both."""
    resolve, asked = resolving(["127.0.0.2"], ["127.0.0.1"])
    async with (
        serving(respond(connection="close"), host=["127.0.0.1"]) as inner,
        serving(respond(connection="close"), host=["127.0.0.2"], port=inner.port) as outer,
        Outbound(Policy.parse(["127.0.0.2"]), resolve=resolve) as outbound,
    ):
        reply = await outbound.request("GET", f"http://rebound.example:{inner.port}/")
        assert (reply.status, asked) == (200, ["rebound.example"])  # asked once: what was judged is what was called
        for _ in range(3):
            with pytest.raises(OutboundRefused, match=r"rebound\.example is at 127\.0\.0\.1"):
                await outbound.request("GET", f"http://rebound.example:{inner.port}/")
        assert (inner.connections, outer.connections) == (0, 1)
    assert outer.requests[0].headers["host"] == f"rebound.example:{inner.port}"


@second
async def test_a_kept_connection_stays_where_it_was_made() -> None:
    resolve, asked = resolving(["127.0.0.2"], ["127.0.0.1"])
    async with (
        serving(host="127.0.0.2") as outer,
        Outbound(Policy.parse(["127.0.0.2"]), resolve=resolve) as outbound,
    ):
        for _ in range(3):
            assert (await outbound.request("GET", f"http://rebound.example:{outer.port}/")).ok
    assert (outer.connections, asked) == (1, ["rebound.example"])


@second
async def test_of_several_addresses_only_the_good_ones_are_tried() -> None:
    resolve, _ = resolving(["127.0.0.1", "169.254.169.254", "127.0.0.2"])
    async with (
        serving(host="127.0.0.1") as inner,
        serving(host="127.0.0.2", port=inner.port) as outer,
        Outbound(Policy.parse(["127.0.0.2"]), resolve=resolve) as outbound,
    ):
        assert (await outbound.request("GET", f"http://both.example:{inner.port}/")).ok
        assert (inner.connections, outer.connections) == (0, 1)


@second
async def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    resolve, _ = resolving(["127.0.0.2", "127.0.0.1"])
    async with serving() as server, Outbound(Policy.parse(["127.0.0.0/8"]), resolve=resolve) as outbound:
        assert (await outbound.request("GET", f"http://two.example:{server.port}/")).ok


async def test_the_system_s_own_resolver_is_asked_once_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    answers = iter(["127.0.0.1", "10.0.0.1"])

    def getaddrinfo(host: object, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async with serving(respond(connection="close")) as server, Outbound(HERE) as outbound:
        monkeypatch.setattr("pgflow.outbound.connecting.socket.getaddrinfo", getaddrinfo)
        assert (await outbound.request("GET", f"http://rebound.example:{server.port}/")).ok
        with pytest.raises(OutboundRefused, match=r"10\.0\.0\.1, which is in a private network"):
            await outbound.request("GET", f"http://rebound.example:{server.port}/")
    assert asked == ["rebound.example"] * 2


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with serving() as inner:
        async with (
            serving(respond(302, location=f"{inner.url}/latest/meta-data")) as server,
            Outbound(HERE) as outbound,
        ):
            reply = await outbound.request("GET", server.url)
        assert (reply.status, reply.ok, reply.headers["location"]) == (302, False, f"{inner.url}/latest/meta-data")
        assert inner.connections == 0


async def test_cookies_and_passwords_do_not_go_from_one_call_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login root password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with serving(respond(set_cookie="session=1; path=/")) as server, Outbound(HERE) as outbound:
        for _ in range(2):
            await outbound.request("GET", server.url)
    assert [{"cookie", "authorization"} & set(request.headers) for request in server.requests] == [set(), set()]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy, serving() as server, Outbound(HERE) as outbound:
        monkeypatch.setenv(name, proxy.url)
        assert (await outbound.request("GET", server.url)).ok
        assert proxy.connections == 0


async def test_the_operator_s_proxy_takes_every_call_but_those_to_inner_addresses() -> None:
    async with serving(respond(204)) as proxy, Outbound(Policy(), proxy=proxy.url) as outbound:
        assert (await outbound.request("GET", "http://example.com/a")).status == 204
        assert proxy.requests[0].target == "http://example.com/a"
        with pytest.raises(OutboundRefused):
            await outbound.request("GET", "http://169.254.169.254/")
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("part", ["greeting", "body"])
async def test_a_server_that_drips_is_left_in_time(part: str) -> None:
    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        if part == "body":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(10000):
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as server, Outbound(HERE, timeout=0.3) as outbound:
        begun = time.monotonic()
        with pytest.raises(OutboundFailed, match=r"no complete answer within 0\.3 s"):
            await outbound.request("GET", server.url)
        assert time.monotonic() - begun < 20  # of 100
        if part == "body":
            reply = await outbound.request("GET", server.url, cut=True, timeout=5)
            assert (reply.status, reply.cut) == (200, True)


async def test_a_huge_answer_is_left_at_the_limit() -> None:
    sent = 0

    async def pour(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.transport.is_closing() and sent < 2**30:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
            await writer.drain()

    async with serving(pour) as server, Outbound(HERE, limit=100_000) as outbound:
        with pytest.raises(OutboundFailed, match="more than 100,000 bytes"):
            await outbound.request("GET", server.url)
        reply = await outbound.request("GET", server.url, limit=10, cut=True)
        assert (reply.body, reply.cut) == (b"x" * 10, True)
    assert sent < 2**28


async def test_a_packed_answer_is_not_unpacked() -> None:
    import gzip

    packed = gzip.compress(b"0" * 10_000_000)
    async with serving(respond(200, packed, content_encoding="gzip")) as server, Outbound(HERE) as outbound:
        assert (await outbound.request("GET", server.url)).body == packed


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx", b"HTTP/1.1 2000 OK\r\n\r\n"]
)
async def test_what_is_no_proper_answer_is_told(answer: bytes) -> None:
    async def spoil(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with serving(spoil) as server, Outbound(HERE) as outbound:
        with pytest.raises(OutboundFailed, match=rf"^http://127\.0\.0\.1:{server.port}: "):
            await outbound.request("GET", f"{server.url}/?token=hidden")


async def test_errors_say_where_and_keep_the_rest_of_the_url_to_themselves() -> None:
    async with Outbound(HERE) as outbound:
        with unheard() as port, pytest.raises(OutboundFailed, match=r"no connection: .*refused") as failed:
            await outbound.request("GET", f"http://127.0.0.1:{port}/T0/B0/token?secret=1")
    assert "token" not in str(failed.value)
    assert "secret" not in str(failed.value)


async def test_a_name_that_nobody_knows_and_a_resolver_that_hangs_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **options: Any) -> Any:
        if host == "nobody.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return asked(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def hang(_: str, __: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    async with Outbound(Policy(), connect=0.1, resolve=hang) as outbound:
        with pytest.raises(OutboundFailed, match=r"no connection within 0\.1 s"):
            await outbound.request("GET", "http://slow.example/")
    async with Outbound(Policy()) as outbound:
        with pytest.raises(OutboundFailed, match="cannot be resolved"):
            await outbound.request("GET", "http://nobody.invalid/")
    resolver = Resolver()
    assert "127.0.0.1" in await resolver("localhost", 80)
    resolver.close()


async def test_what_cannot_be_sent_is_told() -> None:
    async with serving() as server, Outbound(HERE) as outbound:
        for given in ({"headers": {"x": "a\r\nb: c"}}, {"headers": {"a b": "c"}}, {"json": {1, 2}}):
            with pytest.raises(OutboundFailed, match="not sendable"):
                await outbound.request("POST", server.url, **given)  # type: ignore[arg-type]
        assert server.requests == []


async def test_tls_is_verified_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    server_side, client_side = certified(tmp_path, "good.example")
    asked: list[str | None] = []
    server_side.sni_callback = lambda _, name, __: asked.append(name)
    resolve, _ = resolving(["127.0.0.1"])
    async with (
        serving(tls=server_side) as server,
        Outbound(HERE, tls=client_side, resolve=resolve) as outbound,
    ):
        assert (await outbound.request("GET", f"https://good.example:{server.port}/")).ok
        assert asked == ["good.example"]
        for wrong in ("bad.example", "127.0.0.1"):
            with pytest.raises(OutboundFailed, match="certificate verify failed"):
                await outbound.request("GET", f"https://{wrong}:{server.port}/")
        assert len(server.requests) == 1


async def test_a_certificate_of_nobody_we_trust_is_refused(tmp_path: Path) -> None:
    server_side, _ = certified(tmp_path, "good.example")
    resolve, _ = resolving(["127.0.0.1"])
    async with serving(tls=server_side) as server, Outbound(HERE, resolve=resolve) as outbound:
        with pytest.raises(OutboundFailed, match="certificate verify failed"):
            await outbound.request("GET", f"https://good.example:{server.port}/")
        assert server.requests == []


async def test_the_settings_say_where_calls_may_go() -> None:
    given: Callable[..., Settings] = lambda **more: Settings(_env_file=None, **more)  # noqa: E731
    async with serving() as server:
        async with Outbound.of(given(outbound_allow="127.0.0.1, *.inner")) as outbound:
            assert (await outbound.request("GET", server.url)).ok
        async with Outbound.of(given(outbound_allow="*", outbound_ports="1,2")) as outbound:
            with pytest.raises(OutboundRefused, match="1, 2"):
                await outbound.request("GET", server.url)
    with pytest.raises(ConfigError):
        Outbound.of(given(outbound_allow="http://x"))


def reply(**headers: str) -> Reply:
    import httpx

    return Reply(503, httpx.Headers(headers, encoding="utf-8"), b"", False, 0.0)


def test_retry_after_is_read_in_both_its_forms() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    later = (now + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    said = {"30": 30.0, " 7 ": 7.0, later: 90.0, "Fri, 01 May 2020 00:00:00 GMT": 0.0, "9" * 400: 7 * 86400.0}
    assert {text: reply(**{"retry-after": text}).retry_after(now) for text in said} == said
    for nonsense in ("", "soon", "-1", "1e3", "½", "Fri, 99 May", f"Mon, 01 Jan 2020 00:00:00 +{'9' * 20}"):
        assert reply(**{"retry-after": nonsense}).retry_after(now) is None
    assert reply().retry_after() is None


@pytest.mark.parametrize("charset", ["idna", "punycode", "undefined", "hex", "utf-16", "none-such", "a" * 300])
async def test_an_answer_is_text_whatever_its_headers_say(charset: str) -> None:
    odd = respond(
        503, b"\xff not so.", content_type=f"text/plain; charset={charset}",
        retry_after=f"Mon, 01 Jan 2020 00:00:00 +{'9' * 20}",
    )  # fmt: skip
    async with serving(odd) as server, Outbound(HERE) as outbound:
        answer = await outbound.request("GET", server.url)
    assert answer.retry_after() is None
    assert isinstance(answer.text, str)
    if charset != "utf-16":
        assert answer.text == "\ufffd not so."
