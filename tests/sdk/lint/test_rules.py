"""Every rule with what it must say and what it must be silent about."""

from __future__ import annotations

import pytest

from pgflow.sdk.lint import RULES, Level
from tests.sdk.lint.snippets import body, codes

# Each line, or block between blank lines, is a body of its own.
FLAGGED = {
    "PGF101": """
        time.time()

        t = time.monotonic() + time.perf_counter()

        datetime.datetime.now(datetime.UTC)

        datetime.datetime.utcnow()

        datetime.date.today()

        time.strftime("%Y")

        await ctx.step(charge, time.time())

        asyncio.get_running_loop().time()
    """,
    "PGF102": """
        time.sleep(5)

        await asyncio.sleep(5)
    """,
    "PGF103": """
        random.random()

        random.choice(given)

        random.Random().random()

        random.SystemRandom()

        secrets.token_hex(8)

        os.urandom(8)

        np.random.rand(3)

        np.random.default_rng()
    """,
    "PGF104": """
        uuid.uuid4()

        key = str(uuid.uuid1())
    """,
    "PGF105": """
        requests.get("https://example.com")

        requests.Session()

        httpx.post("https://example.com")

        urllib.request.urlopen("https://example.com")

        socket.create_connection(("example.com", 80))

        smtplib.SMTP("example.com")

        psycopg.connect("")

        sqlite3.connect("x.db")

        boto3.client("s3")

        app.client()

        await ctx.client.enqueue(one)
    """,
    "PGF106": """
        open("x")

        io.open("x")

        Path("x").read_text()

        (Path("x") / "y").write_bytes(b"")

        Path("x").parent.exists()

        place = pathlib.Path.cwd()

        os.listdir(".")

        os.path.exists("x")

        shutil.rmtree("x")

        tempfile.mkdtemp()

        glob.glob("*")
    """,
    "PGF107": """
        subprocess.run(["ls"])

        os.system("ls")
    """,
    "PGF108": """
        os.environ["HOME"]

        home = os.environ.get("HOME")

        os.getenv("HOME")

        os.getpid()

        input("?")

        sys.argv[1]
    """,
    "PGF109": """
        await asyncio.gather(ctx.step(one), ctx.step(two))

        task = asyncio.create_task(ctx.step(one))

        await asyncio.wait([one])

        async with asyncio.TaskGroup() as group: pass

        await asyncio.to_thread(one)

        threading.Thread(target=one)

        concurrent.futures.ThreadPoolExecutor()
    """,
    "PGF110": """
        for x in {1, 2}: pass

        for x in set(given): pass

        for x in frozenset(given) - {1}: pass

        found = [x for x in {y for y in given}]

        for x in list(set(given)): pass

        a, b = set(given)

        text = ",".join({"a", "b"})

        first = set(given).pop()

        await ctx.map(resize, set(given))

        await ctx.gather(*{one, two})

        names = set(given)
        for name in names: pass

        names = set()
        names = names | given
        for name in names: pass

        for key in given.keys() & {"a"}: pass

        def each(names: set[str]):
            return [name for name in names]
    """,
    "PGF111": """
        try:
            await ctx.sleep(5)
        except:
            pass

        try:
            await ctx.sleep(5)
        except BaseException as error:
            ctx.log(str(error))

        try:
            return await ctx.run(one)
        except (ValueError, BaseException):
            return None

        try:
            await ctx.sleep(5)
        except BaseException:
            try:
                one()
            except ValueError:
                raise

        with contextlib.suppress(BaseException):
            await ctx.sleep(5)

        try:
            await one(ctx)
        except BaseException:
            pass
    """,
    "PGF112": """
        try:
            ctx.log("x")
        finally:
            return 2

        for x in given:
            try:
                ctx.log("x")
            finally:
                break

        for x in given:
            try:
                ctx.log("x")
            finally:
                if x:
                    continue
    """,
    "PGF113": """
        try:
            await ctx.sleep(5)
        finally:
            one()

        with given.lock():
            await ctx.signal("x", str)

        try:
            one()
        except ValueError:
            await ctx.step(undo)
        finally:
            one()
    """,
    "PGF114": """
        await ctx.step(lambda: 1)

        await ctx.step(lambda x: x, 5)

        await ctx.step(functools.partial(lambda x: x, 5))

        await ctx.step(lambda name: 1, name="goes to the lambda")

        await ctx.step(pgflow.step(lambda: 1))

        await ctx.map(lambda x: x, given)

        ctx.compensate(lambda: 1)

        fetch = lambda: 1
        await ctx.step(fetch)
    """,
    "PGF115": """
        ctx.step(charge, given)

        ctx.sleep(5)

        if given:
            ctx.send_signal(given, "x")

        async def branch():
            ctx.tx(save)
        await branch()

        async def branch():
            await ctx.sleep(1)
        branch()
    """,
    "PGF116": """
        await fetch(given)

        await given

        value = await given.read()

        await (ctx.sleep(1) if given else fetch(1))

        async for row in given.rows(): pass

        async with given.session() as session: pass

        rows = [row async for row in given.rows()]
    """,
    "PGF117": """
        global TOTAL
        TOTAL = 1

        app.total = 1

        json.x[given] += 1

        del app.total

        app.a, local = 1, 2
    """,
    "PGF118": """
        hash(given)

        order = sorted(given, key=lambda x: id(x))
    """,
    "PGF119": """
        print("x")

        logging.info("x")

        log = logging.getLogger(__name__)
        log.warning("x")

        sys.stdout.write("x")
    """,
}
FINE = {
    "PGF101": """
        ctx.now()

        datetime.datetime(2026, 1, 1) + datetime.timedelta(days=1)

        datetime.datetime.fromisoformat(given)

        time.strftime("%Y", given)

        given.now()

        time = given
        time.time()

        await ctx.step(time.time)

        await ctx.step(pgflow.step(lambda: time.time(), name="clock"))

        def clock():
            return time.time()
        await ctx.step(clock)

        await ctx.tx(lambda db: save(db, time.time()))
    """,
    "PGF102": """
        await ctx.sleep(5)

        await ctx.wait(5)
    """,
    "PGF103": """
        ctx.random()

        random.Random(given.seed).random()

        np.random.default_rng(5).integers(10)

        dice = random.Random(7)
        dice.shuffle(given)

        secrets.compare_digest(given, "x")
    """,
    "PGF104": """
        ctx.uuid()

        uuid.UUID(given)

        uuid.uuid5(uuid.NAMESPACE_URL, given)
    """,
    "PGF105": """
        await ctx.step(requests.get, "https://example.com")

        await ctx.step(pgflow.step(lambda: httpx.get(given).json(), name="page"))

        await ctx.tx(lambda db: ctx.client.on(db).enqueue(one))

        raise requests.HTTPError("x")

        limit = httpx.Timeout(5)

        urllib.parse.quote(given)
    """,
    "PGF106": """
        name = Path("x") / "y"
        name.with_suffix(".txt").name

        os.path.join("a", "b")

        given.open()

        def open(x): return x
        open(1)

        await ctx.step(Path("x").read_text)
    """,
    "PGF107": """
        await ctx.step(subprocess.run, ["ls"])

        error = subprocess.CalledProcessError(1, "ls")
    """,
    "PGF108": """
        os.sep

        environ = {}
        environ["HOME"]

        given.environ

        await ctx.step(os.getenv, "HOME")
    """,
    "PGF109": """
        await ctx.gather(ctx.step(one), ctx.step(two))

        await ctx.map(resize, given, concurrency=3)

        error = asyncio.CancelledError()
    """,
    "PGF110": """
        for x in sorted({1, 2}): pass

        for x in sorted(list(set(given))): pass

        for x in sorted(str(y) for y in set(given)): pass

        total = sum(x for x in {1, 2}) + len(set(given)) + max(*{1, 2})

        names = set(given)
        names = sorted(names)
        for name in names: pass

        if given in {"a", "b"}: pass

        both = {x for x in set(given)}

        both = {*set(given)}

        for x in [1, 2]: pass

        for x in {"a": 1}: pass

        given.pop()

        def set(x): return [x]
        for x in set(1): pass

        def each(names: list[str]):
            return [name for name in names]
    """,
    "PGF111": """
        try:
            await ctx.sleep(5)
        except Exception:
            pass

        try:
            await ctx.sleep(5)
        except:
            ctx.log("x")
            raise

        try:
            await ctx.sleep(5)
        except BaseException as error:
            raise error

        try:
            one()
        except:
            pass

        with contextlib.suppress(Exception):
            await ctx.sleep(5)

        try:
            def later():
                return ctx.now()
        except BaseException:
            pass
    """,
    "PGF112": """
        try:
            ctx.log("x")
        finally:
            for x in given:
                break

        try:
            ctx.log("x")
        finally:
            def later():
                return 1

        try:
            one()
        finally:
            pass
    """,
    "PGF113": """
        try:
            one()
        finally:
            two()
        await ctx.sleep(5)

        with contextlib.suppress(ValueError):
            await ctx.sleep(5)

        try:
            await ctx.sleep(5)
        except ValueError:
            pass

        with given.lock():
            ctx.log("x")
    """,
    "PGF114": """
        await ctx.step(pgflow.step(lambda: 1, name="one"))

        await ctx.step(pgflow.step(charge, key="one"))

        await ctx.step("one", lambda: 1)

        await ctx.step(charge, lambda: 1)

        await ctx.tx(lambda db: 1)
    """,
    "PGF115": """
        await ctx.step(charge)

        ctx.log("x")

        ctx.set_state(1)

        ctx.compensate(refund, 1)

        waiting = [ctx.step(charge, x) for x in given]
        await ctx.gather(*waiting)

        ctx.random().shuffle(given)

        given.step(charge)

        def branch():
            return ctx.sleep(1)
        await branch()
    """,
    "PGF116": """
        await ctx.step(charge)

        sleeping = ctx.sleep(1)
        await sleeping

        handle = await ctx.start(charge)
        await handle.result()

        for step in [ctx.step(one), ctx.step(two)]:
            await step

        await helpers.charge(ctx, given)

        async def branch(x):
            await ctx.sleep(x)
        await branch(1)

        step = ctx.step
        await step(charge)

        again = ctx
        await again.sleep(1)

        await (ctx.sleep(1) if given else ctx.sleep(2))

        async for row in ctx.map(charge, given): pass
    """,
    "PGF117": """
        total = {}
        total["a"] = 1

        given.total = 1

        def inner():
            nonlocal given
            given = 1
        inner()
    """,
    "PGF118": """
        given.id()

        id = given
        id(1)
    """,
    "PGF119": """
        ctx.log("x")

        await ctx.step(print, "x")

        log = logging.getLogger(__name__)
    """,
}


