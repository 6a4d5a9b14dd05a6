"""Hold calls while a service wakes, then pass them on, streaming, at the pace the engines take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import structlog
from aiohttp import web

from controlplane.gateway.breaker import Breaker, CallRefused, Slot
from controlplane.gateway.demand import DemandReport
from controlplane.gateway.domain import Endpoint, Limits, Route
from controlplane.gateway.holds import Holds
from controlplane.gateway.refusal_rules import (
    ENGINE_UNREACHABLE,
    FIRST_BYTE_TIMEOUT,
    MODEL_NOT_FOUND,
    WAKE_TIMEOUT,
    Refusal,
    not_admissible,
)
from controlplane.gateway.store import ENDPOINTS_PREFIX, ROUTING_KEY, Store
from controlplane.gateway.wake import Wake, WakeRecord

log = structlog.get_logger(__name__)

CONNECT_SECONDS_MAX = 2.0
RETRY_PAUSE_SECONDS = 0.1
"""Between two tries when no endpoint accepts: a pod's address can be published a moment before it listens."""

CONNECTS_MAX = 50
"""Tries of one call; with the pause this is at least five seconds, and the queue's age bounds it anyway."""

INSTANCE_HEADER = "x-rempart-instance"
_HOP_HEADERS = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)
_INNER_HEADERS = frozenset({"x-rempart-internal", "x-rempart-regional-deployment", "expect"})


@dataclass(slots=True)
class _Deployment:
    breaker: Breaker
    wake: Wake | None = None
    waiting_since: list[datetime] = field(default_factory=list)


