"""Run the gateway: `python -m controlplane.entrypoints.gateway`. Envoy is a process of its own beside it.

Before `/healthz` on REMPART_ACTIVATOR_PORT answers, `bootstrap.json` and `args.json` (a list of flags) stand
in REMPART_STATE_DIR/gateway/envoy; Envoy is then `envoy -c bootstrap.json <args>`.
"""

from __future__ import annotations

import asyncio
import signal

import uvloop

from controlplane.gateway.domain import GatewayConfig
from controlplane.gateway.process import GatewayProcess
from controlplane.plumbing.logging import configure
from controlplane.plumbing.settings import Settings, load_settings


def build_config(settings: Settings) -> GatewayConfig:
    """Take from the settings what the gateway needs."""
    return GatewayConfig(
        name=settings.gateway_name,
        host=settings.gateway_host,
        port=settings.gateway_port,
        admin_port=settings.gateway_admin_port,
        activator_port=settings.activator_port,
        state_dir=settings.state_dir.resolve(),
        redis_url=settings.redis_url,
        pepper=settings.pepper,
        ingest_url=settings.ingest_url,
        ingest_key=settings.ingest_key.get_secret_value(),
        ingest_key_file=settings.ingest_key_file,
    )


async def _run(config: GatewayConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await GatewayProcess(config).run(stop)


def main() -> None:
    settings = load_settings()
    configure("gateway", settings.log_level)
    uvloop.run(_run(build_config(settings)))


if __name__ == "__main__":
    main()
