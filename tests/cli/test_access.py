"""`pgflow token` and `pgflow user`."""

from __future__ import annotations

import pytest

from pgflow import access
from pgflow.engine import access as verbs
from tests.cli.conftest import Cli, invoke
from tests.fixtures.database import Engine


def test_a_token_is_printed_once_listed_and_revoked(cli: Cli, engine: Engine) -> None:
    made = cli("token", "create", "deploy", "--role", "operator", "--scope", "workflow:orders.*", "--expires", "90d")
    token = made.out.strip()
    found = engine.run(verbs.by_token(access.digest(token)))
    assert (found.principal.actor, found.principal.scopes) == ("token:deploy", ("workflow:orders.*",))
    assert found.left == pytest.approx(90 * 86400, abs=60)
    listed = cli("token", "list", "--json")
    assert [(one["name"], one["shown"], one["role"]) for one in listed.json] == [("deploy", token[:8], "operator")]
    assert token not in listed.out
    assert cli("token", "create", "deploy", "--role", "viewer").code == 2
    assert cli("token", "revoke", "deploy", "--json").json == {"revoked": ["deploy"]}
    assert engine.run(verbs.by_token(access.digest(token))) is None
    assert cli("token", "revoke", "deploy").code == 3
    told = engine.query("select action, target, actor from pgflow.audit_entry order by id")
    assert [(action, target) for action, target, _ in told] == [
        ("token.create", "token:deploy"), ("token.revoke", "token:deploy"),
    ]  # fmt: skip
    assert all(actor.startswith("cli:") for _, _, actor in told)


def test_a_user_is_made_with_a_password_listed_changed_and_removed(cli: Cli, engine: Engine) -> None:
    from pgflow.api.passwords import fits

    def create(password: str) -> int:
        return invoke("user", "create", "ann", "--role", "admin", input=password + "\n").code

    assert create("short") == 2
    assert create("correct horse") == 0
    assert create("correct horse") == 2
    _, stored = engine.run(verbs.user("ann"))
    assert fits(stored, "correct horse")
    assert not fits(stored, "correct house")
    assert [(one["name"], one["role"]) for one in cli("user", "list", "--json").json] == [("ann", "admin")]
    assert invoke("user", "password", "ann", input="battery staple\n").code == 0
    assert fits(engine.run(verbs.user("ann"))[1], "battery staple")
    assert cli("user", "remove", "ann").code == 0
    assert cli("user", "remove", "ann").code == 3
    assert [action for (action,) in engine.query("select action from pgflow.audit_entry order by id")] == [
        "user.create", "user.password", "user.remove",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "workflow", "queue", "reaches"),
    [
        ("workflow:orders.*", "orders.ship", None, True),
        ("workflow:orders.*", "orders", None, False),
        ("workflow:*", "anything", None, True),
        ("workflow:a.b", "aXb", None, False),
        ("queue:mail", None, "mail", True),
        ("queue:mail", "mail", None, False),
        ("queue:m*l", None, "mail-and-more", False),
        ("workflow:orders.*", "payroll\norders.x", None, False),
    ],
)
def test_a_scope_reaches_what_its_pattern_fits_and_no_more(
    scope: str, workflow: str | None, queue: str | None, reaches: bool
) -> None:
    who = access.Principal("token", 1, "t", access.Role.VIEWER, (scope,))
    assert who.reaches(workflow=workflow, queue=queue) is reaches


def test_scopes_mean_the_same_in_sql(engine: Engine) -> None:
    names = ["orders.ship", "orders", "a.b", "aXb", "a_b", "aab", "50%", "500", "x\\y", "xy"]
    for pattern in ("orders.*", "*", "a.b", "a_b", "a*b", "*_*", "x*"):
        who = access.Principal("token", 1, "t", access.Role.VIEWER, (f"workflow:{pattern}",))
        ((found,),) = engine.query(
            "select array_agg(n) filter (where n like any(%s::text[])) from unnest(%s::text[]) n",
            who.likes("workflow"), names,
        )  # fmt: skip
        assert (found or []) == [name for name in names if who.reaches(workflow=name)], pattern
