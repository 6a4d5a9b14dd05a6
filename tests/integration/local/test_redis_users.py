"""From inside each program's Redis user: its own work goes on, and everything of the others is refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError, RedisError

from controlplane.entrypoints import redis_users
from controlplane.entrypoints.wakes import WakeReader
from controlplane.entrypoints.wiring import make_context
from controlplane.gateway import redis_feed
from controlplane.gateway.demand import DemandPublisher, DemandReport
from controlplane.gateway.store import Store
from controlplane.kernel.clock import SystemClock
from controlplane.kernel.ids import EventId
from controlplane.kernel.keyring import parse_keyring
from controlplane.plumbing.celery import DELIVER, make_celery
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.rate_limit import RateLimiter
from controlplane.plumbing.rate_rules import Take, limit_of
from controlplane.plumbing.redis import KEYS_KEY, ROUTING_KEY, connect, publish_snapshot
from controlplane.plumbing.redis_user_rules import USERS
from controlplane.plumbing.settings import Settings
from controlplane.portal.sessions import Sessions
from controlplane.rating.tasks import BUDGETS_KEY
from infra.local.redis import is_ready, program_url, redis_spec, redis_url
from operators.inference import demand as operators_demand
from operators.inference.endpoints import EndpointPublisher
from operators.lib.clock import SystemClock as OperatorsClock
from tests.fixtures.database import TEST_PEPPER, free_port, valkey_binary

PASSWORD = "the-stacks-own"
PART = "rdp_01jd0000000000000000000000"
# What may be done with each key by whom; who is not named may do nothing. One line for each key of docs/contracts.md.
KEYS: Mapping[str, Mapping[str, str]] = {
    "rempart:keys": {"worker": "rw", "gateway": "r"},
    "rempart:routing": {"worker": "rw", "gateway": "r"},
    "rempart:budgets": {"worker": "rw", "gateway": "r"},
    f"rempart:endpoints:{PART}": {"operators": "rw", "gateway": "r"},
    f"rempart:demand:{PART}": {"operators": "r", "gateway": "w"},
    "rempart:wakes": {"watcher": "r", "gateway": "w"},
    "rempart:rate:read:key_1": {"api": "rw"},
    "rempart:portal:session:ab": {"portal": "rw"},
    "rempart:hints:rempart": {"worker": "rw", "relay": "rw"},
    "rempart:hints:unacked": {"worker": "rw", "relay": "rw"},
    "rempart:anything": {},
    "another:program": {},
}
CHANNELS: Mapping[str, Mapping[str, str]] = {
    "rempart:changed": {"worker": "w", "gateway": "rw", "operators": "rw"},
    "rempart:demand": {"gateway": "rw", "operators": "rw"},
    "rempart:hints:/0.celery.pidbox": {},
    "anything": {},
}
READS: tuple[tuple[str, ...], ...] = (
    ("GET", "{key}"), ("MGET", "{key}"), ("GETRANGE", "{key}", "0", "9"), ("GETEX", "{key}", "PERSIST"),
    ("XREAD", "STREAMS", "{key}", "0"), ("LLEN", "{key}"), ("LRANGE", "{key}", "0", "9"), ("SMEMBERS", "{key}"),
    ("HGETALL", "{key}"), ("DUMP", "{key}"), ("COPY", "{key}", "elsewhere"), ("EXISTS", "{key}"),
    ("SORT", "{key}"), ("EVAL", "return redis.call('GET', KEYS[1])", "1", "{key}"),
    ("EVAL", "return redis.call('GET', '{key}')", "0"),
)  # fmt: skip
WRITES: tuple[tuple[str, ...], ...] = (
    ("SET", "{key}", "x"), ("DEL", "{key}"), ("UNLINK", "{key}"), ("XADD", "{key}", "*", "a", "b"),
    ("LPUSH", "{key}", "x"), ("SADD", "{key}", "x"), ("HSET", "{key}", "a", "b"), ("APPEND", "{key}", "x"),
    ("EXPIRE", "{key}", "1"), ("PEXPIRE", "{key}", "1"), ("RENAME", "{key}", "elsewhere"), ("RPOP", "{key}"),
    ("EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "{key}"),
)  # fmt: skip
NOBODY: tuple[tuple[str, ...], ...] = (
    ("KEYS", "*"), ("SCAN", "0"), ("RANDOMKEY",), ("DBSIZE",), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"),
    ("ACL", "LIST"), ("ACL", "SETUSER", "x"), ("ACL", "WHOAMI"), ("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", "1"),
    ("INFO",), ("MONITOR",), ("SAVE",), ("SHUTDOWN", "NOSAVE"), ("REPLICAOF", "NO", "ONE"), ("SCRIPT", "FLUSH"),
    ("FUNCTION", "LIST"), ("PUBSUB", "CHANNELS"), ("SLOWLOG", "GET"), ("SWAPDB", "0", "1"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    port: int

    def url(self, program: str) -> str:
        return program_url(self.port, PASSWORD, program)

    @contextlib.contextmanager
    def client(self, url: str) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(url, protocol=2) as opened:
            yield opened

    def refusals(self) -> list[str]:
        """What Redis refused since it was last asked."""
        with self.client(redis_url(self.port, PASSWORD)) as owner:
            entries = owner.acl_log()
            owner.acl_log_reset()
        return [f"{each['username']}: {each['reason']} {each['object']}" for each in entries]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Redis as the local stack starts it."""
    port = free_port()
    spec = redis_spec(tmp_path_factory.mktemp("stack"), port, PASSWORD)
    assert spec.prepare is not None
    spec.prepare()
    process = subprocess.Popen([*spec.argv], stdout=subprocess.DEVNULL)  # type: ignore[misc]
    try:
        _wait(lambda: is_ready(port, PASSWORD), "Redis answers")
        yield Server(port)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(check: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError):
            if check():
                return
        time.sleep(0.02)
    raise AssertionError(f"waited for {what}")


