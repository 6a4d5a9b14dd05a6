"""The commands a person types, on a stack of their own: up, status, logs, restart, down, and kill -9."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from infra.local.paths import REPOSITORY
from infra.local.registry import list_marked, read_start

COMMAND_SECONDS_MAX = 120.0
WAIT_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1


class Stack:
    """The command line on a stack in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if k not in {"KUBECONFIG", "DATABASE_URL", "REDIS_URL"}}
        return subprocess.run(
            [sys.executable, "-m", "infra.local", *arguments],
            cwd=REPOSITORY,
            env=kept | {"REMPART_LOCAL_DIR": str(self.root), **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def up(self, *only: str, **environment: str) -> str:
        done = self.run("up", *(f"--only={name}" for name in only), **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def programs(self) -> dict[str, dict[str, Any]]:
        answer = json.loads(self.run("status", "-o", "json").stdout)
        return {program["name"]: program for program in answer["programs"]}

    def registry(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(
            (self.root / "run" / "processes.json").read_text(encoding="utf-8")
        )
        return content

    def environment(self) -> dict[str, str]:
        lines = shlex.split((self.root / "env").read_text(encoding="utf-8"))
        return dict(line.split("=", 1) for line in lines)

    def supervisor(self) -> int:
        """The supervisor is the parent of what it runs."""
        pid = self.registry()["processes"][0]["pid"]
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "stack")
    yield made
    made.run("down")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for tests that only look: PostgreSQL and Redis."""
    made = Stack(tmp_path_factory.mktemp("running") / "stack")
    made.up("redis", "database")
    yield made
    made.run("down")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS_MAX:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


class TestUpAndDown:
    def test_up_starts_real_servers_and_down_ends_them(self, stack: Stack) -> None:
        said = stack.up("database", "redis")
        assert "postgres" in said
        assert "Up in" in said
        env = stack.environment()
        with psycopg.connect(env["DATABASE_URL"]) as connection:
            row = connection.execute(
                "SELECT current_database(), current_setting('server_version_num')"
            ).fetchone()
            assert row is not None
            assert row[0] == "rempart"
            assert int(row[1]) >= 180000
        with Redis.from_url(env["REDIS_URL"]) as client:
            assert client.ping()
        pids = [row["pid"] for row in stack.registry()["processes"]]
        assert len(pids) == 2
        done = stack.run("down")
        assert done.returncode == 0
        assert "Stopped" in done.stdout
        assert [pid for pid in pids if read_start(pid) is not None] == []
        assert stack.run("status").returncode == 3

    def test_the_data_is_there_again_after_down_and_up(self, stack: Stack) -> None:
        stack.up("database")
        with psycopg.connect(stack.environment()["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept (value int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        before = (stack.root / "secrets.json").read_text(encoding="utf-8")
        stack.run("down")
        stack.up("database")
        with psycopg.connect(stack.environment()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
        assert (stack.root / "secrets.json").read_text(encoding="utf-8") == before

    def test_up_twice_is_one_stack(self, running: Stack) -> None:
        pid = running.programs()["redis"]["pid"]
        assert "already runs" in running.up("redis", "database")
        assert running.programs()["redis"]["pid"] == pid
        other = running.run("up", "--only=database")
        assert other.returncode == 1
        assert "down" in other.stderr

    def test_an_unknown_name_is_refused_with_what_there_is(self, stack: Stack) -> None:
        done = stack.run("up", "--only=redys")
        assert done.returncode == 1
        assert "there is no redys" in done.stderr
        assert "infra" in done.stderr

    def test_secrets_are_readable_by_their_owner_only(self, running: Stack) -> None:
        for name in ("env", "secrets.json", "redis/valkey.conf", "logs/redis.log"):
            assert stat.S_IMODE((running.root / name).stat().st_mode) == 0o600, name
        for name in ("pg", "postgres", "logs", "run", "state"):
            assert stat.S_IMODE((running.root / name).stat().st_mode) == 0o700, name
        password = json.loads((running.root / "secrets.json").read_text(encoding="utf-8"))["redis_password"]
        command_lines = [
            Path(f"/proc/{row['pid']}/cmdline").read_bytes() for row in running.registry()["processes"]
        ]
        logs = [path.read_bytes() for path in (running.root / "logs").iterdir()]
        assert not [text for text in (*command_lines, *logs) if password.encode() in text]

    def test_redis_refuses_who_does_not_know_the_password(self, running: Stack) -> None:
        port = int(running.environment()["REDIS_URL"].rsplit(":", 1)[1].split("/")[0])
        with Redis(host="127.0.0.1", port=port) as client, pytest.raises(Exception, match=r"(?i)auth"):
            client.ping()


class TestGivenServers:
    def test_given_servers_are_used_instead_of_ours(self, stack: Stack) -> None:
        stack.up("redis", DATABASE_URL="postgresql://someone@db.invalid/theirs")
        assert stack.environment()["DATABASE_URL"] == "postgresql://someone@db.invalid/theirs"
        assert stack.environment()["REMPART_DATABASE_URL"] == "postgresql://rempart_app@db.invalid/theirs"
        done = stack.run("up", "--only=postgres", DATABASE_URL="postgresql://someone@db.invalid/theirs")
        assert done.returncode == 1
        assert not (stack.root / "postgres").exists()

    def test_a_shell_that_took_over_our_addresses_still_starts_our_servers(self, stack: Stack) -> None:
        stack.up("redis", "database")
        env = stack.environment()
        stack.run("down")
        stack.up("redis", "database", **env)
        assert stack.environment() == env
        assert {"redis", "postgres"} <= stack.programs().keys()


class TestCrashes:
    def test_a_killed_server_comes_back(self, stack: Stack) -> None:
        stack.up("database")
        first = stack.programs()["postgres"]["pid"]
        os.kill(first, signal.SIGKILL)

        def is_back() -> bool:
            program = stack.programs()["postgres"]
            return bool(program["state"] == "ready" and program["pid"] not in (None, first))

        wait_until(is_back, "PostgreSQL runs again")
        assert stack.programs()["postgres"]["restarts"] >= 1
        with psycopg.connect(stack.environment()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_a_killed_supervisor_leaves_no_orphan_after_a_new_start(self, stack: Stack) -> None:
        stack.up("database", "redis", "kwok")
        before = stack.registry()
        pids = {row["name"]: row["pid"] for row in before["processes"]}
        assert {"postgres", "redis", "etcd", "kube-apiserver", "kwok"} <= pids.keys()
        supervisor = stack.supervisor()
        assert read_start(supervisor) is not None
        os.kill(supervisor, signal.SIGKILL)
        assert "Up in" in stack.up("database", "redis", "kwok")
        assert [name for name, pid in pids.items() if read_start(pid) is not None] == []
        assert list_marked(before["run_id"]) == ()
        after = {row["name"]: row["pid"] for row in stack.registry()["processes"]}
        assert after.keys() == pids.keys()
        assert all(program["state"] in {"ready", "done"} for program in stack.programs().values())

    def test_down_after_a_killed_supervisor_cleans_up(self, stack: Stack) -> None:
        stack.up("redis", "database")
        pids = [row["pid"] for row in stack.registry()["processes"]]
        os.kill(stack.supervisor(), signal.SIGKILL)
        assert stack.run("down").returncode == 0
        assert [pid for pid in pids if read_start(pid) is not None] == []


class TestLogs:
    def test_logs_are_one_view_with_the_programs_name(self, running: Stack) -> None:
        lines = running.run("logs", "-n", "1000").stdout.splitlines()
        assert any(line.startswith("redis") and "Ready to accept connections" in line for line in lines)
        assert any(line.startswith("postgres") and "ready to accept connections" in line for line in lines)
        only = running.run("logs", "redis").stdout.splitlines()
        assert all(line.startswith("redis") for line in only)
        assert running.run("logs", "nobody").returncode == 1
