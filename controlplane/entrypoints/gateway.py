"""Run the gateway: `python -m controlplane.entrypoints.gateway`. Envoy is a process of its own beside it.

Before `/healthz` on REMPART_ACTIVATOR_PORT answers, `bootstrap.json` and `args.json` (a list of flags) stand
in REMPART_STATE_DIR/gateway/envoy; Envoy is then `envoy -c bootstrap.json <args>`.
"""

from __future__ import annotations

import asyncio
import signal

import uvloop

from controlplane.gateway.domain import GatewayConfig, Limits
from controlplane.gateway.process import GatewayProcess
from controlplane.plumbing.logging import configure
from controlplane.plumbing.settings import Settings, load_settings


def build_config(settings: Settings) -> GatewayConfig:
    """Take from the settings what the gateway needs."""
    own = (settings.gateway_domain, "localhost", *settings.gateway_names.split(","))
    return GatewayConfig(
        name=settings.gateway_name,
        host=settings.gateway_host,
        port=settings.gateway_port,
        admin_port=settings.gateway_admin_port,
        activator_port=settings.activator_port,
        metrics_host=settings.metrics_host,
        metrics_port=settings.metrics_port,
        state_dir=settings.state_dir.resolve(),
        redis_url=settings.redis_url,
        hash_ring=settings.hash_ring,
        ingest_url=settings.ingest_url,
        ingest_key=settings.ingest_key.get_secret_value(),
        ingest_key_file=settings.ingest_key_file,
        names=tuple(dict.fromkeys(name.strip().lower().rstrip(".") for name in own if name.strip())),
        workers=settings.gateway_workers,
        connections_max=settings.gateway_connections,
        trusted_hops=settings.gateway_trusted_hops,
        envoy_memory_bytes=settings.envoy_memory_bytes,
        disk_reserve_bytes=settings.gateway_disk_reserve_mib * 1024 * 1024,
        limits=build_limits(settings),
    )


def build_limits(settings: Settings) -> Limits:
    """Take the rates from the settings; twice a second's calls may come at once."""
    return Limits(
        key_calls_per_second=settings.gateway_key_calls_per_second,
        key_calls_burst=2 * settings.gateway_key_calls_per_second,
        tenant_calls_per_second=settings.gateway_tenant_calls_per_second,
        tenant_calls_burst=2 * settings.gateway_tenant_calls_per_second,
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
