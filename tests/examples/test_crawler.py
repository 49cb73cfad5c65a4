"""The crawler on a made-up site, with real executors and a real server."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.examples.conftest import Workers

Tasks = dict[str, Task[..., Any]]
pytestmark = pytest.mark.usefixtures("tasks")  # which makes the example importable


def expected(texts: dict[str, str]) -> Any:
    """The report as a plain loop in one process finds it."""
    from crawler.reading import Page, links
    from crawler.tasks import report

    pages: dict[str, Page] = {}
    levels: list[int] = []
    level = ["/"]
    while level:
        for path in level:
            text = texts.get(path)
            pages[path] = Page(path, 200, len(text.encode()), links(path, text)) if text else Page(path, 404, 18, [])
        levels.append(len(level))
        level = [p for p in dict.fromkeys(link for path in level for link in pages[path].links) if p not in pages]
    return report(pages, levels)


async def test_a_site_of_a_thousand_articles_is_crawled_by_its_links(
    workers: Workers, client: AsyncClient, tasks: Tasks
) -> None:
    from crawler import site

    texts = site.pages(1000)
    with site.served(texts) as url:
        async with workers("crawler", processes=2):
            run = await client.start(tasks["crawler.crawl"], url)
            found = await client.result(run, timeout=30)
    assert (found.pages, found.levels[:3]) == (1026, [1, 25, 1000])
    assert len(found.broken) > 10
    assert found == expected(texts)
    assert found.size == sum(len(text.encode()) for text in texts.values())
    told = await client.state(run)
    assert told is not None
    assert told["state"] == {"level": 3, "pages": len(found.broken), "done": 1026}


async def test_the_demo_site_is_served_by_the_workers_themselves(
    workers: Workers, client: AsyncClient, tasks: Tasks
) -> None:
    from crawler import site

    async with workers("crawler", processes=2):
        run = await client.start(tasks["crawler.crawl"], "demo:40", concurrency=7)
        assert await client.result(run, timeout=30) == expected(site.pages(40))


async def test_a_crawl_goes_no_deeper_than_it_is_told(workers: Workers, client: AsyncClient, tasks: Tasks) -> None:
    async with workers("crawler"):
        run = await client.start(tasks["crawler.crawl"], "demo:40", depth=1)
        assert (await client.result(run, timeout=30)).levels == [1, 25]


def test_links_are_those_of_the_same_site_each_once() -> None:
    from crawler.reading import links

    text = '<a href="b.html#top">b</a><a href=b.html>b<a href="../">up</a><a href="http://example.com/x">x</a><a>n</a>'
    assert links("/s/a.html", text + '<a href="//here?x=1">front</a>') == ["/s/b.html", "/"]


def test_a_site_is_the_same_each_time_it_is_made() -> None:
    from crawler import site

    assert site.pages(100) == site.pages(100)
    assert len(site.pages(1000)) == 1026
