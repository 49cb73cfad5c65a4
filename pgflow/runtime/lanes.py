"""In which order a worker's claim visits its lanes: priority first, then queues by weighted chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Set

from pgflow.errors import ConfigError
from pgflow.model import Lane, Priority
from pgflow.sdk.task import check_queue


def parse_queues(texts: tuple[str, ...]) -> dict[str, float]:
    """Queues with their weights, from texts such as `mail` and `reports:3`.

    Raises:
        ConfigError: a weight is not a positive number.
        RegistrationError: a name is none for a queue.
    """
    weights = {}
    for text in texts:
        name, _, weight = text.partition("=")
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            value = 0.0
        if not 0 < value < 1e6:
            raise ConfigError(f"queue {text!r}: the weight is not a positive number", hint="write it as mail=3")
        weights[check_queue(name, "worker")] = value
    return weights


class LaneOrder:
    """The lanes of a worker.

    Within one priority, a queue of weight 3 comes first three times as often as one of weight 1; a claim goes on to
    the next queue when the first has nothing, so no weight leaves slots empty.
    """

    def __init__(self, weights: Mapping[str, float], random: Callable[[], float] = random.random) -> None:
        self._weights = dict(weights)
        self._random = random
        self.paused: Set[str] = frozenset()

    @property
    def queues(self) -> list[str]:
        """Every queue, paused ones included."""
        return list(self._weights)

    def next(self) -> list[Lane]:
        """The lanes for the next claim, in order."""
        open_queues = [queue for queue in self._weights if queue not in self.paused]
        if len(open_queues) > 1:
            # A weighted shuffle: each queue draws a number, and a greater weight draws greater numbers.
            open_queues.sort(key=lambda queue: self._random() ** (1 / self._weights[queue]), reverse=True)
        return [Lane(queue, priority) for priority in Priority for queue in open_queues]
