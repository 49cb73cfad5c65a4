"""The graphs among the examples: on the real engine, with a real HTTP server, mail server and database beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.message import EmailMessage
from typing import Any
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from pgflow.testing.database import database as another
from pgflow.testing.plugin import Engines, pgflow_database, pgflow_engine, pgflow_template
from tests.examples.conftest import EXAMPLES, Workers
from tests.examples.graphs import definition, published

__all__ = ["pgflow_database", "pgflow_engine", "pgflow_template"]

Tasks = dict[str, Task[..., Any]]
pytestmark = pytest.mark.usefixtures("tasks")  # which makes the examples importable


@pytest.fixture(scope="session")
def pgflow_server(server_url: str) -> str:
    """The session's server."""
    return server_url


@pytest.fixture
def scratch(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database that `pgflow dev` has beside the engine's."""
    with another(server_url) as settings:
        monkeypatch.setenv("PGFLOW_SQL_SCRATCH", settings.require_url())
        yield settings.require_url()


@pytest.fixture
def database(database: Settings) -> Settings:
    """With what `pgflow dev` allows."""
    return database.model_copy(
        update={"sql_writable": ["scratch"], "outbound_allow": ["127.0.0.1"], "mail_from": "pgflow@example.com"}
    )


def query(url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(text).fetchall()


class TestDailyReport:
    @pytest.fixture
    def letters(self) -> list[EmailMessage]:
        return []

    @pytest.fixture
    def database(self, database: Settings, letters: list[EmailMessage]) -> Iterator[Settings]:
        from daily_report import world

        with world.mail_taken(letters) as mail:
            yield database.model_copy(update={"smtp_url": mail})

    async def test_the_zones_are_fetched_kept_counted_and_reported(
        self, workers: Workers, client: AsyncClient, letters: list[EmailMessage], scratch: str
    ) -> None:
        """On a day in October and one in January, twice for the first: what is in the table is not doubled."""
        from daily_report import world

        rows = world.zones()
        assert len(rows) > 300
        broken = {"zone": "Sea/Nowhere", "countries": "", "coordinates": "", "comments": ""}
        workflows = await published(client, "daily_report")
        with world.zones_served([*rows, broken]) as source:
            async with workers("daily_report"):
                given = {"source": source, "to": "bob@example.com"}
                for day in ("2024-10-20", "2024-10-20", "2024-01-10"):
                    run = await workflows.start("daily_report", {"day": day, **given})
                    output = await client.result(run, timeout=30)
                    assert output["report"]["zones"] == len(rows)
                    assert output["report"]["dropped"] == 1
        assert [letter["Subject"] for letter in letters] == [
            "The world's clocks on 2024-10-20", "The world's clocks on 2024-10-20", "The world's clocks on 2024-01-10",
        ]  # fmt: skip
        assert [letter["To"] for letter in letters] == ["bob@example.com"] * 3
        october, _, january = (letter.get_content() for letter in letters)
        assert "2024-10-27 by -60 minutes: Africa/Ceuta, " in october
        assert ", Europe/Berlin, " in october
        assert "No clock changes within 14 days." in january
        assert f"Europe: {sum(row['zone'].startswith('Europe/') for row in rows)} zones at " in january
        assert query(scratch, "select day::text, count(*) from zone_of_day group by day order by day") == [
            ("2024-01-10", len(rows)),
            ("2024-10-20", len(rows)),
        ]
        assert query(
            scratch,
            "select countries, round(latitude), round(longitude), minutes, changes_on::text, becomes "
            "from zone_of_day where zone = 'Europe/Andorra' and day = '2024-10-20'",
        ) == [(["AD"], 42, 2, 120, "2024-10-27", 60)]

    async def test_when_there_is_nothing_to_fetch_the_reader_is_told(
        self, workers: Workers, client: AsyncClient, letters: list[EmailMessage], scratch: str
    ) -> None:
        """The run is not failed: the definition has an edge for that."""
        from daily_report import world

        workflows = await published(client, "daily_report")
        with world.zones_served([]) as source:
            async with workers("daily_report"):
                run = await workflows.start("daily_report", {"day": "2024-10-20", "source": f"{source}/not/here"})
                assert await client.result(run, timeout=30) == {"report": None, "mail": None}
        (letter,) = letters
        assert letter["Subject"] == "No report of the world's clocks on 2024-10-20"
        assert "could not be fetched" in letter.get_content()
        assert "404" in letter.get_content()

    async def test_it_is_made_every_morning_at_six_in_berlin(self, client: AsyncClient) -> None:
        await published(client, "daily_report")
        (schedule,) = await client.schedules.list()
        assert schedule.name == "daily_report:schedule"
        for instant in await client.schedules.next(schedule.name, 5):
            local = instant.astimezone(ZoneInfo("Europe/Berlin"))
            assert (local.hour, local.minute) == (6, 0)

    def test_coordinates_become_degrees(self) -> None:
        from daily_report.tasks import Raw, clean

        zones = [
            Raw("Europe/Andorra", "AD", "+4230+00131"),
            Raw("America/New_York", "US", "+404251-0740023"),
            Raw("Asia/Kolkata", "IN", "+2232+08822"),
        ]
        andorra, new_york, kolkata = clean(zones, date(2024, 10, 20))
        assert (andorra.latitude, andorra.longitude) == (42.5, 1.5167)
        assert (new_york.latitude, new_york.longitude) == (40.7142, -74.0064)
        assert (new_york.minutes, new_york.changes_on, new_york.becomes) == (-240, date(2024, 11, 3), -300)
        assert (kolkata.minutes, kolkata.changes_on, kolkata.becomes) == (330, None, None)

    def test_the_server_gives_pages(self) -> None:
        import json

        from daily_report import world

        rows = [{"zone": str(number)} for number in range(5)]
        with world.zones_served(rows) as url:
            pages = [json.loads(urlopen(f"{url}/zones?page={page}&limit=2").read()) for page in range(3)]
        assert [page["next"] for page in pages] == [1, 2, None]
        assert [row for page in pages for row in page["zones"]] == rows


class TestExpenses:
    """Time is skipped: the engine runs in the test's own process."""

    @pytest.fixture
    async def desk(self, pgflow_engine: Engines, pgflow_database: Settings, scratch: str) -> Any:
        from pgflow import App

        engine = pgflow_engine(App())
        engine.settings = engine.settings.model_copy(update={"sql_writable": ["scratch"]})
        self.workflows = await published(engine.client, "expenses")
        return engine

    async def spend(self, engine: Any, **input: Any) -> int:
        run = await self.workflows.start("expenses", {"who": "joe", "what": "a train", "amount": 140, **input})
        await engine.settle()
        return run.id

    async def test_small_sums_are_paid_unasked(self, desk: Any, scratch: str) -> None:
        run = await self.spend(desk, amount=50)
        assert await desk.result(run) == "paid to joe"
        assert await desk.client.approvals.list(state=None) == []
        assert query(scratch, "select run, amount, account, decided_by, paid from expense") == [
            (run, 50, "petty cash", None, True)
        ]

    async def test_what_a_manager_approves_is_paid_as_they_say(self, desk: Any, scratch: str) -> None:
        run = await self.spend(desk)
        (asked,) = await desk.client.approvals.list(assignee="boss@example.com")
        assert asked.title == "joe has spent 140 on a train"
        await desk.client.approvals.decide(
            asked.id, True, actor="boss@example.com", form={"account": "travel", "amount": 120}
        )
        assert await desk.result(run) == "paid to joe"
        assert query(scratch, "select amount, account, decided_by, paid from expense") == [
            (120, "travel", "boss@example.com", True)
        ]

    async def test_after_a_day_the_finance_desk_may_refuse_it(self, desk: Any, scratch: str) -> None:
        run = await self.spend(desk, what="a yacht")
        assert await desk.client.approvals.list(assignee="group:finance") == []
        await desk.advance("25h")
        (asked,) = await desk.client.approvals.list(assignee="group:finance")
        await desk.client.approvals.decide(
            asked.id, False, actor="ann", groups=["group:finance"], comment="not this year"
        )
        assert await desk.result(run) == "refused by ann: not this year"
        assert query(scratch, "select amount, decided_by, paid from expense") == [(140, "ann", False)]

    async def test_what_nobody_decides_is_not_paid(self, desk: Any, scratch: str) -> None:
        run = await self.spend(desk)
        started = datetime.now(UTC)
        assert await desk.result(run) == "nobody has decided; ask again"
        assert (datetime.now(UTC) - started).total_seconds() < 20
        (asked,) = await desk.client.approvals.list(state="expired")
        assert (asked.due_at - asked.asked_at).days == 3
        assert query(scratch, "select * from expense") == []


class TestThumbnails:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def test_broken_pictures_are_left_out(self, workers: Workers, client: AsyncClient, database_url: str) -> None:
        workflows = await published(client, "thumbnails")
        async with workers("thumbnails"):
            few = await workflows.start("thumbnails", {"count": 200})
            many = await workflows.start("thumbnails", {"count": 100, "broken": 4})
            made = await client.result(few, timeout=30)
            assert made.pop("bytes") > 195 * 100
            assert made == {"pictures": 200, "thumbnails": 195, "broken": 5}
            assert await client.result(many, timeout=30) == "only 75 of 100 came out: somebody should look"
        assert query(database_url, "select count(*), max(attempt) from pgflow.outcome where state = 'failed'") == [
            (5 + 25, 1)
        ]
        assert query(database_url, "select distinct queue from pgflow.task where name = 'thumbnails.shrink'") == [
            ("thumbnails",)
        ]

    def test_a_thumbnail_is_a_png_that_shows_the_picture(self) -> None:
        import zlib

        from thumbnails import pictures

        png = pictures.shrunk(b"P6\n8 4\n255\n" + bytes((200, 100, 50)) * 32)
        assert png.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x01\x08\x02")
        (start, end) = png.index(b"IDAT") + 4, png.index(b"IEND") - 8
        assert zlib.decompress(png[start:end]) == b"\0" + bytes((200, 100, 50)) * 2
        with pytest.raises(ValueError, match="100 bytes of the picture are missing"):
            pictures.shrunk(pictures.painted(1)[:-100])


@pytest.mark.parametrize("name", ["daily_report", "expenses", "thumbnails"])
def test_each_has_its_definition_where_it_is_looked_for(name: str) -> None:
    from pgflow.sdk.loading import definition_files

    assert definition(name)["name"] == name
    assert [file.name for file in definition_files(str(EXAMPLES / name))] == [f"{name}.yaml"]
