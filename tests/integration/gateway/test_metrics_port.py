"""Prometheus reaches the gateway's numbers from outside the pod, and none of its inner doors."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.database import running_redis
from tests.integration.gateway.rig import Rig, Tenant, free_ports, running_rig

INNER = ("/healthz", "/internal/keys", "/internal/streams", "/v1/models", "/v1/chat/completions", "/")


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, int]]:
    folder = tmp_path_factory.mktemp("scraped")
    (port,) = free_ports(1)
    settings = {"REMPART_METRICS_PORT": str(port), "REMPART_METRICS_HOST": "0.0.0.0"}
    with running_redis(folder) as (url, _), running_rig(folder / "state", url, settings=settings) as rig:
        yield rig, port


@pytest.mark.case("X14")
def test_the_metrics_port_serves_the_numbers_and_no_inner_door(scraped: tuple[Rig, int]) -> None:
    rig, port = scraped
    tenant = Tenant()
    rig.publish_keys(tenant)
    token = (rig.state_dir / "gateway" / "internal-token").read_text()
    headers = {
        "x-rempart-internal": token,
        "authorization": f"Bearer {tenant.key}",
        "x-rempart-regional-deployment": "rdp_01jd0000000000000000000000",
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        page = client.get("/metrics")
        assert page.status_code == 200
        assert "rempart_gateway_redis_connected 1.0" in page.text
        for path in INNER:
            assert {client.request(method, path).status_code for method in ("GET", "POST", "PUT")} <= {
                404,
                405,
            }
        assert client.post("/metrics").status_code == 405
