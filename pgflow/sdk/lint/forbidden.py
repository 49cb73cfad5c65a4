"""The names of what a workflow body may not call, by rule. How a name is spelled: see `rules`."""

from __future__ import annotations


def _listed(text: str) -> tuple[str, ...]:
    """Names from lines such as `time: sleep monotonic`; without a module before them they are whole."""
    found = []
    for line in text.strip().splitlines():
        module, colon, names = line.strip().partition(": ")
        found += [f"{module}.{name}" for name in names.split()] if colon else line.split()
    return tuple(found)


CLOCKS = _listed("""
    time: time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns
    time: thread_time thread_time_ns clock_gettime clock_gettime_ns localtime gmtime ctime strftime
    datetime.datetime: now utcnow today
    datetime.date: today
    asyncio: get_running_loop().time get_event_loop().time
    pandas.Timestamp: now utcnow today
    django.utils.timezone: now localtime localdate
    pendulum: now today yesterday tomorrow
    arrow: now utcnow
""")
CLOCKS_WITHOUT = {"time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.strftime": 2}
"""What reads the clock only when it is given fewer arguments than these."""

WAITS = _listed("""
    time: sleep
    asyncio: sleep
    signal: pause sigwait
    anyio: sleep sleep_until sleep_forever
    trio: sleep sleep_until sleep_forever
    gevent: sleep
""")

CHANCE = _listed("random.* secrets.* numpy.random.* os.urandom os.getrandom")
KNOWN_CHANCE = _listed("secrets.compare_digest numpy.random.Generator")
SEEDED = dict.fromkeys(
    _listed("""
    random: Random
    numpy.random: default_rng RandomState SeedSequence PCG64 Philox MT19937 SFC64
"""),
    1,
)
"""What is the same at every replay when it is given a seed."""
SHARED_CHANCE = _listed(
    "random.Random().* random.SystemRandom().* numpy.random.default_rng().* numpy.random.RandomState().*"
)
"""What goes on from where the process left it, if the module holds it."""

UUIDS = _listed("uuid: uuid1 uuid4 uuid6 uuid7 uuid8 getnode")

HARMLESS = _listed("""
    *Error *Exception *Warning *.exceptions.* urllib3.util.* botocore.config.* boto3.dynamodb.conditions.*
    httpx: URL Timeout Headers Limits Request Response QueryParams Cookies BasicAuth DigestAuth
    requests: Request Response
    aiohttp: ClientTimeout BasicAuth FormData
    socket: inet_aton inet_ntoa inet_pton inet_ntop htons ntohs htonl ntohl
    subprocess: list2cmdline
    threading: local
""")
"""What these modules hold that does nothing outside."""

_CLIENTS = _listed("""
    requests: Session session
    httpx: Client AsyncClient
    aiohttp: ClientSession
    urllib3: PoolManager
    http.client: HTTPConnection HTTPSConnection
    smtplib: SMTP SMTP_SSL
    socket: socket create_connection
    psycopg: connect Connection AsyncConnection Connection.connect AsyncConnection.connect
    psycopg_pool: ConnectionPool AsyncConnectionPool
    psycopg2: connect
    asyncpg: connect create_pool
    sqlite3: connect
    aiosqlite: connect
    pymysql: connect
    MySQLdb: connect
    mysql.connector: connect
    sqlalchemy: create_engine
    sqlalchemy.orm: Session
    sqlalchemy.ext.asyncio: create_async_engine AsyncSession
    redis: Redis StrictRedis from_url Redis.from_url
    redis.asyncio: Redis from_url Redis.from_url
    pymongo: MongoClient
    boto3: client resource Session
    pgflow: Client AsyncClient App().client App().async_client
""")
NETWORK = (
    *_CLIENTS,
    *(f"{client}().*" for client in _CLIENTS),
    *_listed("""
    requests.* httpx.* aiohttp.* urllib.request.* urllib3.* http.client.* socket.* smtplib.* imaplib.* poplib.* ftplib.*
    telnetlib.* xmlrpc.client.* aiosmtplib.* paramiko.* asyncssh.* boto3.* aioboto3.* botocore.* websocket.*
    asyncio: open_connection start_server open_unix_connection start_unix_server
    grpc: *_channel
    websockets: connect
    pika: *Connection
    aio_pika: connect*
    kafka: Kafka*
    openai: **
    anthropic: **
"""),
)

FILES = _listed("""
    builtins: open
    io: open FileIO
    codecs: open
    pathlib.Path**: read_text read_bytes write_text write_bytes open exists is_file is_dir is_symlink iterdir glob rglob
    pathlib.Path**: walk mkdir rmdir unlink touch rename replace stat lstat chmod symlink_to hardlink_to readlink
    pathlib.Path**: samefile owner group resolve cwd home expanduser
    os: open read write remove unlink mkdir makedirs rmdir removedirs listdir scandir walk rename renames replace
    os: stat lstat chmod chown link symlink readlink truncate utime access chdir
    os.path: exists lexists isfile isdir islink getsize getmtime getatime getctime realpath samefile
    shutil.* tempfile.* fileinput.* aiofiles.* anyio.open_file
    glob: glob iglob
    gzip: open
    bz2: open
    lzma: open
    tarfile: open
    zipfile: ZipFile
    pandas: read_*
    numpy: load save savez loadtxt savetxt
""")
PROGRAMS = _listed("""
    subprocess.* pexpect.*
    os: system popen fork forkpty kill killpg exec* spawn* posix_spawn* startfile
    asyncio: create_subprocess_exec create_subprocess_shell
""")
PROCESS = _listed("""
    builtins: input
    os: getenv getenvb putenv unsetenv getpid getppid getcwd getlogin getuid cpu_count uname getloadavg
    platform: node uname
    getpass: getuser getpass
    threading: current_thread get_ident get_native_id
    decouple: config
    dotenv.*
""")
PROCESS_VALUES = frozenset(_listed("os.environ os.environb sys.argv sys.stdin"))

CONCURRENCY = _listed("""
    threading.* _thread.* multiprocessing.* concurrent.futures.* concurrent.futures.*Executor().*
    asyncio: gather create_task ensure_future wait wait_for as_completed shield timeout timeout_at to_thread run Runner
    asyncio: run_coroutine_threadsafe TaskGroup TaskGroup().create_task new_event_loop Queue PriorityQueue LifoQueue
    asyncio: Event Lock Semaphore BoundedSemaphore Condition Barrier
    asyncio: get_running_loop().* get_event_loop().* new_event_loop().*
    anyio: create_task_group to_thread.run_sync from_thread.run move_on_after fail_after run
    trio: open_nursery to_thread.run_sync move_on_after fail_after run
    gevent: spawn joinall
    joblib: Parallel
""")

_LEVELS = "debug info warning warn error critical exception log"
PRINTERS = _listed(f"""
    builtins: print
    pprint: pprint pp
    rich: print
    sys: stdout.write stderr.write stdout.flush stderr.flush
    warnings: warn
    logging: {_LEVELS}
    logging.getLogger(): {_LEVELS}
    structlog.get_logger(): {_LEVELS}
    structlog.stdlib.get_logger(): {_LEVELS}
    loguru.logger: {_LEVELS} success trace
""")
