"""A site to crawl: some thousand pages made up from a seed, and a server for them on the loopback interface.

A site of a given size is the same in every process, so it does not matter which worker's server a page is asked of, nor
whether that worker is still alive when the next one is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

SECTIONS = 25
_WORDS = ("tea", "kettle", "cup", "leaf", "water", "steam", "harbour", "rope", "lantern", "tide", "compass", "sail")


def pages(size: int) -> dict[str, str]:
    """The pages of a site, by path: a front page, sections, and `size` articles spread over them.

    The front page links to the sections, each section to its articles, each article back to its section and to some
    other articles. One in fifty links to a page that is not there.
    """
    rng = random.Random(size)
    sections: list[list[str]] = [[] for _ in range(min(SECTIONS, size))]
    for number in range(size):
        sections[number % len(sections)].append(f"/s{number % len(sections)}/a{number}.html")
    articles = [path for section in sections for path in section]
    found = {"/": _page("Front page", 30, rng, [f"/s{number}/" for number in range(len(sections))])}
    for number, section in enumerate(sections):
        found[f"/s{number}/"] = _page(f"Section {number}", 60, rng, ["/", *section])
        for place, path in enumerate(section):
            links = [f"../s{number}/", *rng.sample(articles, min(4, size)), "https://example.com/elsewhere"]
            if (number + place) % 50 == 0:
                links.append(f"gone-{place}.html")
            found[path] = _page(f"Article {path}", rng.randint(50, 400), rng, links)
    return found


def _page(title: str, words: int, rng: random.Random, links: list[str]) -> str:
    text = " ".join(rng.choices(_WORDS, k=words))
    anchors = "\n".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return f"<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n<ul>\n{anchors}\n</ul>\n"


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextmanager
def served(texts: dict[str, str]) -> Iterator[str]:
    """Serve these pages from the loopback interface. Gives the URL, without a slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = texts.get(self.path, "<h1>Not found</h1>").encode()
            self.send_response(200 if self.path in texts else 404)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@cache
def demo(size: int) -> str:
    """The URL of the site of that size, served by this process from the first call on until it ends."""
    server = served(pages(size))
    _KEPT.append(server)
    return server.__enter__()


_KEPT: list[object] = []
"""A context that nobody holds would be closed."""
