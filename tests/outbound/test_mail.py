"""Mail to a real server on a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgflow.config import Settings
from pgflow.errors import ArgumentError, ConfigError, PgflowError
from pgflow.outbound.errors import OutboundFailed
from pgflow.outbound.mail import Mail, Mailer
from tests.outbound.mailbox import mailbox
from tests.outbound.servers import certified, unheard

LETTER = Mail(["ann@example.com", "Bob <bob@example.com>"], "Run 42 failed", "It failed.\n.\nSee you. ½", id="msg-1-2")


async def test_a_letter_arrives_as_it_was_written() -> None:
    async with mailbox() as box:
        await Mailer(f"smtp://127.0.0.1:{box.port}", "Flow <flow@example.com>").send(LETTER)
    (letter,) = box.letters
    assert box.recipients == [["ann@example.com", "bob@example.com"]]
    assert (letter["From"], letter["To"]) == ("Flow <flow@example.com>", "ann@example.com, Bob <bob@example.com>")
    assert letter["Subject"] == "Run 42 failed"
    assert letter["Message-ID"] == "<msg-1-2@example.com>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"]
    assert letter.get_content().replace("\r\n", "\n").strip() == LETTER.text


async def test_html_comes_as_an_alternative() -> None:
    async with mailbox() as box:
        mail = Mail(["ann@example.com"], "s", "plain", html="<b>rich</b>")
        await Mailer(f"smtp://127.0.0.1:{box.port}", "flow@example.com").send(mail)
    kinds = [part.get_content_type() for part in box.letters[0].walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]


async def test_nothing_in_a_letter_ends_a_header() -> None:
    async with mailbox() as box:
        mailer = Mailer(f"smtp://127.0.0.1:{box.port}", "flow@example.com")
        await mailer.send(Mail(["ann@example.com"], "bad\r\nBcc: eve@example.com\r\n\r\nbody", "text"))
        assert box.letters[0]["Bcc"] is None
        assert box.letters[0]["Subject"] == "bad Bcc: eve@example.com body"
        for to in ("ann@example.com\r\nBcc: e@x.org", "a@x.org, b@x.org", "nobody", "", "<>", "a@x.org> <b@x.org"):
            with pytest.raises(ArgumentError):
                await mailer.send(Mail([to], "s", "t"))
        with pytest.raises(ArgumentError):
            await mailer.send(Mail([], "s", "t"))
        assert len(box.letters) == 1


@pytest.mark.parametrize("way", ["smtps", "smtp+starttls", "smtp"])
async def test_a_letter_goes_encrypted_where_it_can(way: str, tmp_path: Path) -> None:
    server_side, client_side = certified(tmp_path, "127.0.0.1")
    how = {"tls": server_side} if way == "smtps" else {"offer": server_side}
    async with mailbox(**how) as box:  # type: ignore[arg-type]
        await Mailer(f"{way}://me:p%40ss@127.0.0.1:{box.port}", "flow@example.com", tls=client_side).send(LETTER)
    assert (box.encrypted, box.users) == ([True], [("me", "p@ss")])


async def test_a_server_of_another_name_gets_neither_letter_nor_password(tmp_path: Path) -> None:
    server_side, client_side = certified(tmp_path, "mail.example")
    async with mailbox(tls=server_side) as box:
        mailer = Mailer(f"smtps://me:hunter2@127.0.0.1:{box.port}", "flow@example.com", tls=client_side)
        with pytest.raises(OutboundFailed, match="certificate"):
            await mailer.send(LETTER)
    assert (box.letters, box.users) == ([], [])


async def test_a_password_does_not_leave_this_host_unencrypted() -> None:
    async with mailbox() as box:
        insisting = Mailer(f"smtp+starttls://me:hunter2@127.0.0.1:{box.port}", "flow@example.com")
        with pytest.raises(OutboundFailed, match="STARTTLS") as failed:
            await insisting.send(LETTER)
        assert "hunter2" not in str(failed.value)
        assert (box.letters, box.users) == ([], [])
        await Mailer(f"smtp://me:hunter2@127.0.0.1:{box.port}", "flow@example.com").send(LETTER)
        assert box.users == [("me", "hunter2")]
    assert Mailer("smtp://me:hunter2@mail.example", "flow@example.com")._start_tls is True


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("AUTH", "535 no such user"),
        ("MAIL", "550 not from you"),
        ("RCPT", "550 nobody of that name"),
        ("RCPT TO:<bob", "550 no bob here"),
        ("DATA", "451 later"),
    ],
)
async def test_what_the_server_refuses_is_told(command: str, said: str) -> None:
    async with mailbox(**{command: said}) as box:
        mailer = Mailer(f"smtp://me:hunter2@127.0.0.1:{box.port}", "flow@example.com")
        with pytest.raises(OutboundFailed) as failed:
            await mailer.send(LETTER)
    assert said[4:] in str(failed.value) or "bob@example.com" in str(failed.value)
    assert "hunter2" not in str(failed.value)


async def test_a_server_that_is_not_there_is_told() -> None:
    with unheard() as port, pytest.raises(OutboundFailed, match=f"127.0.0.1:{port}"):
        await Mailer(f"smtp://127.0.0.1:{port}", "flow@example.com").send(LETTER)


@pytest.mark.parametrize("url", ["", "mail.example", "http://mail.example", "smtp://", "smtp://host:x", "smtp://[x"])
def test_a_mail_server_that_makes_no_sense_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="PGFLOW_SMTP_URL"):
        Mailer(url, "flow@example.com")


def test_mail_that_is_not_set_up_is_told() -> None:
    with pytest.raises(ConfigError, match="PGFLOW_SMTP_URL is not set"):
        Mailer.of(Settings(_env_file=None, smtp_url=None))  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="PGFLOW_MAIL_FROM is not set"):
        Mailer.of(Settings(_env_file=None, smtp_url="smtp://x", mail_from=None))  # type: ignore[call-arg]
    with pytest.raises(PgflowError, match="PGFLOW_MAIL_FROM: 'x' is no mail address"):
        Mailer.of(Settings(_env_file=None, smtp_url="smtp://x", mail_from="x"))  # type: ignore[call-arg]
