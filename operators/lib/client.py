"""A lean REST client for one API server: raw JSON by orjson, typed errors, bounded retries, a rate limit.

The official client costs five times the CPU per object on the paths that matter here, so it is used
for reading the kubeconfig only. Every write names its field manager.
"""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import orjson

from operators.lib.access import Access
from operators.lib.bucket import TokenBucket
from operators.lib.clock import Clock, SystemClock
from operators.lib.defaults import with_defaults
from operators.lib.errors import ApiError, Gone, NotFound, TooManyRequests, Unavailable, error_for
from operators.lib.metrics import Metrics
from operators.lib.objects import Obj, ObjectKey, Resource, key_of, revision_of, uid_of
from operators.lib.patch_rules import is_part_of, merge_patch

# One attempt and three more: an API server that restarts is back in seconds, longer is the queue's work.
ATTEMPTS_MAX = 4
RETRY_FIRST_S = 0.1
RETRY_AFTER_MAX_S = 5.0
REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
# The server closes a watch after this long; bookmarks come about every minute, so silence is a dead peer.
WATCH_TIMEOUT_S = 290
WATCH_SILENCE_S = 90.0
# etcd refuses objects above 1.5 MiB; JSON may be twice that.
WATCH_LINE_BYTES_MAX = 8 * 1024 * 1024
CONNECTIONS_MAX = 64
APPLIED_MAX = 20_000
# Of the requests per second, what evictions may use.
DRAIN_SHARE = 0.1
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class ObjectList:
    """Objects and the revision they were read at."""

    items: list[Obj]
    revision: int


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Obj


@dataclass(frozen=True, slots=True)
class _Applied:
    digest: bytes
    uid: str
    revision: int

    def is_settled(self, digest: bytes, wanted: Obj, cached: Obj) -> bool:
        """Whether applying `wanted` again would change nothing of `cached`.

        An older revision is no proof: it may come of a restored backup.
        """
        is_same = self.digest == digest and self.uid == uid_of(cached)
        return is_same and (revision_of(cached) == self.revision or is_part_of(wanted, cached))