def _is_let(client: redis.Redis, *command: str) -> bool:
    """Whether the user may do this; what comes of it (a wrong type, nothing there) does not matter."""
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except NoPermissionError:
        return False
    except RedisError as error:
        # A script says of a refusal inside it only this.
        return "ACL failure in script" not in str(error)
    return True


PROGRAMS = [user.program for user in USERS]


@pytest.mark.case("X6")
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_open_to_those_who_work_with_it_alone(server: Server, program: str, key: str) -> None:
    rights = KEYS[key].get(program, "")
    with server.client(server.url(program)) as client:
        for commands, letter in ((READS, "r"), (WRITES, "w")):
            let = [c for c in commands if _is_let(client, *(part.format(key=key) for part in c))]
            assert bool(let) == (letter in rights), f"{program} {key}: {let}"


@pytest.mark.case("X6")
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_each_channel_is_open_to_those_who_work_with_it_alone(
    server: Server, program: str, channel: str
) -> None:
    rights = CHANNELS[channel].get(program, "")
    with server.client(server.url(program)) as client:
        assert _is_let(client, "PUBLISH", channel, "x") == ("w" in rights)
        with client.pubsub() as listening:
            try:
                listening.subscribe(channel)  # type: ignore[no-untyped-call]
                listening.get_message(timeout=5)
            except NoPermissionError:
                assert "r" not in rights
            else:
                assert "r" in rights


@pytest.mark.case("X6")
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_sees_or_changes_the_whole_server(server: Server, program: str) -> None:
    with server.client(server.url(program)) as client:
        assert [command for command in NOBODY if _is_let(client, *command)] == []