def cut(table: dict[str, str]) -> list[tuple[str, str]]:
    """The table's bodies, each with its code."""
    found = []
    for code, text in table.items():
        lines = [line.removeprefix(" " * 8) for line in text.strip("\n").splitlines()]
        found += [(code, part.strip("\n")) for part in "\n".join(lines).split("\n\n") if part.strip()]
    return found


@pytest.mark.parametrize(("code", "text"), cut(FLAGGED))
def test_what_breaks_replay_is_found(code: str, text: str) -> None:
    assert code in codes(body(text))


@pytest.mark.parametrize(("code", "text"), cut(FINE))
def test_what_is_fine_is_not_found(code: str, text: str) -> None:
    assert code not in codes(body(text))


def test_every_rule_has_both_examples() -> None:
    rules = {rule.code for rule in RULES} - {"PGF100"}
    assert rules == FLAGGED.keys() == FINE.keys()
    assert len(RULES) == len({rule.code for rule in RULES})


@pytest.mark.parametrize(("code", "text"), cut(FLAGGED))
def test_a_finding_says_what_and_what_instead_on_one_line_each(code: str, text: str) -> None:
    rule = next(rule for rule in RULES if rule.code == code)
    for finding in body(text):
        if finding.code == code:
            assert finding.level is rule.level
            assert "\n" not in finding.message + finding.hint
            assert "{" not in finding.message or "{" in text
            assert finding.hint == rule.instead


