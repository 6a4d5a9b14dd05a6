"""Keeps one store equal to the API server: list once, then watch; list again only when told to."""

import asyncio
from dataclasses import dataclass

import structlog

from operators.lib.client import KubernetesClient, WatchEvent
from operators.lib.errors import ApiError, Gone
from operators.lib.metrics import Metrics
from operators.lib.objects import Resource, revision_of
from operators.lib.store import Store

log = structlog.get_logger(__name__)

PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind are cached."""

    resource: Resource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""


class Reflector:
    """Feeds one store. `run` never returns; cancel it."""

    def __init__(self, client: KubernetesClient, store: Store, selection: Selection) -> None:
        self.store = store
        self.selection = selection
        self.synced = asyncio.Event()
        self._client = client
        self._metrics: Metrics = client.metrics
        self._revision = 0

    async def run(self) -> None:
        """List, watch, reconnect, for ever."""
        pause_s = PAUSE_FIRST_S
        reason = "start"
        while True:
            try:
                if reason:
                    await self._list(reason)
                    reason = ""
                await self._watch()
                pause_s = PAUSE_FIRST_S
            except Gone:
                reason = "gone"
                # A server that forgets at once must not be listed in a tight loop.
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            except ApiError as err:
                log.warning(
                    "watch_interrupted", resource=self.selection.resource.plural, status=err.status,
                    error=err.message,
                )  # fmt: skip
                reason = reason or ("" if self._revision else "start")
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _list(self, reason: str) -> None:
        selection = self.selection
        # The first list may be served from the API server's cache; one after Gone must be current.
        found = await self._client.list(
            selection.resource,
            namespace=selection.namespace,
            label_selector=selection.label_selector,
            field_selector=selection.field_selector,
            is_cached=reason == "start",
        )
        self._metrics.relists.labels(selection.resource.plural, reason).inc()
        self._revision = found.revision
        self.store.replace(found.items, found.revision)
        self.synced.set()

    async def _watch(self) -> None:
        selection = self.selection
        async for event in self._client.watch(
            selection.resource,
            revision=self._revision,
            namespace=selection.namespace,
            label_selector=selection.label_selector,
            field_selector=selection.field_selector,
        ):
            self._observe(event)

    def _observe(self, event: WatchEvent) -> None:
        revision = revision_of(event.object)
        if event.type == "DELETED":
            self.store.remove(event.object)
        elif event.type != "BOOKMARK":
            self.store.upsert(event.object)
        self._revision = max(self._revision, revision)
