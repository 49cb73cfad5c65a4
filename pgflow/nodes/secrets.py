"""Secrets in the config of a work node: the run names them, the worker puts them in.

What a run renders holds anybody's text, such as the answer of a server. Were it rendered again by the worker, whoever
wrote `${secrets.TOKEN}` into that answer would be given the token. So the run tells the worker in which texts secrets
are wanted; the worker looks into these alone, and in them every dollar sign that came from elsewhere is escaped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
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


def _at(value: Any, place: Place) -> Any:
    for part in place:
        value = value[part]
    return value
