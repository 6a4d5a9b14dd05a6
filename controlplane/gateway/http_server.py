"""The gateway process's HTTP side, on loopback: Envoy's inner doors, the activator, and the health page."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
from aiohttp import web
from prometheus_client import generate_latest

from controlplane.gateway.activator import Activator, refusal_response
from controlplane.gateway.domain import ApiKey, GatewayConfig
from controlplane.gateway.envoy_listener import BODY_BYTES_MAX, HEADER_KIB_MAX
from controlplane.gateway.key_rules import (
    KeyRefusal,
    choose_project,
    decide_budget,
    decide_key,
    door_token,
    find_key,
)
from controlplane.gateway.metrics import Metrics
from controlplane.gateway.refusal_rules import MODEL_NOT_FOUND, NOT_FROM_GATEWAY
from controlplane.gateway.revoked import Revoked
from controlplane.gateway.revoked_rules import is_revoked
from controlplane.gateway.route_rules import list_models
from controlplane.gateway.store import Store

SHUTDOWN_SECONDS_MAX = 25.0
"""How long calls in the activator may take to finish when the process is asked to stop."""

WANTED_HEADER = "x-rempart-wanted-project"
"""In Envoy's question about a key: the project to call in, where it is not the key's own."""

_KEY_STATUS = {
    KeyRefusal.MALFORMED: (401, "invalid_api_key"),
    KeyRefusal.UNKNOWN: (401, "invalid_api_key"),
    KeyRefusal.REVOKED_HERE: (401, "invalid_api_key"),
    KeyRefusal.EXPIRED: (401, "api_key_expired"),
    KeyRefusal.PROJECTLESS: (403, "api_key_without_project"),
    KeyRefusal.OUT_OF_SCOPE: (403, "api_key_out_of_scope"),
    KeyRefusal.PROJECT_MISMATCH: (403, "project_mismatch"),
    KeyRefusal.PROJECT_UNKNOWN: (404, "project_not_found"),
    KeyRefusal.BUDGET_EXHAUSTED: (429, "insufficient_quota"),
    KeyRefusal.BUDGET_UNKNOWN: (503, "budget_unknown"),
    KeyRefusal.SNAPSHOT_UNKNOWN: (503, "keys_unknown"),
}


class HttpServer:
    """Serves until stopped. A call without the token of the inner doors is refused, health aside."""

    def __init__(
        self,
        config: GatewayConfig,
        store: Store,
        activator: Activator,
        status: Callable[[], dict[str, object]],
        metrics: Metrics,
        on_stream: Callable[[web.Request], web.Response],
        on_refusals: Callable[[web.Request], Awaitable[web.Response]],
    ) -> None:
        self._on_stream = on_stream
        self._on_refusals = on_refusals
        self._config = config
        self._store = store
        self._activator = activator
        self._status = status
        self._metrics = metrics
        self._revoked = Revoked(config.revoked_file)
        self._runner: web.AppRunner | None = None
        self._metrics_runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on the activator's port, and on that of the metrics. Errors: OSError when one is taken."""
        app = web.Application(client_max_size=BODY_BYTES_MAX + 4096)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            # A caller who hangs up cancels the wait, and with it the call at the engine.
            handler_cancellation=True,
            access_log=None,
            max_field_size=HEADER_KIB_MAX * 1024,
            max_line_size=HEADER_KIB_MAX * 1024,
            keepalive_timeout=75.0,
            shutdown_timeout=SHUTDOWN_SECONDS_MAX,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._config.activator_port, backlog=1024).start()
        if self._config.metrics_port:
            await self._start_metrics()

    async def _start_metrics(self) -> None:
        """Serve the numbers, and not one of the inner doors, where others may reach them."""
        app = web.Application()
        app.router.add_get("/metrics", self._show_metrics)
        self._metrics_runner = web.AppRunner(app, access_log=None)
        await self._metrics_runner.setup()
        config = self._config
        await web.TCPSite(self._metrics_runner, config.metrics_host, config.metrics_port).start()

    async def stop(self) -> None:
        """Stop listening, let calls finish within SHUTDOWN_SECONDS_MAX, and close."""
        for runner in (self._metrics_runner, self._runner):
            if runner is not None:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/healthz":
            return web.Response(body=orjson.dumps(self._status()), content_type="application/json")
        if request.path == "/metrics":
            return await self._show_metrics(request)
        name = request.headers.get("x-rempart-regional-deployment")
        token = self._config.internal_token
        if name is not None:
            token = door_token(token, name)
        if not hmac.compare_digest(request.headers.get("x-rempart-internal", "").encode(), token.encode()):
            return refusal_response(NOT_FROM_GATEWAY)
        if name is not None:
            return await self._activator.handle(request)
        if request.path == "/internal/keys":
            return self._key(request)
        if request.path == "/internal/streams":
            return self._on_stream(request)
        if request.path == "/internal/refusals":
            return await self._on_refusals(request)
        if request.method == "GET" and request.path == "/v1/models":
            return self._models(request)
        return refusal_response(MODEL_NOT_FOUND)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        self._metrics.is_redis_connected.set(bool(self._status()["redis"]))
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain")

    def _key(self, request: web.Request) -> web.Response:
        """Say whose a key is and, of the project that is asked for, whether it may call there."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        wanted = request.headers.get(WANTED_HEADER)
        now = datetime.now(UTC)
        found = decide_key(self._store.keys, self._config.hash_ring, key, now)
        if isinstance(found, ApiKey) and is_revoked(self._revoked.names(), found):
            found = KeyRefusal.REVOKED_HERE
        if isinstance(found, ApiKey) and wanted is not None:
            found = choose_project(found, wanted, self._store.projects)
        if isinstance(found, KeyRefusal):
            known = find_key(self._store.keys, self._config.hash_ring, key)
            who = (
                {} if known is None else {"x-rempart-tenant": known.tenant_id, "x-rempart-key": known.key_id}
            )
            return _key_refusal(found, who)
        identity = {
            "x-rempart-tenant": found.tenant_id,
            "x-rempart-project": found.project_id,
            "x-rempart-key": found.key_id,
            "x-rempart-bound": "true" if found.is_bound else "false",
        }
        refusal = decide_budget(found, self._store.budgets, now)
        if refusal is not None:
            # Whose it is is told all the same: another project of the tenant may have room.
            return _key_refusal(refusal, identity)
        return web.Response(status=200, headers=identity)

    def _models(self, request: web.Request) -> web.Response:
        routing = self._store.routing
        project_id = request.headers.get("x-rempart-project", "")
        names = [] if routing is None or not project_id else list_models(routing, project_id)
        models = [{"id": name, "object": "model", "created": 0, "owned_by": project_id} for name in names]
        return web.Response(
            body=orjson.dumps({"object": "list", "data": models}), content_type="application/json"
        )


def _key_refusal(refusal: KeyRefusal, identity: dict[str, str]) -> web.Response:
    status, code = _KEY_STATUS[refusal]
    return web.Response(status=status, headers={**identity, "x-rempart-code": code})