class KubernetesClient:
    """One connection pool to one API server. Use as an async context manager."""

    def __init__(
        self,
        access: Access,
        *,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        qps: float = 300.0,
        user_agent: str = "rempart-operators",
    ) -> None:
        self.metrics = metrics or Metrics()
        self._access = access
        self._clock: Clock = clock or SystemClock()
        drain_qps = qps * DRAIN_SHARE
        # A burst of drains must not hold up the wake of a service: each has its own share of the rate.
        self._bucket = TokenBucket(qps - drain_qps, max(qps * 2, 1.0))
        self.evictions = TokenBucket(drain_qps, max(drain_qps * 2, 1.0))
        self._user_agent = user_agent
        self._applied: OrderedDict[tuple[str, ObjectKey, str, str], _Applied] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "KubernetesClient":
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=self._access.tls or True)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": self._user_agent})
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource, key: ObjectKey) -> Obj:
        """Read one object. Errors: NotFound, Unavailable."""
        return self._strip(resource, await self._call("GET", resource, resource.path(key)))

    async def find(self, resource: Resource, key: ObjectKey) -> Obj | None:
        """Read one object, None if there is none."""
        try:
            return await self.get(resource, key)
        except NotFound:
            return None

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        is_cached: bool = False,
    ) -> ObjectList:
        """Read a collection; `is_cached` accepts the API server's watch cache (resourceVersion=0)."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query["resourceVersion"] = "0" if is_cached else ""
        body = await self._call("GET", resource, resource.path(namespace=namespace), query=query)
        items = [self._strip(resource, item) for item in body.get("items") or []]
        return ObjectList(items, int(body["metadata"]["resourceVersion"]))

    async def present_revision(self, resource: Resource) -> int:
        """The revision of the store behind this kind now, not that of the API server's own cache."""
        body = await self._call("GET", resource, resource.path(), query={"limit": "1"}, attempts_max=1)
        return int(body["metadata"]["resourceVersion"])

    async def create(self, resource: Resource, obj: Obj, *, manager: str) -> Obj:
        """Create. Errors: AlreadyExists, Invalid, NotFound (namespace missing)."""
        namespace = obj["metadata"].get("namespace", "")
        path = resource.path(namespace=namespace)
        return self._strip(
            resource, await self._call("POST", resource, path, obj, query={"fieldManager": manager})
        )

    async def apply(
        self,
        resource: Resource,
        obj: Obj,
        *,
        manager: str,
        cached: Obj | None = None,
        subresource: str = "",
        is_forced: bool = True,
    ) -> Obj | None:
        """Server-side apply; None when left out because `cached` already is what was last applied.

        Left out only if the same bytes were applied by this process to this very object and nothing of
        them has been changed since. Errors: Conflict (unless forced), Invalid, NotFound.
        """
        key = key_of(obj)
        digest = hashlib.blake2b(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
        memo = (resource.plural, key, manager, subresource)
        last = self._applied.get(memo)
        if cached is not None and last is not None and last.is_settled(digest, obj, cached):
            self.metrics.api_skipped.labels(resource.plural).inc()
            return None
        query = {"fieldManager": manager, "force": "true" if is_forced else "false"}
        path = resource.path(key, subresource=subresource)
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        answer = self._strip(
            resource,
            await self._call("PATCH", resource, path, body, query, "application/apply-patch+yaml"),
        )
        self._applied[memo] = _Applied(digest, uid_of(answer), revision_of(answer))
        self._applied.move_to_end(memo)
        while len(self._applied) > APPLIED_MAX:
            self._applied.popitem(last=False)
        return answer

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Obj, *, manager: str, subresource: str = ""
    ) -> Obj:
        """JSON merge patch. Put metadata.resourceVersion or uid into `patch` to guard it.

        Errors: NotFound, Conflict, Invalid.
        """
        path = resource.path(key, subresource=subresource)
        return self._strip(
            resource,
            await self._call(
                "PATCH", resource, path, patch, {"fieldManager": manager}, "application/merge-patch+json"
            ),
        )

    async def patch_status(self, resource: Resource, cached: Obj, status: Obj, *, manager: str) -> Obj | None:
        """Set the status of `cached`; None when left out because it is equal. Guarded by uid.

        Shapes: `status` is complete; keys of the old status that it lacks are removed. The defaults of
        the kind's schema are filled in first, as the API server does: what it adds is no difference.
        Errors: NotFound, Conflict (another object has the name now), Invalid.
        """
        old: Mapping[str, Any] = cached.get("status") or {}
        status = with_defaults(resource.plural, "status", status)
        if old == status:
            self.metrics.api_skipped.labels(resource.plural).inc()
            return None
        patch = {
            "metadata": {"uid": uid_of(cached)},
            "status": merge_patch(old, status),
        }
        return await self.patch(resource, key_of(cached), patch, manager=manager, subresource="status")

    async def replace(self, resource: Resource, obj: Obj, *, manager: str) -> Obj:
        """Replace, guarded by the object's resourceVersion. Errors: Conflict, NotFound, Invalid."""
        path = resource.path(key_of(obj))
        return self._strip(
            resource, await self._call("PUT", resource, path, obj, query={"fieldManager": manager})
        )

    async def delete(
        self, resource: Resource, key: ObjectKey, *, uid: str = "", grace_s: int | None = None
    ) -> Obj | None:
        """Ask for deletion; the object if finalizers still hold it, None if it is gone.

        With `uid`, another object of the same name is left alone. Errors: Conflict on such a one.
        """
        options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            answer = await self._call("DELETE", resource, resource.path(key), options)
        except NotFound:
            return None
        return None if answer.get("kind") == "Status" else self._strip(resource, answer)

    async def evict(self, key: ObjectKey, *, uid: str = "", grace_s: int | None = None) -> None:
        """Evict a pod through the API that honours disruption budgets; one that is gone is evicted.

        Not metered by the common rate: the caller takes a token of `evictions` first. Errors:
        TooManyRequests when a budget forbids it now, ApiError for what else the API server says.
        """
        options: Obj = {"preconditions": {"uid": uid}} if uid else {}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "deleteOptions": options,
        }
        pods = Resource("", "v1", "pods", "Pod", True)
        path = pods.path(key, subresource="eviction")
        with contextlib.suppress(NotFound):
            await self._call("POST", pods, path, body, attempts_max=1, is_metered=False)

    async def watch(
        self,
        resource: Resource,
        *,
        revision: int,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Changes after `revision` until the server ends the watch.

        Errors: Gone (list again), Unavailable (connection lost, or silent for WATCH_SILENCE_S).
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(revision),
            "timeoutSeconds": str(WATCH_TIMEOUT_S),
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=WATCH_SILENCE_S)
        url = self._access.server + resource.path(namespace=namespace)
        try:
            async with self._open().get(
                url, params=_present(query), headers=self._headers(), timeout=timeout
            ) as response:
                if response.status != 200:
                    raise error_for(response.status, _decode(await response.read()))
                async for line in _lines(response.content):
                    yield self._event(resource, orjson.loads(line))
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            raise Unavailable(0, "WatchLost", str(err) or type(err).__name__) from err

    def _event(self, resource: Resource, line: Obj) -> WatchEvent:
        if line["type"] == "ERROR":
            status = line["object"]
            raise error_for(int(status.get("code") or 500), status)
        return WatchEvent(line["type"], self._strip(resource, line["object"]))

    async def _call(
        self,
        method: str,
        resource: Resource,
        path: str,
        body: Obj | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        attempts_max: int = ATTEMPTS_MAX,
        is_metered: bool = True,
    ) -> Obj:
        data = orjson.dumps(body) if body is not None else None
        attempt = 0
        while True:
            attempt += 1
            wait_s = self._bucket.reserve(self._clock.monotonic()) if is_metered else 0.0
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            try:
                return await self._once(method, resource, path, data, query or {}, content_type)
            except ApiError as err:
                # A refused eviction is an answer, not a failure: attempts_max=1 hands it up at once.
                if not isinstance(err, TooManyRequests | Unavailable) or attempt >= attempts_max:
                    raise
                pause_s = max(min(err.retry_after_s, RETRY_AFTER_MAX_S), RETRY_FIRST_S * 2 ** (attempt - 1))
            await asyncio.sleep(pause_s)

    async def _once(
        self,
        method: str,
        resource: Resource,
        path: str,
        data: bytes | None,
        query: Mapping[str, str],
        content_type: str,
    ) -> Obj:
        if method in WRITES:
            self.metrics.api_writes.labels(method, resource.plural).inc()
        headers = self._headers()
        if data is not None:
            headers["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        url = self._access.server + path
        code, payload, retry_after = 0, b"", ""
        try:
            async with self._open().request(
                method, url, params=_present(query), data=data, headers=headers, timeout=timeout
            ) as response:
                code, payload = response.status, await response.read()
                retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            raise Unavailable(0, "ConnectionLost", str(err) or type(err).__name__) from err
        finally:
            self.metrics.api_requests.labels(method, resource.plural, str(code)).inc()
        answer = _decode(payload)
        if code >= 400:
            raise error_for(code, answer, float(retry_after) if retry_after.isdigit() else 0.0)
        if not isinstance(answer, dict):
            raise Unavailable(code, "NotJson", f"{method} {path} answered no JSON object")
        return answer

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use the client as an async context manager"
        return self._session

    def _headers(self) -> dict[str, str]:
        authorization = self._access.authorization()
        return {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})

    @staticmethod
    def _strip(resource: Resource, obj: Obj) -> Obj:
        # A third of an object's bytes; nobody reads it from a cache.
        obj["metadata"].pop("managedFields", None)
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        return obj


def _present(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}


def _decode(payload: bytes) -> Any:
    try:
        return orjson.loads(payload) if payload else {}
    except orjson.JSONDecodeError:
        return {"message": payload[:200].decode(errors="replace")}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of a stream. Errors: Gone on a line that no object can have, so that it is listed again."""
    buffer = bytearray()
    async for chunk in content.iter_any():
        buffer += chunk
        if b"\n" not in chunk:
            if len(buffer) > WATCH_LINE_BYTES_MAX:
                raise Gone(0, "LineTooLong", "a watch event is larger than any object can be")
            continue
        *lines, rest = bytes(buffer).split(b"\n")
        buffer = bytearray(rest)
        for line in lines:
            if line:
                yield line
