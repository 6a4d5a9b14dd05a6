"""What is done to a running stack, and in which order: a seed decides both."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
import redis

from tests.simulation.local_stack import LocalStack

PROGRAMS = ("api", "worker", "relay", "beat", "watcher", "operators")
# Beside the programs: the broker gone with all it held, the broker emptied, and one database connection's process
# killed, upon which PostgreSQL ends all others and recovers from its log.
SERVERS = ("redis", "redis flush", "postgres backend")
FAULTS = PROGRAMS + SERVERS
PAUSE_SECONDS = (0.2, 1.6)
# A victim may be starting from the fault before; it is waited for this long.
VICTIM_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1


def plan_faults(source: random.Random, repeats: int) -> list[tuple[float, str]]:
    """Each fault `repeats` times in a random order, each after a random pause in seconds."""
    names = [name for name in FAULTS for _ in range(repeats)]
    source.shuffle(names)
    return [(source.uniform(*PAUSE_SECONDS), name) for name in names]


@dataclass(slots=True)
class Saboteur:
    stack: LocalStack
    source: random.Random
    done: dict[str, int] = field(default_factory=dict)

    def run(self, plan: list[tuple[float, str]]) -> None:
        """Carry out a plan; a fault that finds nobody to hit within its bound fails the test."""
        for pause, name in plan:
            time.sleep(pause)
            deadline = time.monotonic() + VICTIM_SECONDS_MAX
            while not self._strike(name):
                assert time.monotonic() < deadline, f"there was no {name} to hit: it did not come back"
                time.sleep(POLL_SECONDS)
            self.done[name] = self.done.get(name, 0) + 1

    def _strike(self, name: str) -> bool:
        special: dict[str, Callable[[], bool]] = {
            "redis flush": self._flush,
            "postgres backend": self._kill_backend,
        }
        return special[name]() if name in special else self.stack.kill(name)

    def _flush(self) -> bool:
        try:
            with redis.Redis.from_url(self.stack.environment["REDIS_URL"], socket_timeout=2) as client:
                return bool(client.flushall())
        except redis.RedisError:
            return False

    def _kill_backend(self) -> bool:
        query = (
            "SELECT pid FROM pg_stat_activity WHERE usename IN ('rempart_app', 'rempart_system') ORDER BY pid"
        )
        try:
            with psycopg.connect(self.stack.environment["DATABASE_URL"], connect_timeout=2) as connection:
                pids = [row[0] for row in connection.execute(query).fetchall()]
        except psycopg.Error:
            return False
        if not pids:
            return False
        try:
            os.kill(self.source.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True
