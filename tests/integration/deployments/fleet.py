"""A small fleet for tests of deployments: sites with their law, pools, a tenant, and the outbox driven by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

from controlplane.capacity import repository as capacity_rows
from controlplane.capacity import service as capacity
from controlplane.capacity.domain import ProviderKind
from controlplane.catalogue import service as catalogue
from controlplane.deployments import repository, service_observe
from controlplane.deployments import tasks as deployments_tasks
from controlplane.deployments.domain import RegionalDeployment
from controlplane.deployments.lifecycle import LEAVING
from controlplane.deployments.models import RegionalDeploymentRow
from controlplane.kernel.ids import LegalEntityId, RegionalDeploymentId
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumers, deliver, route_batch
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.redis import connect
from controlplane.plumbing.settings import Settings
from controlplane.sovereignty import service_facts
from tests.fixtures.companies import add_company
from tests.fixtures.tenants import Caller, sign_up

MODEL = "smollm2-135m-instruct"
ROUNDS_MAX = 40
ACTOR = "key_test"


@dataclass(slots=True)
class Fleet:
    """The control plane without its cells: consumers that only change rows run; cells are reported by hand."""

    api: TestClient
    database: Database
    context: Context
    caller: Caller
    consumers: Consumers
    failures: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> None:
        """Route and deliver events until none is left."""
        for _ in range(ROUNDS_MAX):
            with self.database.system() as uow:
                pairs = route_batch(uow.session, self.consumers)
            if not pairs:
                return
            for event_id, name in pairs:
                if not deliver(self.database, self.consumers, event_id, name):
                    self.failures.append((str(event_id), name))
        raise AssertionError("events never end: a consumer wakes itself")

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        answer = self.api.post(path, json=body, headers={**self.caller.headers, **headers})
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.api.get(path, params=params, headers=self.caller.headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def create_app(self, name: str = "chat") -> str:
        return str(self.post("/v1/apps", {"name": name})["app"]["id"])

    def create_service(
        self, name: str = "assistant", app_id: str | None = None, **changes: Any
    ) -> dict[str, Any]:
        body = {"app_id": app_id or self.create_app(f"app-{name}"), "definition": definition(name, **changes)}
        service: dict[str, Any] = self.post("/v1/services", body)["service"]
        return service

    def service(self, service: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/services/{service['id']}")["service"]
        return found

    def deployment(self, deployment_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/deployments/{deployment_id}")["deployment"]
        return found

    def parts(self, service: dict[str, Any]) -> list[dict[str, Any]]:
        """Regional deployments, oldest first."""
        found: list[dict[str, Any]] = self.get("/v1/regional_deployments", service_id=service["id"])[
            "regional_deployments"
        ]
        return found[::-1]

    def events(self, service: dict[str, Any]) -> list[str]:
        """Types of a service's events, oldest first."""
        found = self.get("/v1/service_events", service_id=service["id"], limit=200)["events"]
        return [event["type"] for event in found][::-1]

    def part(self, part: dict[str, Any]) -> RegionalDeployment:
        with self.database.system() as uow:
            row = repository.find_part_row(uow, RegionalDeploymentId.parse(part["id"]))
            assert row is not None
            return repository.to_part(row)

    def report(self, part: dict[str, Any], phase: str, **status: Any) -> None:
        """Let the part's cell report a phase."""
        with self.database.system() as uow:
            service_observe.observe_inference_deployment(uow, resource(self.part(part), phase, **status))

    def end(self, part: dict[str, Any]) -> None:
        """Record that the part's cell holds nothing of it any more, as the effect does when the object is gone."""
        from controlplane.deployments.service_apply import record_gone

        held = self.part(part)
        with self.database.system(held.tenant_id) as uow:
            record_gone(uow, held.id)

    def apply(self, part: dict[str, Any]) -> None:
        """Record that the part's cell was told, as the effect does after the API server took it."""
        from controlplane.deployments.service_apply import record_applied

        held = self.part(part)
        with self.database.system(held.tenant_id) as uow:
            record_applied(uow, held, cluster_generation=1)

    def answer_as_cells(self) -> None:
        """Place what waits for a place, and report every part as asleep once its cell was told, or as gone."""
        self.run()
        for part in self.get("/v1/regional_deployments", limit=200)["regional_deployments"]:
            if part["status"] == "PROVISIONING":
                self.apply(part)
            elif part["status"] in LEAVING:
                self.end(part)
            elif part["terminated_at"] is None and part["status"] != "SLEEPING":
                self.report(part, "SLEEPING")

    def converge(self) -> None:
        """What the minute's sweep does."""
        deployments_tasks._converge_all(self.context, only_due=False)
        self.run()

    def age(self, part: dict[str, Any], column: str, seconds: int) -> None:
        """Move one instant of a part into the past."""
        with self.database.system() as uow:
            row = (
                uow.session.query(RegionalDeploymentRow)
                .filter_by(id=RegionalDeploymentId.parse(part["id"]))
                .one()
            )
            setattr(row, column, getattr(row, column) - timedelta(seconds=seconds))


