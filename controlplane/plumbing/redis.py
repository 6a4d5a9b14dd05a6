"""Redis: hints and the data plane's keys; nothing in it is the only copy of anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import redis

from controlplane.kernel.errors import Unavailable

CHANGED_CHANNEL = "rempart:changed"
KEYS_KEY = "rempart:keys"
ROUTING_KEY = "rempart:routing"
WAKES_STREAM = "rempart:wakes"
# A few workers publish a key every few seconds: two in one moment happen, four hardly.
PUBLISH_ROUNDS_MAX = 4
HEAD_BYTES = 64
_HEAD = re.compile(rb'\{"version":\s?(\d{1,20})[,}]')


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, protocol=2, socket_timeout=5, socket_connect_timeout=5, health_check_interval=15
    )


def publish_snapshot(client: redis.Redis, key: str, snapshot: Mapping[str, Any]) -> bool:
    """Write a snapshot and tell who listens; False when the key already holds this `version` or a newer one.

    A worker that was held up between reading and writing so never puts an older state over a newer one.
    Errors: Unavailable when others keep writing at the same moment, redis.RedisError when Redis is away.
    """
    for _ in range(PUBLISH_ROUNDS_MAX):
        with client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)  # type: ignore[no-untyped-call]
            if _version(pipeline.getrange(key, 0, HEAD_BYTES - 1)) >= snapshot["version"]:
                return False
            pipeline.multi()
            pipeline.set(key, orjson.dumps({"version": snapshot["version"], **snapshot}))
            pipeline.publish(CHANGED_CHANNEL, key)
            try:
                pipeline.execute()
            except redis.WatchError:
                continue
        return True
    raise Unavailable(f"Others keep writing {key}; it is published again.")


def _version(head: Any) -> int:
    """The number of what stands there, from its first bytes; -1 for nothing or for something that is no snapshot.

    A snapshot of many megabytes is not fetched and read for one number: its writer puts `version` first.
    """
    found = _HEAD.match(head) if isinstance(head, bytes) else None
    return -1 if found is None else int(found[1])
