"""`pgflow user`."""

from __future__ import annotations

import sys

import click

from pgflow.access import Role, check_name
from pgflow.cli import connection, output
from pgflow.cli.audited import changing
from pgflow.cli.token import ROLE, scopes
from pgflow.engine import access
from pgflow.sdk.registry import access as verbs


@click.group(cls=output.Group)
def user() -> None:
    """Make, list and remove those who sign in to the dashboard."""


@user.command()
@click.argument("name")
@click.option("--role", type=ROLE, required=True)
@scopes
@click.option("--elsewhere", is_flag=True, help="Has no password, and signs in through the OpenID Connect provider.")
def create(name: str, role: str, scopes: tuple[str, ...], elsewhere: bool) -> None:
    """Make a user. The password is asked for, or read from standard input."""
    from pgflow.api.passwords import hash_password

    check_name(name, "user")
    hashed = None if elsewhere else hash_password(_password(name))
    with changing() as changes:
        made = changes.drive(
            verbs.create_user(name, Role.of(role), list(scopes) or None, hashed, actor=connection.actor())
        )
        changes.tell("user.create", f"user:{name}", after={"role": role, "scopes": scopes or None})
    if output.wants_json():
        output.document({"id": made.id, "name": name, "role": role})
    output.note(f"made the user {name}, {role}")


@user.command()
@click.argument("name")
def password(name: str) -> None:
    """Give a user another password, which ends all their sessions."""
    from pgflow.api.passwords import hash_password

    hashed = hash_password(_password(name))
    with changing() as changes:
        changes.drive(verbs.change_user(name, password=hashed))
        changes.tell("user.password", f"user:{name}")
    if output.wants_json():
        output.document({"name": name})
    output.note(f"changed the password of {name}, who is signed out everywhere")


@user.command("list")
def list_() -> None:
    """List the users."""
    with connection.session("cli") as session:
        found = [one._asdict() for one in session.run(access.users(limit=10_000))]
    columns = ["name", "role", "scopes", "password", "created_at", "created_by"]
    output.rows(found, columns, empty="there are no users; `pgflow user create` makes one")


@user.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Remove users, who are signed out everywhere."""
    with changing() as changes:
        for name in names:
            removed = changes.drive(verbs.remove_user(name))
            changes.tell("user.remove", f"user:{name}", before={"role": removed.role, "scopes": removed.scopes})
    if output.wants_json():
        output.document({"removed": list(names)})
    output.note(f"removed {', '.join(names)}")


def _password(name: str) -> str:
    if sys.stdin.isatty():
        given: str = click.prompt(f"password of {name}", hide_input=True, confirmation_prompt="once more", err=True)
        return given
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
