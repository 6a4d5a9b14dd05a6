"""Which program may do what in Redis: one user for each, and the rules in the language of Redis' ACL. Pure.

A program that is broken into reads and writes what its own work needs, and nothing of the others: no people's sessions,
no key table to put a key into, no address to send prompts to. Source: Redis' ACL (`user … resetkeys %R~… &… +command`);
Valkey and Redis from 7.0 know `%R~` (only read) and `%W~` (only write).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "rempart-"

# What a client says when it connects, or to see whether the other side is still there; no key is seen by it.
_CONNECT = ("ping", "hello", "client|setinfo", "select")
_TRANSACTION = ("multi", "exec", "discard", "watch", "unwatch")
HINTS = "rempart:hints:"
"""Before all keys of the queue of hints (plumbing.celery)."""


@dataclass(frozen=True, slots=True)
class RedisUser:
    """One program's rights. Patterns are Redis' (`*` at the end); `both` may be read and written, `channels` heard and
    spoken on: Redis does not tell the two apart, but for the commands."""

    program: str
    commands: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    both: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return PREFIX + self.program


USERS = (
    # Counts what callers did in buckets (plumbing.rate_limit), in one script.
    RedisUser("api", ("eval", "evalsha", "script|load", "time", "get", "set", "del"), both=("rempart:rate:*",)),
    # Takes hints off the queue (Celery), and tells gateways what is.
    RedisUser(
        "worker",
        (
            *_TRANSACTION, "get", "getrange", "set", "del", "exists", "publish", "brpop", "rpop", "lpush", "rpush",
            "llen", "sadd", "srem", "smembers", "hset", "hget", "hdel", "hlen", "hexists", "zadd", "zrem", "zrange",
            "zrangebyscore", "zrevrangebyscore", "zscore", "eval", "evalsha", "script|load", "time", "pexpire", "pttl",
        ),
        both=(f"{HINTS}*", "rempart:keys", "rempart:routing", "rempart:budgets"),
        channels=("rempart:changed",),
    ),
    # Puts hints on the queue.
    RedisUser("relay", (*_TRANSACTION, "lpush", "llen", "sadd", "smembers"), both=(f"{HINTS}*",)),
    # Takes over what gateways saw of starts from zero.
    RedisUser("watcher", ("xread", "exists"), reads=("rempart:wakes",)),
    # Keeps people's sessions.
    RedisUser("portal", ("set", "getex", "del"), both=("rempart:portal:session:*",)),
    # Follows what the worker and the operators publish; says what is asked for and how starts went.
    RedisUser(
        "gateway",
        ("mget", "subscribe", "unsubscribe", "set", "publish", "xadd"),
        reads=("rempart:keys", "rempart:routing", "rempart:budgets", "rempart:endpoints:*"),
        writes=("rempart:demand:*", "rempart:wakes"),
        channels=("rempart:changed", "rempart:demand"),
    ),
    # Follow demand, say where replicas serve.
    RedisUser(
        "operators",
        (*_TRANSACTION, "mget", "subscribe", "unsubscribe", "set", "del", "publish"),
        reads=("rempart:demand:*",),
        both=("rempart:endpoints:*",),
        channels=("rempart:demand", "rempart:changed"),
    ),
)  # fmt: skip

WITHOUT_REDIS = ("beat", "seed")
"""Programs that never ask Redis anything: they are given no address."""


def find_user(program: str) -> RedisUser:
    """Errors: KeyError for a program that has no user."""
    return {user.program: user for user in USERS}[program]


def acl_line(user: RedisUser, password: str) -> str:
    """Write one user as a line of an ACL file; of the password only its SHA-256 (Redis' own form) stands there."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    patterns = [
        *(f"%R~{each}" for each in user.reads),
        *(f"%W~{each}" for each in user.writes),
        *(f"~{each}" for each in user.both),
    ]
    channels = [f"&{each}" for each in user.channels]
    commands = [f"+{each}" for each in (*_CONNECT, *user.commands)]
    rules = ["reset", "on", f"#{digest}", *patterns, *channels, "-@all", *commands]
    return " ".join(["user", user.name, *rules])


def acl_lines(passwords: Mapping[str, str]) -> list[str]:
    """Write all users. Shape of `passwords`: program to password. Errors: KeyError when one is missing."""
    return [acl_line(user, passwords[user.program]) for user in USERS]