@pytest.mark.case("X6")
def test_nobody_gets_in_without_a_password(server: Server) -> None:
    for url in (f"redis://127.0.0.1:{server.port}/0", f"redis://rempart-api:x@127.0.0.1:{server.port}/0"):
        with server.client(url) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def _work_as_worker_and_relay(server: Server, settings: Settings) -> None:
    client = connect(server.url("worker"))
    for key in (KEYS_KEY, ROUTING_KEY, BUDGETS_KEY):
        assert publish_snapshot(client, key, {"version": time.time_ns()})
    client.close()
    hint = [str(EventId.new()), "nobody's"]
    make_celery(server.url("relay")).send_task(DELIVER, args=hint, retry=False)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMPART_")},
        "REMPART_DATABASE_URL": settings.app_database_url.get_secret_value(),
        "REMPART_SYSTEM_DATABASE_URL": settings.system_database_url.get_secret_value(),
        "REMPART_KEY_PEPPER": TEST_PEPPER,
        "REMPART_ENVIRONMENT": "local",
        "REDIS_URL": server.url("worker"),
    }
    with server.client(redis_url(server.port, PASSWORD)) as owner:
        assert owner.llen("rempart:hints:rempart") == 1
        worker = subprocess.Popen(
            [sys.executable, "-m", "controlplane.entrypoints.worker"],
            env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(lambda: owner.llen("rempart:hints:rempart") == 0, "the worker to take the hint")
            _wait(lambda: not owner.exists("rempart:hints:unacked"), "the worker to have done it")
            # The queue's own housekeeping comes round each second.
            time.sleep(2.5)
        finally:
            worker.terminate()
            worker.wait(timeout=30)


async def _work_as_gateway(server: Server, folder: Path) -> None:
    client = redis_feed.connect(server.url("gateway"))
    store = Store(folder)
    store.load()
    feed = redis_feed.RedisFeed(client, store)
    following = asyncio.create_task(feed.run())
    await asyncio.sleep(1)
    assert feed.is_connected
    following.cancel()
    now = datetime.now(UTC)
    assert await DemandPublisher(client).publish([DemandReport(PART, 1, 1, now, now)], is_edge=True)
    await client.xadd("rempart:wakes", {"wake": "no json"}, maxlen=10, approximate=True)
    await client.mget([f"rempart:endpoints:{PART}"])
    await client.aclose()


async def _work_as_operators(server: Server) -> None:
    client, clock = operators_demand.connect(server.url("operators")), OperatorsClock()
    publisher = EndpointPublisher(client, clock)
    assert await publisher.publish(PART, [], is_simulated=False)
    board = operators_demand.DemandBoard(client, clock, lambda: [PART])
    following = asyncio.create_task(board.run())
    await asyncio.sleep(1)
    assert board.is_observable
    assert board.find(PART) is not None
    following.cancel()
    assert await publisher.withdraw(PART)
    await client.aclose()


async def _work_as_api(server: Server) -> None:
    limiter = RateLimiter(server.url("api"))
    take = Take("read:key_1", limit_of(60, 60, 60), 1)
    assert (await limiter.take([take]))[0] == 0
    await limiter.charge(take)
    await limiter.close()


@pytest.mark.case("X6")
def test_the_own_work_of_each_program_is_not_refused(
    server: Server, settings: Settings, tmp_path: Path
) -> None:
    with server.client(redis_url(server.port, PASSWORD)) as owner:
        owner.flushall()
    server.refusals()
    _work_as_worker_and_relay(server, settings)
    asyncio.run(_work_as_gateway(server, tmp_path / "snapshots"))
    asyncio.run(_work_as_operators(server))
    asyncio.run(_work_as_api(server))
    context = make_context(settings.model_copy(update={"redis_url": server.url("watcher")}))
    WakeReader(context, threading.Event(), Pulse(None, ["wakes"])).read_batch()
    context.database.dispose()
    portal = connect(server.url("portal"))
    sessions = Sessions(portal, parse_keyring("1:" + "ab" * 32), SystemClock())
    sessions.ping()
    opened = sessions.open(key="k", key_id="key", role="owner", organization_id="org", name="n")
    assert sessions.find(opened.id) == opened
    sessions.close(opened.id)
    assert sessions.find(opened.id) is None
    portal.close()
    assert server.refusals() == []


@pytest.mark.case("X6")
def test_users_are_made_once_and_their_rules_anew(tmp_path: Path) -> None:
    """The files of `redis_users` open a real server; made again they change no password; what is not ours stays."""
    port, folder = free_port(), tmp_path / "users"
    arguments = ["--folder", str(folder), "--address", f"127.0.0.1:{port}"]
    assert redis_users.main(arguments) == 0
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == {"users.acl", *(f"{program}.env" for program in PROGRAMS)}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    urls = {program: made[f"{program}.env"].strip().removeprefix("REDIS_URL=") for program in PROGRAMS}
    process = subprocess.Popen(
        [valkey_binary(), "--port", str(port), "--bind", "127.0.0.1", "--aclfile", folder / "users.acl", "--save", ""],
        stdout=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    try:
        for url in urls.values():
            with redis.Redis.from_url(url, protocol=2) as client:
                _wait(client.ping, "Redis answers")
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert redis_users.main(arguments) == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    (folder / "portal.env").write_text("somebody's own\n")
    (folder / "api.env").unlink()
    assert redis_users.main(arguments) == 2
    assert not (folder / "api.env").exists()
    assert redis_users.main(["--folder", str(folder), "--address", "nowhere"]) == 2
