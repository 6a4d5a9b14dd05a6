"""Put a routing snapshot where the gateways read it, never an older one over a newer one."""

from __future__ import annotations

from typing import Any

import orjson
import redis

from controlplane.plumbing.redis import CHANGED_CHANNEL, ROUTING_KEY


def publish(client: redis.Redis, snapshot: dict[str, Any]) -> bool:
    """Write and announce the snapshot; False when the key already holds this or a newer one.

    Errors: redis.WatchError when another worker wrote in between, redis.RedisError when Redis is away.
    """
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch(ROUTING_KEY)  # type: ignore[no-untyped-call]
        if _version(pipeline.get(ROUTING_KEY)) >= snapshot["version"]:
            return False
        pipeline.multi()
        pipeline.set(ROUTING_KEY, orjson.dumps(snapshot))
        pipeline.publish(CHANGED_CHANNEL, ROUTING_KEY)
        pipeline.execute()
    return True


def _version(held: Any) -> int:
    """The number of what stands there; -1 for nothing or for something that is no snapshot."""
    try:
        return int(orjson.loads(held)["version"])
    except (TypeError, KeyError, ValueError):
        return -1
