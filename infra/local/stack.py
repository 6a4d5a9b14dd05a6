"""The whole stack as one list, with the addresses of its parts: ours, or those the environment gives."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infra.local.keys import LocalSecrets, ensure_secrets
from infra.local.kubernetes import (
    control_plane_specs,
    controller_specs,
    definition_specs,
    kwok_spec,
    prepare_cluster,
)
from infra.local.kubernetes_flags import ClusterPaths
from infra.local.paths import Layout, write_private
from infra.local.ports import ensure_ports
from infra.local.postgres import place_postgres, postgres_specs
from infra.local.process import ProcessSpec
from infra.local.process_rules import UnknownDependency, decide_selection
from infra.local.programs import MEASURED_PROGRAMS, Addresses, process_node_spec, program_specs
from infra.local.redis import redis_spec, redis_url
from infra.local.stack_rules import build_env_file, derive_role_url, drop_own

# Where people look first, when nobody else sits there; 0 and a taken one = any free port.
PREFERRED_PORTS: Mapping[str, int] = {
    "redis": 0,
    "api": 8080,
    "gateway": 8081,
    "gateway-admin": 8082,
    "activator": 8083,
    "portal": 8084,
    "operators-health": 0,
    **{f"{program}-metrics": 0 for program in MEASURED_PROGRAMS},
}

PORT_VARIABLES: Mapping[str, str] = {
    "api": "REMPART_API_PORT",
    "gateway": "REMPART_GATEWAY_PORT",
    "gateway-admin": "REMPART_GATEWAY_ADMIN_PORT",
    "activator": "REMPART_ACTIVATOR_PORT",
    "portal": "REMPART_PORTAL_PORT",
}

CLUSTER_IDENTITIES = ("admin", "rempart-operators", "rempart-controlplane", "process-node")


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything the supervisor may run. `groups` are names that stand for several programs."""

    layout: Layout
    specs: tuple[ProcessSpec, ...]
    groups: Mapping[str, tuple[str, ...]]
    addresses: Addresses

    @property
    def portal_url(self) -> str:
        return f"http://127.0.0.1:{self.addresses.ports['portal']}"

    def select(self, only: Iterable[str]) -> tuple[ProcessSpec, ...]:
        """The programs named, by themselves or by group, and all they need; nothing named = all.

        Errors: UnknownDependency names what there is.
        """
        wanted = [name for item in only for name in self.groups.get(item, (item,))]
        if not wanted:
            return self.specs
        try:
            chosen = decide_selection({spec.name: spec.needs for spec in self.specs}, wanted)
        except UnknownDependency as err:
            raise UnknownDependency(f"{err}, and the groups {', '.join(self.groups)}") from err
        return tuple(spec for spec in self.specs if spec.name in chosen)

    def write_env_file(self) -> None:
        """Leave the addresses for shells; written again once the seed has made the operator's key."""
        key = self.layout.admin_key_file
        variables = {
            "REMPART_API_URL": f"http://127.0.0.1:{self.addresses.ports['api']}",
            "REMPART_GATEWAY_URL": f"http://127.0.0.1:{self.addresses.ports['gateway']}",
            "REMPART_PORTAL_URL": self.portal_url,
            "REMPART_ADMIN_KEY": key.read_text(encoding="utf-8").strip() if key.exists() else "",
            "KUBECONFIG": str(self.addresses.kubeconfigs["admin"]),
            "DATABASE_URL": self.addresses.database_url,
            "REMPART_DATABASE_URL": self.addresses.app_database_url,
            "REMPART_SYSTEM_DATABASE_URL": self.addresses.system_database_url,
            "REDIS_URL": self.addresses.redis_url,
            "REMPART_STATE_DIR": str(self.layout.state),
        }
        write_private(self.layout.environment_file, build_env_file(variables))


def build_stack(layout: Layout, environment: Mapping[str, str] = os.environ) -> Stack:
    """Prepare keys, ports and secrets, and list the programs. Call only while none of them runs."""
    layout.ensure()
    secrets = ensure_secrets(layout.secrets_file)
    ports = ensure_ports(layout.root / "ports.json", _wanted_ports(environment))
    given = drop_own(environment, _own_addresses(layout, secrets, ports))
    addresses = _find_addresses(layout, given, secrets, ports)
    servers = [] if given.get("DATABASE_URL") else postgres_specs(place_postgres(layout.root))
    if not given.get("REDIS_URL"):
        servers.append(redis_spec(layout.root, ports["redis"], secrets.redis_password))
    if given.get("KUBECONFIG"):
        cluster = definition_specs(addresses.kubeconfigs["admin"], ())
        node_needs: tuple[str, ...] = ()
    else:
        ours = prepare_cluster(layout.kubernetes)
        cluster = [*control_plane_specs(ours), *controller_specs(ours), kwok_spec(ours)]
        node_needs = ("cluster-roles",)
    node = process_node_spec(layout, addresses, node_needs, is_own=bool(node_needs))
    infra = (*servers, *cluster, node)
    known = {spec.name for spec in infra}
    programs = [_drop_external(spec, known) for spec in program_specs(layout, addresses, secrets)]
    groups = {
        "infra": tuple(spec.name for spec in infra),
        "kubernetes": tuple(spec.name for spec in cluster),
        "programs": tuple(spec.name for spec in programs),
    }
    return Stack(layout, (*infra, *programs), groups, addresses)


def _wanted_ports(environment: Mapping[str, str]) -> dict[str, int]:
    chosen = {name: int(environment[v]) for name, v in PORT_VARIABLES.items() if environment.get(v)}
    return {**PREFERRED_PORTS, **chosen}


def _own_addresses(layout: Layout, secrets: LocalSecrets, ports: Mapping[str, int]) -> dict[str, str]:
    owner = place_postgres(layout.root).url()
    return {
        "DATABASE_URL": owner,
        "REMPART_DATABASE_URL": derive_role_url(owner, "rempart_app"),
        "REMPART_SYSTEM_DATABASE_URL": derive_role_url(owner, "rempart_system"),
        "REDIS_URL": redis_url(ports["redis"], secrets.redis_password),
        "KUBECONFIG": str(ClusterPaths(layout.kubernetes).kubeconfig("admin")),
    }


def _find_addresses(
    layout: Layout, given: Mapping[str, str], secrets: LocalSecrets, ports: Mapping[str, int]
) -> Addresses:
    own = _own_addresses(layout, secrets, ports)
    owner = given.get("DATABASE_URL") or own["DATABASE_URL"]
    paths = ClusterPaths(layout.kubernetes)
    external = given.get("KUBECONFIG")
    return Addresses(
        database_url=owner,
        app_database_url=given.get("REMPART_DATABASE_URL") or derive_role_url(owner, "rempart_app"),
        system_database_url=given.get("REMPART_SYSTEM_DATABASE_URL")
        or derive_role_url(owner, "rempart_system"),
        redis_url=given.get("REDIS_URL") or own["REDIS_URL"],
        ports=ports,
        kubeconfigs={
            name: Path(external) if external else paths.kubeconfig(name) for name in CLUSTER_IDENTITIES
        },
    )


def _drop_external(spec: ProcessSpec, known: set[str]) -> ProcessSpec:
    """Drop needs that somebody else provides: with DATABASE_URL set there is no `database` to wait for."""
    external = {"database", "redis", "cluster-roles", "cluster-definitions-served"} - known
    return replace(spec, needs=tuple(name for name in spec.needs if name not in external))
