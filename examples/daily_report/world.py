"""What the report talks to, for trying it out: a server for the world's time zones, and a mail server that shows mail.

    python examples/daily_report/world.py

The zones are those of the package tzdata, as the time zone database has them. It ends with Ctrl-C.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

ZONES_PORT, MAIL_PORT = 8790, 8725


def zones() -> list[dict[str, str]]:
    """The zones of zone1970.tab: one for each place whose clocks have agreed since 1970."""
    text = (files("tzdata") / "zoneinfo" / "zone1970.tab").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return [
        {"zone": zone, "countries": countries, "coordinates": place, "comments": comments[0] if comments else ""}
        for countries, place, zone, *comments in rows
    ]


@contextmanager
def zones_served(rows: list[dict[str, str]], port: int = 0) -> Iterator[str]:
    """Serve them in pages at `/zones?page=0&limit=100`; each names the next. Gives the server's URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            page, limit = int(query.get("page", ["0"])[0]), int(query.get("limit", ["50"])[0])
            here, more = rows[page * limit : (page + 1) * limit], len(rows) > (page + 1) * limit
            found = asked.path == "/zones"
            body = json.dumps({"zones": here, "next": page + 1 if more else None} if found else {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with _running(ThreadingHTTPServer(("127.0.0.1", port), Handler)) as taken:
        yield f"http://127.0.0.1:{taken}"


@contextmanager
def mail_taken(letters: list[EmailMessage], port: int = 0, show: bool = False) -> Iterator[str]:
    """Take mail and keep it in that list. Gives the server's URL."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 mail")
            while line := self.rfile.readline():
                command = line.decode("latin-1").strip().upper()
                if command.startswith("DATA"):
                    self._say("354 go on")
                    letters.append(self._letter())
                    if show:
                        print(_shown(letters[-1]), flush=True)
                    self._say("250 kept")
                elif command.startswith("QUIT"):
                    self._say("221 bye")
                    return
                else:
                    self._say("250 well")

        def _letter(self) -> EmailMessage:
            lines: list[bytes] = []
            while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                lines.append(line.removeprefix(b"."))
            letter = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(letter, EmailMessage)
            return letter

        def _say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with _running(socketserver.ThreadingTCPServer(("127.0.0.1", port), Session)) as taken:
        yield f"smtp://127.0.0.1:{taken}"


def _shown(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    text = "" if body is None else body.get_content()
    return f"--- mail to {letter['To']}: {letter['Subject']}\n\n{text}"


@contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[int]:
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Serve both until interrupted."""
    socketserver.TCPServer.allow_reuse_address = True
    with zones_served(zones(), ZONES_PORT) as source, mail_taken([], MAIL_PORT, show=True) as mail:
        print(f"zones at {source}/zones, mail at {mail}; Ctrl-C ends it", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
