"""Secrets in the config of a work node: the run names them, the worker puts them in.

What a run renders holds anybody's text, such as the answer of a server. Were it rendered again by the worker, whoever
wrote `${secrets.TOKEN}` into that answer would be given the token. So the run tells the worker in which texts secrets
are wanted; the worker looks into these alone, and in them every dollar sign that came from elsewhere is escaped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from pgflow.expression import Template

_DOLLAR = "${'$'}"

Reveal = Callable[[Iterable[str]], Awaitable[Mapping[str, str]]]
Place = list[str | int]


class Render(Protocol):
    """Renders a config, with these names beside those that it knows."""

    def __call__(self, **more: Any) -> dict[str, Any]: ...


def named(config: Mapping[str, Any], render: Render) -> dict[str, Any]:
    """What a worker is given: the config with everything put in but secrets, and where these are wanted."""
    wanted = Template(config).secrets
    if not wanted:
        return {"config": render()}
    mark = uuid4().hex  # nobody can have written it before
    rendered = render(secrets={name: f"{mark}{name}{mark}" for name in wanted})
    places: list[Place] = []
    return {"config": _marked(rendered, mark, [], places), "secrets": places}


def _marked(value: Any, mark: str, place: Place, places: list[Place]) -> Any:
    if isinstance(value, str) and mark in value:
        places.append(place)
        texts = value.split(mark)  # at every other place stands a name
        return "".join(
            f"${{secrets.{text}}}" if number % 2 else text.replace("$", _DOLLAR) for number, text in enumerate(texts)
        )
    if isinstance(value, dict):
        return {key: _marked(one, mark, [*place, key], places) for key, one in value.items()}
    if isinstance(value, list):
        return [_marked(one, mark, [*place, number], places) for number, one in enumerate(value)]
    return value


async def revealed(config: dict[str, Any], places: Iterable[Place], reveal: Reveal) -> dict[str, Any]:
    """The config with secrets in clear, in these places."""
    templates = [(place, Template(_at(config, place))) for place in places]
    secrets = await reveal(sorted({name for _, template in templates for name in template.secrets}))
    for place, template in templates:
        _at(config, place[:-1])[place[-1]] = template.render({"secrets": secrets})
    return config


@dataclass(frozen=True, slots=True)
class Given:
    """A config whose secrets are sealed: as a worker was given it.

    Args:
        config: with `${secrets.NAME}` where secrets are wanted.
        places: where that is.
        more: what else whoever asked for it says, outside of the config.
    """

    config: dict[str, Any]
    places: Sequence[Place] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def part(self, *path: str | int) -> Given:
        """What stands there, as a config of its own."""
        places = [place[len(path) :] for place in self.places if place[: len(path)] == list(path)]
        return Given(_at(self.config, path), places)

    def input(self) -> dict[str, Any]:
        """The same as the input of a task that does a work node."""
        parts = {"config": self.config, "secrets": list(self.places), "more": dict(self.more)}
        return {name: value for name, value in parts.items() if value or name == "config"}

    async def opened(self, reveal: Reveal) -> dict[str, Any]:
        """The config with secrets in clear, for whoever is about to use them."""
        config = deepcopy(self.config)
        return await revealed(config, self.places, reveal) if self.places else config


def _at(value: Any, place: Sequence[str | int]) -> Any:
    for part in place:
        value = value[part]
    return value
