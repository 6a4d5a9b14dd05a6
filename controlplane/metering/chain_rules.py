"""The chain over batches: a stored event that was changed, added or taken away is found. Pure.

Form: chain_n = SHA-256(chain_{n-1} ‖ root ‖ batch id ‖ count), one chain a shard.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable

SHARDS = 4


def decide_shard(source: str) -> int:
    """A producer's batches always lie in one chain."""
    return zlib.crc32(source.encode()) % SHARDS


def decide_root(events: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Sum up a batch of (key, digest of the payload): SHA-256 over (key ‖ digest) in the order of the keys."""
    return hashlib.sha256(b"".join(sorted([key + digest for key, digest in events]))).digest()


def decide_digest(payload: bytes) -> bytes:
    """What stands for a payload in its batch's root."""
    return hashlib.sha256(payload).digest()


def decide_chain(previous: bytes, root: bytes, batch_id: int, count: int) -> bytes:
    """The next link; `repository_ingest` lets the database compute the same when it writes one."""
    return hashlib.sha256(previous + root + batch_id.to_bytes(8, "big") + count.to_bytes(4, "big")).digest()


def first_link(shard: int) -> bytes:
    """What a shard's chain begins with."""
    return hashlib.sha256(f"rempart-usage-{shard}".encode()).digest()
