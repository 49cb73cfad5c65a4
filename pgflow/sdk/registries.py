"""What hangs on the clients: a registry a noun, each imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pgflow.config import Settings
from pgflow.sdk.verbs import Steps

if TYPE_CHECKING:
    from pgflow.sdk.registry.approvals import Approvals, AsyncApprovals
    from pgflow.sdk.registry.bulks import AsyncBulks, Bulks
    from pgflow.sdk.registry.schedules import AsyncSchedules, Schedules
    from pgflow.sdk.registry.secrets import AsyncSecrets, Secrets
    from pgflow.sdk.registry.subscriptions import AsyncSubscriptions, Subscriptions
    from pgflow.sdk.registry.table_triggers import AsyncTableTriggers, TableTriggers
    from pgflow.sdk.registry.triggers import AsyncTriggers, Triggers


class Registries:
    """The registries of `Client`."""

    _settings: Settings
    _actor: str | None
    _drive: Callable[[Steps[Any]], Any]

    @property
    def schedules(self) -> Schedules:
        """What the clock starts."""
        from pgflow.sdk.registry.schedules import Schedules

        return Schedules(self._drive, self._actor)

    @property
    def triggers(self) -> Triggers:
        """What HTTP requests and application events start."""
        from pgflow.sdk.registry.triggers import Triggers

        return Triggers(self._drive, self._actor, self._settings)

    @property
    def subscriptions(self) -> Subscriptions:
        """Who is told of events."""
        from pgflow.sdk.registry.subscriptions import Subscriptions

        return Subscriptions(self._drive, self._actor)

    @property
    def secrets(self) -> Secrets:
        """What only tasks may know."""
        from pgflow.sdk.registry.secrets import Secrets

        return Secrets(self._drive, self._settings, self._actor)

    @property
    def approvals(self) -> Approvals:
        """What people are asked to decide."""
        from pgflow.sdk.registry.approvals import Approvals

        return Approvals(self._drive, self._settings, self._actor)

    @property
    def table_triggers(self) -> TableTriggers:
        """What changes of tables start."""
        from pgflow.sdk.registry.table_triggers import TableTriggers

        return TableTriggers(self._drive)

    @property
    def bulk(self) -> Bulks:
        """Many runs changed at once."""
        from pgflow.sdk.registry.bulks import Bulks

        return Bulks(self._drive, self._actor)


class AsyncRegistries:
    """The registries of `AsyncClient`."""

    _settings: Settings
    _actor: str | None
    _drive: Callable[[Steps[Any]], Awaitable[Any]]

    @property
    def schedules(self) -> AsyncSchedules:
        """What the clock starts."""
        from pgflow.sdk.registry.schedules import AsyncSchedules

        return AsyncSchedules(self._drive, self._actor)

    @property
    def triggers(self) -> AsyncTriggers:
        """What HTTP requests and application events start."""
        from pgflow.sdk.registry.triggers import AsyncTriggers

        return AsyncTriggers(self._drive, self._actor, self._settings)

    @property
    def subscriptions(self) -> AsyncSubscriptions:
        """Who is told of events."""
        from pgflow.sdk.registry.subscriptions import AsyncSubscriptions

        return AsyncSubscriptions(self._drive, self._actor)

    @property
    def secrets(self) -> AsyncSecrets:
        """What only tasks may know."""
        from pgflow.sdk.registry.secrets import AsyncSecrets

        return AsyncSecrets(self._drive, self._settings, self._actor)

    @property
    def approvals(self) -> AsyncApprovals:
        """What people are asked to decide."""
        from pgflow.sdk.registry.approvals import AsyncApprovals

        return AsyncApprovals(self._drive, self._settings, self._actor)

    @property
    def table_triggers(self) -> AsyncTableTriggers:
        """What changes of tables start."""
        from pgflow.sdk.registry.table_triggers import AsyncTableTriggers

        return AsyncTableTriggers(self._drive)

    @property
    def bulk(self) -> AsyncBulks:
        """Many runs changed at once."""
        from pgflow.sdk.registry.bulks import AsyncBulks

        return AsyncBulks(self._drive, self._actor)
