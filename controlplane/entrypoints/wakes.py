"""Reads what gateways saw of starts from zero (stream `rempart:wakes`) into rows.

The stream is read from its beginning at every start: an entry that was taken over already changes nothing.
"""

from __future__ import annotations

import threading
from typing import cast

import orjson
import redis
import structlog
from sqlalchemy.exc import DBAPIError

from controlplane.deployments import service_observe as deployments
from controlplane.plumbing.context import Context
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.redis import WAKES_STREAM

log = structlog.get_logger()

BLOCK_MS = 1000
BATCH = 100
RETRY_SECONDS = 1.0
LOOP = "wakes"


class WakeReader:
    def __init__(self, context: Context, stopping: threading.Event, pulse: Pulse) -> None:
        self.context = context
        self.stopping = stopping
        self.pulse = pulse
        self.position = "0"

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.read_batch()
                self.pulse.succeeded(LOOP)
            except (redis.RedisError, DBAPIError) as err:
                log.warning("wakes_failed", error=type(err).__name__)
                self.pulse.turned(LOOP)
                self.stopping.wait(RETRY_SECONDS)

    def read_batch(self) -> None:
        """Wait a moment for entries and take over those that came; a wiped stream is read from its new beginning."""
        # The client's types leave the reply of XREAD open; this is its shape in protocol 2.
        batches = cast(
            "list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]",
            self.context.redis.xread({WAKES_STREAM: self.position}, count=BATCH, block=BLOCK_MS),
        )
        if not batches:
            if not self.context.redis.exists(WAKES_STREAM):
                self.position = "0"
            return
        for entry_id, fields in batches[0][1]:
            try:
                wake = orjson.loads(fields[b"wake"])
            except (KeyError, orjson.JSONDecodeError):
                log.warning("wake_unreadable", entry=entry_id.decode())
            else:
                with self.context.database.system() as uow:
                    deployments.record_wake(uow, wake)
            self.position = entry_id.decode()
