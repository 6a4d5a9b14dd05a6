"""Values the gateway's unit tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlplane.gateway.domain import GatewayConfig
from controlplane.kernel.keyring import Keyring

CONFIG = GatewayConfig(
    name="gateway-1",
    host="127.0.0.1",
    port=8081,
    admin_port=8082,
    activator_port=8083,
    state_dir=Path("/state"),
    redis_url="redis://127.0.0.1:6379/0",
    hash_ring=Keyring.single(b"p" * 32),
    internal_token="0" * 64,
)


def route_item(number: int, **changes: Any) -> dict[str, Any]:
    suffix = f"{number:026d}"
    return {
        "service_id": f"svc_{suffix}",
        "service_name": f"service-{number}",
        "deployment_id": f"dep_{suffix}",
        "regional_deployment_id": f"rdp_{suffix}",
        "tenant_id": f"org_{suffix}",
        "project_id": "prj_00000000000000000000000001",
        "model": f"model-{number}",
        "hosts": [],
        "datacenter": "essonne-1",
        "country": "FR",
        "operator": "operator-1",
        "verdict": {"admissible": True, "policy_hash": "p0", "decided_at": "", "reason": ""},
        "simulated": False,
        "state": "active",
        "min": 0,
        "max": 2,
        "concurrency_per_replica": 2,
        "queue": {"max_requests": 100, "max_bytes": 1_000_000, "max_age_s": 60},
        "first_byte_timeout_s": 30,
        **changes,
    }


def routing(*items: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "generated_at": "2026-11-21T00:00:00+00:00", "routes": list(items)}
