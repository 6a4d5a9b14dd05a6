"""Keeps one store equal to the API server: list once, then watch; list again only when told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from operators.lib.client import KubernetesClient, WatchEvent
from operators.lib.errors import ApiError, Gone
from operators.lib.metrics import Metrics
from operators.lib.objects import Obj, Resource, revision_of
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
    transform: Callable[[Obj], Obj] | None = None

    def cut(self, obj: Obj) -> Obj:
        """What is kept of `obj`."""
        return obj if self.transform is None else self.transform(obj)


class Rewound(Exception):
    """The API server's history is shorter than what this process has already seen of it."""


class Reflector:
    """Feeds one store. `run` never returns; cancel it.

    A watch is only believed while it goes forward. It is listed anew, from the present and not from the
    API server's own cache, when a revision goes backwards (etcd was restored from a backup), and after every
    connection that broke: whoever was away cannot know that history went on where it had left it.
    """

    def __init__(self, client: KubernetesClient, store: Store, selection: Selection) -> None:
        self.store = store
        self.selection = selection
        # Filled once: controllers may start.
        self.synced = asyncio.Event()
        self._is_current = False
        self._client = client
        self._metrics: Metrics = client.metrics
        self._revision = 0
        self._rewound = asyncio.Event()

    @property
    def revision(self) -> int:
        """The newest revision that this cache has seen."""
        return self._revision

    @property
    def is_current(self) -> bool:
        """Whether the cache follows the API server's present history."""
        return self._is_current

    def observe_present(self, present: int, seen: int) -> None:
        """Compare with the API server's present revision, asked for when this cache was at `seen`."""
        if present < seen and not self._rewound.is_set():
            log.error("history_rewound", resource=self.selection.resource.plural, seen=seen, present=present)
            self._is_current = False
            self._rewound.set()

    async def run(self) -> None:
        """List, watch, reconnect, for ever."""
        pause_s = PAUSE_FIRST_S
        reason = "start"
        while True:
            try:
                if reason:
                    await self._list(reason)
                    reason = ""
                await self._follow()
                pause_s = PAUSE_FIRST_S
            except Rewound:
                reason = "rewound"
                self._is_current = False
            except Gone:
                reason = "gone"
                self._is_current = False
                # A server that forgets at once must not be listed in a tight loop.
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            except ApiError as err:
                log.warning(
                    "watch_interrupted", resource=self.selection.resource.plural, status=err.status,
                    error=err.message,
                )  # fmt: skip
                self._is_current = False
                reason = reason or "interrupted"
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _list(self, reason: str) -> None:
        selection = self.selection
        seen = self._revision
        # The first list may be served from the API server's cache; any later one must be current.
        found = await self._client.list(
            selection.resource,
            namespace=selection.namespace,
            label_selector=selection.label_selector,
            field_selector=selection.field_selector,
            is_cached=reason == "start",
        )
        is_rewound = found.revision < seen
        if is_rewound:
            log.error(
                "history_rewound", resource=selection.resource.plural, seen=seen, present=found.revision
            )
            reason = "rewound"
        self._metrics.relists.labels(selection.resource.plural, reason).inc()
        self._rewound.clear()
        self._revision = found.revision
        items = [selection.cut(item) for item in found.items]
        self.store.replace(items, found.revision, is_rewound=is_rewound)
        self._is_current = True
        self.synced.set()

    async def _follow(self) -> None:
        """Watch until the server ends the watch, or history turns out to have been rewound."""
        watching = asyncio.create_task(self._watch())
        noticing = asyncio.create_task(self._rewound.wait())
        try:
            await asyncio.wait({watching, noticing}, return_when=asyncio.FIRST_COMPLETED)
            if self._rewound.is_set():
                raise Rewound
            watching.result()
        finally:
            for task in (watching, noticing):
                task.cancel()
            await asyncio.wait({watching, noticing})

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
        if revision < self._revision:
            # A watch tells changes in their order: this one belongs to another history.
            raise Rewound
        if event.type == "DELETED":
            self.store.remove(self.selection.cut(event.object))
        elif event.type != "BOOKMARK":
            self.store.upsert(self.selection.cut(event.object))
        self._revision = revision
