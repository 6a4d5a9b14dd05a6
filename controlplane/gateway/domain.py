"""What the gateway knows: routes, keys, endpoints and its own settings, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

from controlplane.kernel.keyring import Keyring

REVOKED_FILE = "revoked"
"""In the gateway's folder: who is refused here, whatever the control plane says (revoked_rules)."""


class RouteState(Enum):
    ACTIVE = "active"
    DRAINING = "draining"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row of a snapshot that is not taken: the id that it names, as far as it names one, and why."""

    row: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sovereignty decision a route stands on; `policy_hash` names the policy that was applied."""

    is_admissible: bool
    policy_hash: str
    reason: str


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much the activator may hold for one regional deployment."""

    requests_max: int
    bytes_max: int
    age_seconds_max: int


@dataclass(frozen=True, slots=True)
class Route:
    """One regional deployment as a caller can reach it (docs/contracts.md, Route)."""

    service_id: str
    service_name: str
    deployment_id: str
    regional_deployment_id: str
    tenant_id: str
    project_id: str
    model: str
    hosts: tuple[str, ...]
    datacenter: str
    country: str
    operator: str
    verdict: Verdict
    is_simulated: bool
    state: RouteState
    replicas_max: int
    concurrency_per_replica: int
    queue: QueueLimits
    first_byte_seconds_max: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    address: str
    port: int
    instance: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One accepted key: only its keyed hash is known here. `expires_at` is aware UTC or None.

    `project_id` is where it calls; a key that is not bound to it may choose another project of its tenant.
    """

    key_id: str
    hash: str
    tenant_id: str
    project_id: str
    expires_at: datetime | None
    scopes: tuple[str, ...]
    is_bound: bool = True


@dataclass(frozen=True, slots=True)
class Routing:
    version: str
    routes: tuple[Route, ...]
    dropped: tuple[Dropped, ...] = ()

    def projects(self) -> frozenset[tuple[str, str]]:
        """Return (tenant id, project id) of every project that a route stands in."""
        return frozenset((route.tenant_id, route.project_id) for route in self.routes)


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """Every key that may call, by hash; `generated_at` bounds how long it may be trusted."""

    version: str
    generated_at: datetime
    by_hash: dict[str, ApiKey]
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Whose hard budget of the month is used up: their calls are refused.

    `hard_tenants` and `hard_projects` have a hard budget at all: what this state says of them holds for a while after
    `generated_at`, and then nobody knows.
    """

    version: str
    generated_at: datetime
    tenants: frozenset[str]
    projects: frozenset[str]
    hard_tenants: frozenset[str] = frozenset()
    hard_projects: frozenset[str] = frozenset()
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointSet:
    regional_deployment_id: str
    is_simulated: bool
    endpoints: tuple[Endpoint, ...]
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may take of what all share. Units: calls, bytes, seconds; `*_burst` calls may come at once.

    Envoy's workers share no memory: rates and counts at once are each worker's, held calls are the process's.
    """

    key_calls_per_second: int = 200
    key_calls_burst: int = 400
    tenant_calls_per_second: int = 400
    tenant_calls_burst: int = 800
    # Calls from one network address without a key that is known to be good.
    address_refusals_per_second: int = 20
    address_refusals_burst: int = 100
    tenant_calls_at_once: int = 1000
    tenant_bytes_at_once: int = 32 * 1024 * 1024
    held_calls: int = 2000
    held_bytes: int = 128 * 1024 * 1024
    tenant_held_calls: int = 500
    tenant_held_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What one gateway process is told. `internal_token` lets Envoy, and nobody else, use the inner doors."""

    name: str
    host: str
    port: int
    admin_port: int
    activator_port: int
    state_dir: Path
    redis_url: str
    hash_ring: Keyring
    internal_token: str = field(repr=False, default="")
    # Where Prometheus reads the numbers, and nothing else is served; port 0: nowhere.
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    # Calls are refused while less than this is free on the disk that usage is recorded on.
    disk_reserve_bytes: int = 64 * 1024 * 1024
    # Where usage is shipped to; without an address it stays in the spool.
    ingest_url: str = ""
    ingest_key: str = field(repr=False, default="")
    ingest_key_file: Path | None = None
    # The gateway's own names, lower case: only these and addresses are routed by model, any other name is a service's.
    names: tuple[str, ...] = ("localhost",)
    workers: int = 2
    connections_max: int = 10_000
    # Proxies in front of Envoy whose x-forwarded-for is believed.
    trusted_hops: int = 0
    # What Envoy may take before it gives back, resets the largest and at last refuses.
    envoy_memory_bytes: int = 768 * 1024 * 1024
    limits: Limits = Limits()

    @property
    def gateway_dir(self) -> Path:
        return self.state_dir / "gateway"

    @property
    def revoked_file(self) -> Path:
        return self.gateway_dir / REVOKED_FILE

    @property
    def envoy_dir(self) -> Path:
        return self.gateway_dir / "envoy"

    @property
    def xds_dir(self) -> Path:
        return self.envoy_dir / "xds"

    @property
    def pressure_file(self) -> Path:
        """The share of Envoy's connections that is open, from 0 to 1, as text."""
        return self.envoy_dir / "pressure" / "connections"

    @property
    def ended_file(self) -> Path:
        """Lines of `<request id> <code>`: streams that Envoy's scripts are to end."""
        return self.envoy_dir / "streams" / "ended"

    @property
    def access_log(self) -> Path:
        return self.gateway_dir / "access" / "access.log"

    @property
    def starts_dir(self) -> Path:
        return self.gateway_dir / "starts"

    @property
    def go_file(self) -> Path:
        return self.gateway_dir / "go"

    @property
    def spool_dir(self) -> Path:
        return self.state_dir / "spool" / "usage"
