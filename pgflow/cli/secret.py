"""`pgflow secret`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict

import click

from pgflow.cli import connection, output
from pgflow.cli.failures import ExitCode
from pgflow.errors import ArgumentError
from pgflow.sdk.secret import check_name, in_environment
from pgflow.sealing import key_id, new_key, read_key


@click.group(cls=output.Group)
def secret() -> None:
    """Keep secrets, sealed, for tasks that ask for them.

    In a task or a step: pgflow.secret("NAME"). No command shows a value.
    """


@secret.command("set")
@click.argument("name")
def set_(name: str) -> None:
    """Store a secret, in the place of the one of that name.

    Its value is asked for, or read from standard input; one line break at its end is taken off.
    """
    check_name(name)
    value = _asked_for(name) if sys.stdin.isatty() else _read()
    with connection.client() as client:
        version = client.secrets.set(name, value)
    if output.wants_json():
        output.document({"name": name, "version": version})
    output.note(f"set {name}, version {version}; workers have it within 30 seconds")
    if name in in_environment():
        output.note(f"the environment here has {name} too, and would win")


def _asked_for(name: str) -> str:
    value: str = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt="once more", err=True)
    return value


def _read() -> str:
    data = sys.stdin.buffer.read()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ArgumentError("standard input is no UTF-8 text", hint="encode bytes as base64") from None
    return text.removesuffix("\n").removesuffix("\r")


@secret.command("list")
def list_() -> None:
    """List the secrets: those stored, and those in the environment here."""
    with connection.client() as client:
        found = [asdict(one) for one in client.secrets.list()]
    columns = ["name", "source", "version", "key_id", "changed_at", "actor"]
    output.rows(found, columns, empty="there are no secrets; `pgflow secret set NAME` stores one")


@secret.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Remove stored secrets."""
    for name in names:
        check_name(name)
    with connection.client() as client:
        removed = client.secrets.remove(*names)
    if output.wants_json():
        output.document({"removed": removed})
    output.note(f"removed {', '.join(removed)}")


@secret.command()
def rotate() -> ExitCode | None:
    """Seal all stored secrets with the newest key.

    The newest is the first of PGFLOW_SECRET_KEYS. Give all workers the new key before, and take the old one out after.
    """
    with connection.client() as client:
        done = client.secrets.rotate()
    if output.wants_json():
        output.document(asdict(done))
    else:
        for one in done.failed:
            output.note(f"{one.name}: {one.why}")
    output.note(f"sealed {len(done.resealed)} with the key {done.key_id}")
    return ExitCode.FAILED if done.failed else None


@secret.command()
def key() -> None:
    """Make a new key.

    Put it before those there are: PGFLOW_SECRET_KEYS=NEW,OLD, or as the first line of PGFLOW_SECRET_KEYS_FILE.
    """
    made = new_key()
    id = key_id(read_key(made))
    if output.wants_json():
        output.document({"key": made, "key_id": id})
        return
    click.echo(made)
    output.note(f"this is the key {id}; who has it and the database can read every secret: keep them apart")


@secret.command()
def check() -> ExitCode | None:
    """Check which secrets can be opened with the keys at hand.

    Ends with status 1 if one cannot be.
    """
    with connection.client() as client:
        found = client.secrets.check()
    output.rows([asdict(one) for one in found], ["name", "state", "key_id", "why"], empty="there are no secrets")
    states = Counter(one.state for one in found)
    if found:
        output.note(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    return ExitCode.FAILED if any(one.bad for one in found) else None
