"""The node type `email`."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from pgflow.errors import ArgumentError, ConfigError, Fatal
from pgflow.nodes.base import Config, Desk, Work
from pgflow.outbound.errors import MailRefused

MOST_RECIPIENTS = 100


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Addresses = Annotated[list[str], BeforeValidator(_listed), Field(max_length=MOST_RECIPIENTS)]


class AttachmentConfig(Config):
    """A file that goes along."""

    name: str = Field(min_length=1, max_length=255, pattern=r"^[^/\\\r\n]+$", description="The file's name.")
    content: str = Field(description="What it holds: base64, as an http node gives it with `returns: base64`.")
    type: str = Field(default="application/octet-stream", pattern=r"^[\w.+-]+/[\w.+-]+$", description="Its media type.")


class EmailConfig(Config):
    """A letter."""

    to: Addresses = Field(
        default_factory=list, description="Who gets it: an address, `Ann <ann@example.com>`, or a list."
    )
    cc: Addresses = Field(default_factory=list, description="Others who get it, seen by all.")
    bcc: Addresses = Field(default_factory=list, description="Others who get it, seen by nobody.")
    reply_to: Addresses = Field(default_factory=list, description="Where answers go, if not to the sender.")
    subject: str = Field(min_length=1, max_length=500, description="What it is about; one line.")
    text: str | None = Field(default=None, description="The plain text.")
    html: str | None = Field(default=None, description="The same as HTML.")
    attachments: list[AttachmentConfig] = Field(default_factory=list, max_length=50, description="Files that go along.")

    @model_validator(mode="after")
    def _whole(self) -> EmailConfig:
        if not (self.to or self.cc or self.bcc):
            raise ValueError("somebody has to get it: `to`, `cc` or `bcc`")
        if self.text is None and self.html is None:
            raise ValueError("give `text`, `html` or both")
        return self


class Email(Work[EmailConfig]):
    """Sends a mail."""

    name: ClassVar = "email"
    title: ClassVar = "E-mail"
    description: ClassVar = (
        "Sends a mail through the operator's server (PGFLOW_SMTP_URL, from PGFLOW_MAIL_FROM), and gives {to, id}. "
        "Tried again while the server cannot be reached or says to come back; each attempt has the same Message-ID, "
        "so that a mail which arrives twice can be told."
    )
    config: ClassVar = EmailConfig
    example: ClassVar = {
        "type": "email",
        "config": {
            "to": "${input.recipients}",
            "subject": "Sales of ${input.day}",
            "text": "${nodes.total.output.sum} in all.",
            "attachments": [{"name": "sales.csv", "content": "${nodes.file.output}", "type": "text/csv"}],
        },
    }

    async def work(self, desk: Desk, config: EmailConfig) -> Any:
        """Send it."""
        from pgflow.outbound.mail import Attachment, Mail, Mailer

        try:
            files = [
                Attachment(one.name, base64.b64decode(one.content, validate=True), one.type)
                for one in config.attachments
            ]
        except ValueError:
            raise Fatal("an attachment's content is no base64") from None
        text = config.text if config.text is not None else "This mail is to be read as HTML."
        mail = Mail(
            config.to, config.subject, text, config.html, desk.key, config.cc, config.bcc, config.reply_to, files
        )
        try:
            await Mailer.of(desk.settings).send(mail)
        except (MailRefused, ArgumentError, ConfigError) as error:
            raise Fatal(str(error)) from None
        return {"to": [*config.to, *config.cc, *config.bcc], "id": desk.key}
