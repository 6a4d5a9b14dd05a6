"""Redis: hints and the data plane's keys; nothing in it is the only copy of anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import redis

CHANGED_CHANNEL = "rempart:changed"
KEYS_KEY = "rempart:keys"
ROUTING_KEY = "rempart:routing"
WAKES_STREAM = "rempart:wakes"


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, protocol=2, socket_timeout=5, socket_connect_timeout=5, health_check_interval=15
    )


def publish_snapshot(client: redis.Redis, key: str, snapshot: Mapping[str, Any]) -> None:
    """Write a snapshot and tell who listens, in one round trip."""
    pipeline = client.pipeline(transaction=True)
    pipeline.set(key, orjson.dumps(snapshot))
    pipeline.publish(CHANGED_CHANNEL, key)
    pipeline.execute()
