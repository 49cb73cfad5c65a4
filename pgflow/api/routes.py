"""All routes, on one screen, with who may use them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgflow.api.backend import Backend
from pgflow.api.gate import Gate
from pgflow.api.live.hub import Hub
from pgflow.api.metering import Meter
from pgflow.api.rates import Rates
from pgflow.api.resources.approvals import Approvals
from pgflow.api.resources.audit import Audit
from pgflow.api.resources.backfills import Backfills
from pgflow.api.resources.bulk import Bulks
from pgflow.api.resources.drafts import Drafts
from pgflow.api.resources.elsewhere import Elsewhere
from pgflow.api.resources.emissions import Emissions
from pgflow.api.resources.events import EventFeed
from pgflow.api.resources.health import Health
from pgflow.api.resources.hooks import Hooks
from pgflow.api.resources.limits import Limits
from pgflow.api.resources.metrics import Metrics
from pgflow.api.resources.node_types import NodeTypes
from pgflow.api.resources.queues import Queues
from pgflow.api.resources.reference import Reference
from pgflow.api.resources.run_control import RunControl
from pgflow.api.resources.run_history import RunHistory
from pgflow.api.resources.runs import Runs
from pgflow.api.resources.schedules import Schedules
from pgflow.api.resources.secrets import Secrets
from pgflow.api.resources.session import Session
from pgflow.api.resources.signals import Signals
from pgflow.api.resources.stats import Statistics
from pgflow.api.resources.subscriptions import Subscriptions
from pgflow.api.resources.table_triggers import TableTriggers
from pgflow.api.resources.tasks import Tasks
from pgflow.api.resources.timers import Timers
from pgflow.api.resources.tokens import Tokens
from pgflow.api.resources.triggers import Triggers
from pgflow.api.resources.users import Users
from pgflow.api.resources.workers import Workers
from pgflow.api.resources.workflows import Workflows
from pgflow.api.routing import (
    ADMIN,
    OPERATOR,
    OPERATOR_IN_SCOPE,
    PUBLIC,
    VIEWER,
    VIEWER_IN_SCOPE,
    Route,
)


@dataclass(frozen=True, slots=True)
class Kit:
    """What resources are made of."""

    backend: Backend
    gate: Gate
    rates: Rates
    reference: Reference
    meter: Meter = field(default_factory=Meter)


def routes(kit: Kit) -> list[Route]:
    """The table. A resource gets what it needs, here."""
    backend, reference = kit.backend, kit.reference
    health = Health(backend)
    workflows, drafts, tasks = Workflows(backend), Drafts(backend), Tasks(backend)
    runs, history, control = Runs(backend), RunHistory(backend), RunControl()
    queues = Queues(backend)
    session = Session(backend, kit.gate, kit.rates)
    elsewhere = Elsewhere(backend, kit.rates)
    tokens = Tokens(backend, kit.gate)
    users = Users(backend, kit.gate)
    audit = Audit(backend)
    hub = Hub(backend, kit.gate, kit.meter)
    metrics = Metrics(backend, kit.meter)
    open_metrics = PUBLIC if backend.settings.api_metrics_open else VIEWER
    events = EventFeed(backend, hub)
    schedules, triggers = Schedules(backend), Triggers(backend)
    subscriptions, limits = Subscriptions(backend), Limits(backend)
    approvals, secrets = Approvals(backend), Secrets(backend)
    tables, types, bulks = TableTriggers(backend), NodeTypes(), Bulks(backend)
    return [
        Route("/healthz", health, "process", get=PUBLIC),
        Route("/readyz", health, get=PUBLIC),
        Route("/metrics", metrics, get=open_metrics),
        Route("/api/v1/health", health, get=PUBLIC),
        Route("/api/v1/openapi.json", reference, get=PUBLIC),
        Route("/api/v1/docs", reference, "page", get=PUBLIC, hidden=True),
        Route("/api/v1/docs/{file}", reference, "file", get=PUBLIC, hidden=True),
        Route("/api/v1/session", session, get=VIEWER_IN_SCOPE, delete=VIEWER_IN_SCOPE, post=PUBLIC),
        Route("/api/v1/session/oidc", elsewhere, get=PUBLIC, hidden=True),
        Route("/api/v1/session/oidc/callback", elsewhere, "callback", get=PUBLIC, hidden=True),
        Route("/api/v1/tokens", tokens, get=ADMIN, post=ADMIN),
        Route("/api/v1/tokens/{id}", tokens, "one", get=ADMIN),
        Route("/api/v1/tokens/{id}/revoke", tokens, "revoke", post=ADMIN),
        Route("/api/v1/users", users, get=ADMIN, post=ADMIN),
        Route("/api/v1/users/{name}", users, "one", get=ADMIN, patch=ADMIN, delete=ADMIN),
        Route("/api/v1/audit", audit, get=ADMIN),
        Route("/api/v1/metrics", metrics, get=VIEWER),
        Route("/api/v1/stats", Statistics(backend), get=VIEWER_IN_SCOPE),
        Route("/api/v1/events", events, get=VIEWER_IN_SCOPE, post=OPERATOR),
        Route("/api/v1/events/ws", events, "socket", get=VIEWER_IN_SCOPE, hidden=True),
        Route("/api/v1/workflows", workflows, get=VIEWER_IN_SCOPE, post=OPERATOR_IN_SCOPE),
        Route("/api/v1/workflows/validate", workflows, "validate", post=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/schema", workflows, "schema", get=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/{name}", workflows, "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/{name}/versions", workflows, "versions", get=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/{name}/versions/{version}", workflows, "version", get=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/{name}/diff", workflows, "diff", get=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/{name}/graph", workflows, "graph", get=VIEWER_IN_SCOPE),
        Route("/api/v1/workflows/{name}/yaml", workflows, "yaml", get=VIEWER_IN_SCOPE),
        Route(
            "/api/v1/workflows/{name}/draft",
            drafts,
            get=VIEWER_IN_SCOPE,
            put=OPERATOR_IN_SCOPE,
            delete=OPERATOR_IN_SCOPE,
        ),
        Route("/api/v1/workflows/{name}/draft/publish", drafts, "publish", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/workflows/{name}/trigger", workflows, "trigger", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs", runs, get=VIEWER_IN_SCOPE, post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs/{id}", runs, "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/history", history, "history", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/tasks", history, "tasks", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/result", history, "result", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/standing", history, "standing", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/graph", history, "graph", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/diff", history, "diff", get=VIEWER_IN_SCOPE),
        Route("/api/v1/runs/{id}/cancel", control, "cancel", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs/{id}/pause", control, "pause", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs/{id}/resume", control, "resume", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs/{id}/signal", control, "signal", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs/{id}/rerun", control, "rerun", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/runs/{id}/fork", control, "fork", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/tasks", tasks, get=VIEWER_IN_SCOPE, post=OPERATOR_IN_SCOPE),
        Route("/api/v1/tasks/{id}", tasks, "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/tasks/{id}/cancel", tasks, "cancel", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/tasks/{id}/redrive", tasks, "redrive", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/dead-letters", tasks, "dead", get=VIEWER_IN_SCOPE),
        Route("/api/v1/dead-letters/redrive", tasks, "dead_redrive", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/queues", queues, get=VIEWER_IN_SCOPE),
        Route("/api/v1/queues/{name}/pause", queues, "pause", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/queues/{name}/resume", queues, "resume", post=OPERATOR_IN_SCOPE),
        Route(
            "/api/v1/queues/{name}/limit",
            limits,
            "one",
            get=VIEWER_IN_SCOPE,
            put=OPERATOR_IN_SCOPE,
            delete=OPERATOR_IN_SCOPE,
        ),
        Route("/api/v1/queues/{name}/ageing", limits, "ageing", put=OPERATOR_IN_SCOPE, delete=OPERATOR_IN_SCOPE),
        Route("/api/v1/limits", limits, get=VIEWER_IN_SCOPE),
        Route("/api/v1/schedules", schedules, get=VIEWER_IN_SCOPE, post=OPERATOR_IN_SCOPE),
        Route(
            "/api/v1/schedules/{name}",
            schedules,
            "one",
            get=VIEWER_IN_SCOPE,
            put=OPERATOR_IN_SCOPE,
            delete=OPERATOR_IN_SCOPE,
        ),
        Route("/api/v1/schedules/{name}/pause", schedules, "pause", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/schedules/{name}/resume", schedules, "resume", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/schedules/{name}/trigger", schedules, "trigger", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/schedules/{name}/backfill", schedules, "backfill", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/schedules/{name}/next", schedules, "next", get=VIEWER_IN_SCOPE),
        Route("/api/v1/schedules/{name}/firings", schedules, "firings", get=VIEWER_IN_SCOPE),
        Route("/api/v1/backfills/{id}", Backfills(backend), "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/cron/explain", schedules, "explain", get=VIEWER_IN_SCOPE),
        Route("/api/v1/triggers", triggers, get=VIEWER_IN_SCOPE, post=OPERATOR_IN_SCOPE),
        Route(
            "/api/v1/triggers/{name}",
            triggers,
            "one",
            get=VIEWER_IN_SCOPE,
            put=OPERATOR_IN_SCOPE,
            delete=OPERATOR_IN_SCOPE,
        ),
        Route("/api/v1/triggers/{name}/pause", triggers, "pause", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/triggers/{name}/resume", triggers, "resume", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/triggers/{name}/rotate", triggers, "rotate", post=ADMIN),
        Route("/api/v1/triggers/{name}/test", triggers, "test", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/table-triggers", tables, get=VIEWER),
        Route("/api/v1/table-triggers/{name}", tables, "one", get=VIEWER, put=ADMIN, delete=ADMIN),
        Route("/hooks/{path:path}", Hooks(backend), post=PUBLIC, hidden=True),
        Route("/api/v1/emissions", Emissions(backend), get=VIEWER),
        Route("/api/v1/signals", Signals(), post=OPERATOR_IN_SCOPE),
        Route("/api/v1/subscriptions", subscriptions, get=VIEWER, post=ADMIN),
        Route("/api/v1/subscriptions/{name}", subscriptions, "one", get=VIEWER, put=ADMIN, delete=ADMIN),
        Route("/api/v1/subscriptions/{name}/enable", subscriptions, "enable", post=OPERATOR),
        Route("/api/v1/subscriptions/{name}/disable", subscriptions, "disable", post=OPERATOR),
        Route("/api/v1/subscriptions/{name}/test", subscriptions, "test", post=OPERATOR),
        Route("/api/v1/subscriptions/{name}/deliveries", subscriptions, "deliveries", get=VIEWER),
        Route("/api/v1/subscriptions/{name}/redeliver", subscriptions, "redeliver", post=OPERATOR),
        Route("/api/v1/workers", Workers(backend), get=VIEWER),
        Route("/api/v1/approvals", approvals, get=VIEWER_IN_SCOPE),
        Route("/api/v1/approvals/{id}", approvals, "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/approvals/{id}/decide", approvals, "decide", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/node-types", types, get=VIEWER_IN_SCOPE),
        Route("/api/v1/node-types/{name}", types, "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/secrets", secrets, get=OPERATOR),
        Route("/api/v1/secrets/check", secrets, "check", get=ADMIN),
        Route("/api/v1/secrets/rotate", secrets, "rotate", post=ADMIN),
        Route("/api/v1/secrets/{name}", secrets, "one", put=ADMIN, delete=ADMIN),
        Route("/api/v1/timers", Timers(backend), get=VIEWER_IN_SCOPE),
        Route("/api/v1/bulk", bulks, get=VIEWER_IN_SCOPE, post=OPERATOR_IN_SCOPE),
        Route("/api/v1/bulk/preview", bulks, "preview", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/bulk/{id}", bulks, "one", get=VIEWER_IN_SCOPE),
        Route("/api/v1/bulk/{id}/cancel", bulks, "cancel", post=OPERATOR_IN_SCOPE),
        Route("/api/v1/bulk/{id}/undo", bulks, "undo", post=OPERATOR_IN_SCOPE),
    ]