class Activator:
    """Answers for every regional deployment that has no endpoint, and for calls whose endpoint went away."""

    def __init__(
        self,
        store: Store,
        session: aiohttp.ClientSession,
        on_edge: Callable[[DemandReport], None],
        on_wake: Callable[[WakeRecord], None],
        limits: Limits,
    ) -> None:
        self._holds = Holds(limits)
        self._store = store
        self._session = session
        self._on_edge = on_edge
        self._on_wake = on_wake
        self._deployments: dict[str, _Deployment] = {}
        store.listen(self._on_change)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Hold one call, wait for an engine, and stream its answer back."""
        arrived_at = datetime.now(UTC)
        route = self._store.routes_by_id().get(request.headers.get("x-rempart-regional-deployment", ""))
        if route is None:
            return refusal_response(MODEL_NOT_FOUND)
        if not route.verdict.is_admissible:
            return refusal_response(not_admissible(route.verdict.reason))
        deployment = self._deployment(route)
        try:
            return await self._hold_within_bounds(request, route, deployment, arrived_at)
        except CallRefused as err:
            log.info(
                "call_refused", code=err.refusal.code, regional_deployment_id=route.regional_deployment_id
            )
            return refusal_response(err.refusal)

    def reports(self, at: datetime) -> dict[str, DemandReport]:
        """Say who waits for what, for the demand report; only deployments with calls here appear."""
        found = {}
        for name, deployment in self._deployments.items():
            since = min(deployment.waiting_since, default=None)
            breaker = deployment.breaker
            if breaker.waiting or breaker.in_flight:
                found[name] = DemandReport(name, breaker.in_flight, breaker.waiting, since, at)
        return found

    async def _hold_within_bounds(
        self, request: web.Request, route: Route, deployment: _Deployment, arrived_at: datetime
    ) -> web.StreamResponse:
        """Count the call for its tenant and the process until it is over: its body is here until then."""
        now = asyncio.get_running_loop().time()
        size = request.content_length or 0
        hold = self._holds.take(route.tenant_id, size, now, route.queue.age_seconds_max)
        try:
            return await self._hold(request, route, deployment, arrived_at)
        finally:
            self._holds.give(hold)

    async def _hold(
        self, request: web.Request, route: Route, deployment: _Deployment, arrived_at: datetime
    ) -> web.StreamResponse:
        breaker = deployment.breaker
        size = request.content_length or 0
        breaker.hold(size)
        deployment.waiting_since.append(arrived_at)
        self._open_wake(route, deployment, arrived_at)
        is_held = True

        def let_go() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                breaker.let_go(size)
                deployment.waiting_since.remove(arrived_at)

        try:
            body = await request.read()
            upstream, slot = await self._reach(request, route, deployment, body)
            let_go()
            try:
                return await self._stream(request, deployment, upstream, slot.endpoint)
            finally:
                upstream.close()
                breaker.release(slot)
        finally:
            let_go()
            if deployment.wake is not None and not breaker.waiting and not breaker.in_flight:
                deployment.wake = None

    async def _reach(
        self, request: web.Request, route: Route, deployment: _Deployment, body: bytes
    ) -> tuple[aiohttp.ClientResponse, Slot]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + route.queue.age_seconds_max
        for _ in range(CONNECTS_MAX):
            slot = await deployment.breaker.acquire(max(0.0, deadline - loop.time()))
            if deployment.wake is not None:
                deployment.wake.endpoint_seen(datetime.now(UTC))
            try:
                return await self._send(request, route, slot.endpoint, body), slot
            except aiohttp.ClientConnectorError as err:
                deployment.breaker.release(slot)
                log.info("engine_not_listening", instance=slot.endpoint.instance, reason=str(err))
            except TimeoutError as err:
                deployment.breaker.release(slot)
                raise CallRefused(FIRST_BYTE_TIMEOUT) from err
            except aiohttp.ClientError as err:
                deployment.breaker.release(slot)
                raise CallRefused(ENGINE_UNREACHABLE) from err
            except BaseException:
                deployment.breaker.release(slot)
                raise
            if loop.time() >= deadline:
                break
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
        raise CallRefused(WAKE_TIMEOUT)

    async def _send(
        self, request: web.Request, route: Route, endpoint: Endpoint, body: bytes
    ) -> aiohttp.ClientResponse:
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_HEADERS and name.lower() not in _INNER_HEADERS
        ]
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS_MAX, sock_read=float(route.first_byte_seconds_max)
        )
        return await self._session.request(
            request.method,
            f"http://{endpoint.address}:{endpoint.port}{request.raw_path}",
            headers=headers,
            data=body,
            timeout=timeout,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def _stream(
        self,
        request: web.Request,
        deployment: _Deployment,
        upstream: aiohttp.ClientResponse,
        endpoint: Endpoint,
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for name, value in upstream.headers.items():
            if name.lower() not in _HOP_HEADERS:
                response.headers.add(name, value)
        response.headers[INSTANCE_HEADER] = endpoint.instance
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            self._close_wake(request, deployment, endpoint)
            await response.write(chunk)
        await response.write_eof()
        return response

    def _open_wake(self, route: Route, deployment: _Deployment, arrived_at: datetime) -> None:
        is_edge = deployment.wake is None and not deployment.breaker.endpoints
        if not is_edge:
            return
        name = route.regional_deployment_id
        deployment.wake = Wake(name, arrived_at, datetime.now(UTC))
        self._on_edge(
            DemandReport(
                name, deployment.breaker.in_flight, deployment.breaker.waiting, arrived_at, arrived_at
            )
        )

    def _close_wake(self, request: web.Request, deployment: _Deployment, endpoint: Endpoint) -> None:
        wake = deployment.wake
        if wake is None:
            return
        deployment.wake = None
        self._on_wake(
            wake.finish(request.headers.get("x-request-id", ""), endpoint.instance, datetime.now(UTC))
        )

    def _deployment(self, route: Route) -> _Deployment:
        name = route.regional_deployment_id
        deployment = self._deployments.get(name)
        if deployment is None:
            deployment = _Deployment(Breaker(route.concurrency_per_replica, route.queue))
            deployment.breaker.set_endpoints(self._store.endpoints_of(name))
            self._deployments[name] = deployment
        return deployment

    def _on_change(self, key: str) -> None:
        if key == ROUTING_KEY:
            routes = self._store.routes_by_id()
            for name, deployment in list(self._deployments.items()):
                route = routes.get(name)
                if route is not None:
                    deployment.breaker.concurrency = route.concurrency_per_replica
                    deployment.breaker.limits = route.queue
                elif not deployment.breaker.waiting and not deployment.breaker.in_flight:
                    del self._deployments[name]
        elif key.startswith(ENDPOINTS_PREFIX):
            name = key.removeprefix(ENDPOINTS_PREFIX)
            changed = self._deployments.get(name)
            if changed is not None:
                changed.breaker.set_endpoints(self._store.endpoints_of(name))


def refusal_response(refusal: Refusal) -> web.Response:
    """Answer in OpenAI's error shape."""
    headers = {"content-type": "application/json", **refusal.headers}
    return web.Response(status=refusal.status, body=refusal.body.encode(), headers=headers)