def test_one_call_is_told_once() -> None:
    assert codes(body("await asyncio.sleep(1)")) == ["PGF102"]
    assert codes(body("await asyncio.gather(ctx.step(one))")) == ["PGF109"]


def test_what_may_break_replay_is_a_warning() -> None:
    levels = {rule.code: rule.level for rule in RULES}
    assert [code for code, level in levels.items() if level is Level.WARNING] == [
        "PGF113", "PGF116", "PGF117", "PGF118", "PGF119",
    ]  # fmt: skip


def test_a_plain_workflow_awaits_nothing() -> None:
    assert body("ctx.sleep(5)\nctx.step(charge)\nctx.tx(save)", plain=True) == []


def test_what_the_module_keeps_between_runs_is_found() -> None:
    before = "DICE = random.Random(7)\nSEEN = {}\nLINES: list[str] = []\nclient = app.client()\nWORDS = {'a', 'b'}\n"
    assert codes(body("DICE.random()", before=before)) == ["PGF103"]
    assert codes(body("SEEN['x'] = LINES.append('x')", before=before)) == ["PGF117", "PGF117"]
    assert codes(body("client.enqueue(one)", before=before)) == ["PGF105"]
    assert codes(body("for word in WORDS: pass", before=before)) == ["PGF110"]
    assert body("SEEN = {}\nSEEN['x'] = 1\nSEEN.clear()", before=before) == []
