"""Events: one for each step that a person would ask about, shown by `kubectl describe`.

Recording never waits and never fails: an Event is news, not state. The same news about the same object is
one Event whose count grows, written at most every REPEAT_S; its name is made from its content, so that a
restart finds it again. Writing has a rate of its own and a bounded queue: what does not fit is dropped and
counted.
"""

import asyncio
import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass

import structlog

from operators.lib.bucket import TokenBucket
from operators.lib.client import KubernetesClient
from operators.lib.clock import Clock, wire_time
from operators.lib.errors import AlreadyExists, ApiError, NotFound
from operators.lib.objects import EVENTS, Obj, ObjectKey, uid_of

log = structlog.get_logger(__name__)

COMPONENT = "rempart-operators"
# Kubernetes keeps Events for an hour; a repetition is told six times in that time at most.
REPEAT_S = 600.0
RATE_PER_S = 20.0
BURST = 100.0
WAITING_MAX = 1_000
KNOWN_MAX = 10_000
# Limits of the API server for Event.message, and of this file for the object's part of the name.
MESSAGE_LENGTH_MAX = 1024
NAME_PART_MAX = 200


@dataclass(slots=True)
class _News:
    body: Obj
    key: ObjectKey
    count: int
    told_at: float
    is_written: bool = False


class EventRecorder:
    """Takes news at once, writes them in `run`."""

    def __init__(self, client: KubernetesClient, clock: Clock, identity: str) -> None:
        self._client = client
        self._clock = clock
        self._identity = identity
        self._known: OrderedDict[str, _News] = OrderedDict()
        self._waiting: deque[_News] = deque()
        self._woken = asyncio.Event()
        self._bucket = TokenBucket(RATE_PER_S, BURST)

    def record(self, regarding: Obj, reason: str, message: str, *, is_warning: bool = False) -> None:
        """Tell news about `regarding`. Shapes: `reason` is one CamelCase word, `message` a sentence."""
        digest = hashlib.blake2b(
            "\0".join((uid_of(regarding), reason, message)).encode(), digest_size=8
        ).hexdigest()
        now = self._clock.monotonic()
        news = self._known.get(digest)
        if news is not None:
            news.count += 1
            if now - news.told_at < REPEAT_S:
                return
            news.told_at = now
        else:
            news = self._new(regarding, reason, message, digest, is_warning=is_warning)
            self._known[digest] = news
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        if len(self._waiting) >= WAITING_MAX:
            self._client.metrics.events.labels("dropped").inc()
            return
        self._waiting.append(news)
        self._woken.set()

    def _new(self, regarding: Obj, reason: str, message: str, digest: str, *, is_warning: bool) -> _News:
        metadata = regarding["metadata"]
        # Events about objects of cluster scope live in `default`, where kubectl describe looks for them.
        key = ObjectKey(
            metadata.get("namespace") or "default", f"{metadata['name'][:NAME_PART_MAX]}.{digest}"
        )
        at = wire_time(self._clock.now())
        involved = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "uid": uid_of(regarding),
        }
        if metadata.get("namespace"):
            involved["namespace"] = metadata["namespace"]
        body = {
            "apiVersion": "v1",
            "kind": EVENTS.kind,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message[:MESSAGE_LENGTH_MAX],
            "type": "Warning" if is_warning else "Normal",
            "firstTimestamp": at,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._identity,
        }
        return _News(body, key, 1, self._clock.monotonic())

    async def run(self) -> None:
        """Write what was recorded, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                wait_s = self._bucket.reserve(self._clock.monotonic())
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                await self._write(self._waiting.popleft())

    async def _write(self, news: _News) -> None:
        last = {"lastTimestamp": wire_time(self._clock.now()), "count": news.count}
        try:
            if news.is_written:
                try:
                    await self._client.patch(EVENTS, news.key, last, manager=COMPONENT)
                except NotFound:
                    await self._client.create(EVENTS, {**news.body, **last}, manager=COMPONENT)
            else:
                try:
                    await self._client.create(EVENTS, {**news.body, **last}, manager=COMPONENT)
                except AlreadyExists:
                    # Told before a restart.
                    told = {"lastTimestamp": last["lastTimestamp"]}
                    await self._client.patch(EVENTS, news.key, told, manager=COMPONENT)
        except ApiError as err:
            self._client.metrics.events.labels("failed").inc()
            log.warning("event_not_written", reason=news.body["reason"], error=err.message)
        else:
            news.is_written = True
            self._client.metrics.events.labels("written").inc()
