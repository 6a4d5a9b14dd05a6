"""Probes and metrics over HTTP: /healthz (the loop turns), /readyz (the present is seen), /metrics."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from operators.lib.metrics import Metrics


class HealthServer:
    """Serves the probes; port 0 takes a free one, see `port` after `start`."""

    def __init__(self, host: str, port: int, why_not_ready: Callable[[], str], metrics: Metrics) -> None:
        self.port = port
        self._host = host
        self._why_not_ready = why_not_ready
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Errors: OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._serve_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why = self._why_not_ready()
        return web.Response(text=f"{why or 'ready'}\n", status=503 if why else 200)

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain")