def definition(name: str = "assistant", **changes: Any) -> dict[str, Any]:
    return {"name": name, "inference": {"model": MODEL}, "scalings": [{"min": 0, "max": 2}], **changes}


def resource(part: RegionalDeployment, phase: str, **status: Any) -> dict[str, Any]:
    """An InferenceDeployment as a cell's API server would show it."""
    digest = "sha256:" + "1" * 64
    return {
        "apiVersion": "rempart.eu/v1alpha1",
        "kind": "InferenceDeployment",
        "metadata": {"name": part.object_name, "namespace": part.namespace, "generation": 1, "uid": "u"},
        "spec": {
            "tenantId": str(part.tenant_id),
            "projectId": str(part.project_id),
            "serviceId": str(part.service_id),
            "serviceName": part.service_name,
            "deploymentId": str(part.deployment_id),
            "regionalDeploymentId": str(part.id),
            "datacenter": part.placement.datacenter,
            "country": part.placement.country,
            "nodePools": [part.placement.pool_name],
            "model": {"name": MODEL, "uri": "u", "digest": digest, "licence": "Apache-2.0"},
            "engine": {"name": "llama-cpp", "image": "i"},
            "cpuMilli": 1000,
            "memoryMiB": 1024,
            "replicas": {"min": part.replicas_min, "max": part.replicas_max},
        },
        # What sleeps was ready once: the operator starts each version before it lets it sleep.
        "status": {
            "observedGeneration": 1,
            "phase": phase,
            **({"firstReadyAt": "2026-11-21T10:00:00Z"} if phase == "SLEEPING" else {}),
            **status,
        },
    }


def make_fleet(
    api: TestClient, database: Database, settings: Settings, clusters: Clusters | None = None
) -> Fleet:
    """A tenant and the catalogue; no site yet. Without `clusters` nothing is told to any cell."""
    with database.system() as uow:
        catalogue.seed(uow)
    context = Context(settings, database, connect(settings.redis_url), clusters or Clusters(None))
    chosen = deployments_tasks.consumers(context)
    if clusters is None:
        chosen = tuple(c for c in chosen if not c.name.startswith("deployments.apply"))
    return Fleet(api, database, context, sign_up(api), Consumers(chosen))


def add_site(
    fleet: Fleet,
    code: str,
    country: str,
    *,
    nodes: int = 1,
    cpu_milli: int = 2000,
    memory_mib: int = 4096,
    pue: int = 1200,
) -> LegalEntityId:
    """A datacenter run by a company of its own country, with one pool of process nodes that are ready."""
    with fleet.database.system() as uow:
        entity_id = add_company(uow, f"Operator of {code}", country)
        capacity.create_datacenter(
            uow,
            actor=ACTOR,
            code=code,
            name=code,
            country=country,
            operator_entity_id=entity_id,
            owner_entity_id=entity_id,
            power_kw=1000,
            rack_kw_max=130,
            pue_milli=1200,
            cells=(f"{code}-a",),
        )
    add_pool(fleet, f"{code}-cpu", code, nodes=nodes, cpu_milli=cpu_milli, memory_mib=memory_mib)
    return entity_id


def add_pool(
    fleet: Fleet,
    name: str,
    site: str,
    *,
    nodes: int,
    cpu_milli: int = 2000,
    memory_mib: int = 4096,
    provider: ProviderKind = ProviderKind.PROCESS,
    gpus: int = 0,
) -> None:
    with fleet.database.system() as uow:
        capacity.create_node_pool(
            uow,
            actor=ACTOR,
            name=name,
            datacenter_code=site,
            cell_name=f"{site}-a",
            provider=provider,
            instance_type="node",
            accelerator_sku="nvidia-b300" if gpus else None,
            gpus_per_node=gpus,
            cpu_milli_per_node=cpu_milli,
            memory_mib_per_node=memory_mib,
            watts_per_node=100,
            replicas=nodes,
        )
    set_ready(fleet, name, nodes)


def set_ready(fleet: Fleet, pool: str, nodes: int) -> None:
    """Let the cell report how many nodes of a pool are ready."""
    from controlplane.capacity.events import CapacityChanged

    with fleet.database.system() as uow:
        row = capacity_rows.find_pool_row(uow, pool, is_locked=True)
        assert row is not None
        row.ready_nodes = nodes
        uow.emit(CapacityChanged(""))


def certify(fleet: Fleet, entity: LegalEntityId, framework: str = "HDS", days: int = 30) -> None:
    """A certificate that ends in `days` days."""
    today = datetime.now(UTC).date()
    with fleet.database.system() as uow:
        service_facts.create_certification(
            uow,
            actor=ACTOR,
            framework=framework,
            framework_version="2.0",
            level=None,
            entity_id=entity,
            site_code=None,
            issued_on=date(2024, 1, 1),
            expires_on=today + timedelta(days=days),
            evidence="certificate",
            evidence_sha256=None,
            valid_from=datetime(2024, 1, 1, tzinfo=UTC),
        )
