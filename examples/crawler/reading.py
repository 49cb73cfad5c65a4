"""What is learned from a page: its size and where it leads. No engine, no database."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection
from urllib.parse import urldefrag, urljoin, urlsplit

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was asked for.

    Attributes:
        path: which.
        status: what the server said: 200, 404.
        size: in bytes.
        links: the paths of the same site that it leads to, each once, in their order.
    """

    path: str
    status: int
    size: int
    links: list[str]


def fetch(site: str, path: str) -> Page:
    """Get a page and read it.

    Raises:
        OSError: the site cannot be reached.
    """
    address = urlsplit(site)
    connection = HTTPConnection(address.hostname or "", address.port or 80, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES)
    finally:
        connection.close()
    is_text = answer.status == 200 and answer.headers.get_content_type() == "text/html"
    return Page(path, answer.status, len(body), links(path, body.decode("utf-8", "replace")) if is_text else [])


def links(path: str, text: str) -> list[str]:
    """The paths of the same site that a page leads to."""
    anchors = _Anchors()
    anchors.feed(text)
    here = f"http://here{path}"
    targets = (urlsplit(urldefrag(urljoin(here, target)).url) for target in anchors.targets)
    return list(dict.fromkeys(target.path or "/" for target in targets if target[:2] == ("http", "here")))


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]
