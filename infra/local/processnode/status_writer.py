"""Write one pod's status: the newest wins, nothing is written twice, a server that is down is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra.local.processnode.api_client import RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS, ApiClient, ApiError
from infra.local.processnode.domain import ContainerRecord
from infra.local.processnode.journal import log
from infra.local.processnode.status_rules import build_annotations, build_status, is_covered


class StatusWriter:
    """Keeps the status at the API server equal to what its pod's record says."""

    def __init__(self, client: ApiClient, pod: Mapping[str, Any], record: ContainerRecord) -> None:
        self.pod = pod
        self.record = record
        self._client = client
        self._dirty = asyncio.Event()
        self._is_clean = asyncio.Event()
        self._is_gone = False

    def observe(self, pod: Mapping[str, Any]) -> None:
        """Take the newest object; a status that somebody else changed is written again."""
        if _version(pod) < _version(self.pod):
            return  # Our own write is newer than this event.
        self.pod = pod
        if not self._is_covered(datetime.now(UTC)):
            self.touch()

    def set_record(self, record: ContainerRecord) -> None:
        """Take a new truth about the container."""
        self.record = record
        self.touch()

    def touch(self) -> None:
        """Ask for a look at the status."""
        self._is_clean.clear()
        self._dirty.set()

    async def flush(self, seconds_max: float) -> bool:
        """Wait until what is known is written; return whether it was, within a bound."""
        if not self._dirty.is_set():
            return True
        try:
            async with asyncio.timeout(seconds_max):
                await self._is_clean.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Write until cancelled."""
        delay = RETRY_FIRST_SECONDS
        while not self._is_gone:
            await self._dirty.wait()
            record = self.record
            try:
                await self._write(record)
            except ApiError as error:
                log("pod_status_delayed", pod=self.pod["metadata"]["name"], error=str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST_SECONDS)
                continue
            delay = RETRY_FIRST_SECONDS
            if record is self.record:
                self._dirty.clear()
                self._is_clean.set()

    async def _write(self, record: ContainerRecord) -> None:
        now = datetime.now(UTC)
        if self._is_covered(now):
            return
        metadata = self.pod["metadata"]
        annotations = build_annotations(record)
        body = {
            "metadata": {"uid": metadata["uid"], "annotations": annotations},
            "status": build_status(self.pod, record, now),
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        try:
            written = await self._client.patch(path, body)
        except ApiError as error:
            if error.status in (404, 409):
                # The pod is gone or another one took its name: there is nobody left to tell.
                self._is_gone = True
                self._is_clean.set()
                return
            raise
        if _version(written) > _version(self.pod):
            self.pod = written

    def _is_covered(self, now: datetime) -> bool:
        wanted = {
            "metadata": {"annotations": build_annotations(self.record)},
            "status": build_status(self.pod, self.record, now),
        }
        return is_covered(wanted, self.pod)


def _version(pod: Mapping[str, Any]) -> int:
    return int(pod["metadata"]["resourceVersion"])
