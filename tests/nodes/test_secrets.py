"""Where secrets are put in, and where not: the law."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pgflow.expression import Template
from pgflow.nodes.secrets import named, revealed

SECRETS = {"A": "first secret", "B_2": "$second ${secrets.A} secret$"}
PIECES = st.sampled_from(
    ["${secrets.A}", "${secrets.B_2}", "${input.data}", "${input.more}", "$", "$${", "{", "}", "text", " ", "'"]
)
OUTSIDE = st.one_of(
    st.text(alphabet="${}secrtA.'\\ ", max_size=30),
    st.sampled_from(["${secrets.A}", "$${secrets.A}", "$", "${'$'}", "x$", "${secrets.B_2"]),
)


def valid(text: str) -> bool:
    return not Template.problems(text)


TEXTS = st.lists(PIECES, max_size=6).map("".join).filter(valid)
CONFIGS = st.dictionaries(
    st.sampled_from(["url", "headers", "body", "a.b", "[0]"]),
    st.recursive(
        TEXTS | st.integers(-9, 9) | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y.z", ""]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


@given(CONFIGS, OUTSIDE, st.recursive(OUTSIDE, lambda inner: st.lists(inner, max_size=3), max_leaves=4))
async def test_secrets_come_where_the_definition_has_them_and_nowhere_else(config: Any, data: str, more: Any) -> None:
    outside = {"data": data, "more": more}

    def render(**names: Any) -> dict[str, Any]:
        return {field: Template(value).render({"input": outside} | names) for field, value in config.items()}

    async def reveal(wanted: Iterable[str]) -> Mapping[str, str]:
        return {name: SECRETS[name] for name in wanted}

    at_once = render(secrets=SECRETS)
    sent = orjson.loads(orjson.dumps(named(config, render)))
    assert "first secret" not in str(sent)
    assert ("secrets" in sent) == bool(Template(config).secrets)
    given = await revealed(sent["config"], sent.get("secrets", []), reveal)
    assert given == at_once


async def test_what_people_see_of_a_task_reads_like_the_definition() -> None:
    config = {"headers": {"authorization": "Bearer ${secrets.A}"}, "url": "${input.data}"}
    render = partial(lambda value, **names: Template(value).render({"input": {"data": "$9"}} | names), config)
    assert named(config, render) == {
        "config": {"headers": {"authorization": "Bearer ${secrets.A}"}, "url": "$9"},
        "secrets": [["headers", "authorization"]],
    }
