"""`pgflow token`."""

from __future__ import annotations

import click

from pgflow.access import Role
from pgflow.cli import connection, output
from pgflow.cli.audited import changing
from pgflow.cli.parameters import duration
from pgflow.engine import access
from pgflow.sdk.registry import access as verbs

ROLE = click.Choice([role.word for role in Role])
scopes = click.option(
    "--scope", "scopes", multiple=True, metavar="KIND:PATTERN",
    help="Only this, as in workflow:orders.* or queue:mail. Repeat. Everything unless given.",
)  # fmt: skip


@click.group(cls=output.Group)
def token() -> None:
    """Make, list and revoke tokens for the REST API.

    A viewer may look, an operator may change what runs, an admin may do everything.
    """


@token.command()
@click.argument("name")
@click.option("--role", type=ROLE, required=True)
@scopes
@click.option("--expires", type=duration, help="After so long it is good for nothing, as in 90d. Never unless given.")
def create(name: str, role: str, scopes: tuple[str, ...], expires: float | None) -> None:
    """Make a token, and print it: this once, for it is stored nowhere."""
    with changing() as changes:
        made = changes.drive(
            verbs.create_token(name, Role.of(role), list(scopes) or None, expires, actor=connection.actor())
        )
        changes.tell("token.create", f"token:{name}", after={"role": role, "scopes": scopes or None})
    if output.wants_json():
        output.document({"id": made.token.id, "name": name, "token": made.secret, "expires_at": made.token.expires_at})
        return
    click.echo(made.secret)
    output.note("keep it: it is not shown again")


@token.command("list")
@click.option("--revoked", is_flag=True, help="Also those that were revoked.")
def list_(revoked: bool) -> None:
    """List the tokens, newest first."""
    with connection.session("cli") as session:
        found = [one._asdict() for one in session.run(access.tokens(revoked=revoked, limit=1000))]
    columns = ["id", "name", "shown", "role", "scopes", "created_at", "expires_at", "used_at"]
    output.rows(
        found, columns + ["revoked_at"] * revoked, empty="there are no tokens; `pgflow token create` makes one"
    )  # fmt: skip


@token.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|ID...")
def revoke(names: tuple[str, ...]) -> None:
    """Revoke tokens: within a second they are good for nothing."""
    with changing() as changes:
        revoked = []
        for name in names:
            for one in changes.drive(verbs.revoke_token(name, actor=connection.actor())):
                changes.tell("token.revoke", f"token:{one.name}", before={"role": one.role})
                revoked.append(one.name)
    if output.wants_json():
        output.document({"revoked": revoked})
    output.note(f"revoked {', '.join(revoked)}")
