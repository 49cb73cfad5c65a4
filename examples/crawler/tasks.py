"""The crawler's workflow and its one task."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from crawler import reading, site
from crawler.reading import Page
from pgflow import App, Context, RetryPolicy

app = App()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a page is.

    Attributes:
        site: a URL such as `http://127.0.0.1:8000`, or `demo:1000` for a made-up site of as many articles.
        path: of the page, beginning with a slash.
    """

    site: str
    path: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a crawl found.

    Attributes:
        pages: how many pages there are.
        size: of all of them, in bytes.
        links: how many links lead from one of them to another, or to itself.
        levels: how many addresses were met first after no link, after one, after two, ...
        broken: what is not there, with the pages that lead to it.
        popular: the ten pages to which most others lead, with their number.
        largest: the largest page.
    """

    pages: int
    size: int
    links: int
    levels: list[int]
    broken: dict[str, list[str]]
    popular: list[tuple[str, int]]
    largest: str


@app.workflow(name="crawler.crawl")
async def crawl(ctx: Context, site: str = "demo:1000", depth: int = 10, concurrency: int | None = None) -> Report:
    """Crawl a site, level by level: all that the front page leads to, then all that those lead to, and so on.

    Args:
        ctx: the run.
        site: a URL, or `demo:1000` for a made-up one with as many articles.
        depth: how many links to follow from the front page on.
        concurrency: how many pages to ask for at once; all of a level unless given.
    """
    pages: dict[str, Page] = {}
    levels: list[int] = []
    level = ["/"]
    while level and len(levels) <= depth:
        ctx.set_state({"level": len(levels), "pages": len(level), "done": len(pages)})
        found = await ctx.map(page, [Address(site, path) for path in level], concurrency=concurrency)
        pages |= {page.path: page for page in found}
        levels.append(len(level))
        # In the order of the links: a set would have another order in the process that goes on with this run.
        level = [path for path in dict.fromkeys(link for page in found for link in page.links) if path not in pages]
    return report(pages, levels)


@app.task(name="crawler.page", queue="crawler", retry=RetryPolicy(5, base="200ms"), timeout="20s")
def page(address: Address) -> Page:
    """Get one page and read it. A site that cannot be reached is tried again; a page that is not there is an answer."""
    url = address.site
    if url.startswith("demo:"):
        url = site.demo(int(url.removeprefix("demo:")))
    return reading.fetch(url, address.path)


def report(pages: dict[str, Page], levels: list[int]) -> Report:
    """Add up."""
    there = [page for page in pages.values() if page.status == 200]
    linked = Counter(link for page in there for link in page.links)
    gone = sorted(path for path, page in pages.items() if page.status != 200)
    return Report(
        pages=len(there),
        size=sum(page.size for page in there),
        links=sum(link in pages and pages[link].status == 200 for page in there for link in page.links),
        levels=levels,
        broken={path: sorted(page.path for page in there if path in page.links) for path in gone},
        popular=sorted(linked.items(), key=lambda pair: (-pair[1], pair[0]))[:10],
        largest=max(there, key=lambda page: (page.size, page.path)).path if there else "",
    )
