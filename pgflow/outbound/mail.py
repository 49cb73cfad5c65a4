"""Sending mail through the operator's own server."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib

from pgflow.config import Settings
from pgflow.errors import ArgumentError, ConfigError
from pgflow.outbound.errors import MailRefused, OutboundFailed

TIMEOUT = 20.0
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along.

    Args:
        name: the file's.
        content: its bytes.
        type: of what kind, as in `application/pdf`.
    """

    name: str
    content: bytes
    type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter.

    Args:
        to: addresses, as in `ann@example.com` or `Ann <ann@example.com>`.
        subject: on one line.
        text: the plain text.
        html: the same as HTML, if it is there too.
        id: the same when it is sent again, so that a reader may show it once; a new one unless given.
        cc: others who get it, seen by all.
        bcc: others who get it, seen by nobody.
        reply_to: where answers go, if not to the sender.
        attachments: files that go along.
    """

    to: Sequence[str]
    subject: str
    text: str
    html: str | None = None
    id: str | None = None
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: Sequence[str] = ()
    attachments: Sequence[Attachment] = ()


class Mailer:
    """Sends mail.

    Args:
        url: `smtp://user:password@host:port`: encrypted if the server can, and always where there is a password that
            would leave this host; `smtp+starttls://`: always, after a plain greeting; `smtps://`: from the first byte.
        sender: who the mail is from.
        timeout: seconds for a letter in all.
        tls: what the server is trusted by.

    Raises:
        ConfigError: the URL or the sender makes no sense.

    Example:
        >>> mailer = Mailer("smtp://127.0.0.1:25", "pgflow@example.com")
        >>> await mailer.send(Mail(["ann@example.com"], "Hello", "..."))     # doctest: +SKIP
    """

    def __init__(self, url: str, sender: str, *, timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in _PORTS or not host:
            raise ConfigError(
                "PGFLOW_SMTP_URL is no URL of a mail server",
                hint="write smtp://host:25, smtp+starttls://user:password@host:587 or smtps://user:password@host:465",
            )
        self._host = host
        self._port = port or _PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._implicit = parts.scheme == "smtps"
        must = parts.scheme == "smtp+starttls" or (self._password is not None and not _is_here(host))
        self._start_tls = False if self._implicit else True if must else None
        self._sender = _address(sender, "PGFLOW_MAIL_FROM")
        self._timeout = timeout
        self._tls = tls

    @classmethod
    def of(cls, settings: Settings) -> Mailer:
        """As the operator has set it up.

        Raises:
            ConfigError: it is not set up, or makes no sense.
        """
        if not settings.smtp_url or not settings.mail_from:
            missing = "PGFLOW_SMTP_URL" if not settings.smtp_url else "PGFLOW_MAIL_FROM"
            raise ConfigError(
                f"no mail can be sent: {missing} is not set",
                hint="set PGFLOW_SMTP_URL=smtp://host:25 and PGFLOW_MAIL_FROM=pgflow@example.com for the workers",
            )
        return cls(settings.smtp_url, settings.mail_from)

    async def send(self, mail: Mail) -> None:
        """Hand a letter to the server.

        Raises:
            ArgumentError: an address is none, or the subject makes no header.
            MailRefused: the server will not take it, or not for every recipient: the others have it then.
            OutboundFailed: the server cannot be reached, or does not take it now.
        """
        message = self._message(mail)
        everybody = [_address(one, "to").addr_spec for one in (*mail.to, *mail.cc, *mail.bcc)]
        client = aiosmtplib.SMTP(
            hostname=self._host, port=self._port, username=self._user, password=self._password,
            use_tls=self._implicit, start_tls=self._start_tls, timeout=self._timeout, tls_context=self._tls,
        )  # fmt: skip
        try:
            async with client:
                refused, _ = await client.send_message(message, recipients=list(dict.fromkeys(everybody)))
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            kind = MailRefused if _is_final(error) else OutboundFailed
            raise kind(f"the mail server {self._host}:{self._port}: {_said(error)}") from None
        if refused:
            whom = ", ".join(sorted(refused))
            raise MailRefused(f"the mail server {self._host}:{self._port} takes no mail for {whom}")

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        if not (mail.to or mail.cc or mail.bcc):
            raise ArgumentError("a mail needs somebody to go to")
        for header, addresses in (("To", mail.to), ("Cc", mail.cc), ("Reply-To", mail.reply_to)):
            if addresses:
                message[header] = [_address(one, header.lower()) for one in addresses]
        message["Subject"] = " ".join(mail.subject.split())
        message["Date"] = format_datetime(datetime.now(UTC))
        domain = self._sender.domain or "pgflow"
        message["Message-ID"] = f"<{mail.id}@{domain}>" if mail.id else make_msgid(domain=domain)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html")
        for file in mail.attachments:
            main, _, sub = file.type.partition("/")
            message.add_attachment(file.content, maintype=main, subtype=sub or "octet-stream", filename=file.name)
        return message


def _address(text: str, where: str) -> Address:
    """One address; a ValueError by nobody's hand: the parser of headers would take a list, or what ends a header."""
    name, _, spec = text.strip().rpartition("<") if text.strip().endswith(">") else ("", "", text.strip() + ">")
    try:
        return Address(name.strip().strip('"'), addr_spec=spec[:-1])
    except (ValueError, IndexError, AttributeError) as error:
        kind = ConfigError if where.startswith("PGFLOW") else ArgumentError
        raise kind(f"{where}: {text!r} is no mail address: {error}") from None


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_final(error: Exception) -> bool:
    """Whether the server has said that it will never take this mail; what it says of logging in may change."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return False
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(500 <= each.code < 600 for each in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and 500 <= error.code < 600


def _said(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(f"{each.recipient}: {each.code} {each.message}" for each in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__
