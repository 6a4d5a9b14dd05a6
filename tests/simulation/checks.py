"""What must hold of a stack once everything has settled, read from its rows, its cluster and its spool."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from controlplane.audit import service as audit
from controlplane.kernel.ids import ServiceId, TenantId
from controlplane.plumbing.database import Database, UnitOfWork
from infra.local.build import program
from infra.local.versions import KUBERNETES
from tests.simulation.local_stack import KUBECTL_SECONDS_MAX, LocalStack
from tests.simulation.tenants import Ack

POLL_SECONDS = 0.5

# A delivery that failed for good, and work that is recorded and not yet done. Ticks come for ever: of those only
# the ones older than a minute count, which a working relay and worker would have finished.
_OUTBOX = {
    "deliveries given up": "SELECT count(*) FROM delivery WHERE state = 'DEAD'",
    "deliveries not done": """
        SELECT count(*) FROM delivery JOIN outbox_event ON outbox_event.id = delivery.event_id
        WHERE state = 'PENDING' AND (topic NOT LIKE 'tick.%' OR occurred_at < now() - interval '1 minute')""",
    "events not routed": "SELECT count(*) FROM outbox_event WHERE routed_at IS NULL AND topic NOT LIKE 'tick.%'",
}
_COUNTERS = """
    SELECT p.name FROM node_pool p LEFT JOIN reservation r ON r.pool_id = p.id
    GROUP BY p.id HAVING (p.gpus_reserved, p.cpu_milli_reserved, p.memory_mib_reserved)
    <> (coalesce(sum(r.gpus), 0), coalesce(sum(r.cpu_milli), 0), coalesce(sum(r.memory_mib), 0))"""
_UNHELD = """
    SELECT d.id::text FROM regional_deployment d FULL JOIN reservation r ON r.holder = d.id
    WHERE (d.terminated_at IS NULL) <> (r.holder IS NOT NULL)"""
_GPUS_HELD = """
    SELECT coalesce(sum(gpus_per_replica * replicas_reserved), 0) FROM regional_deployment
    WHERE terminated_at IS NULL"""
_STATUS = "SELECT name, status FROM service ORDER BY name"


def find_row_problems(uow: UnitOfWork) -> list[str]:
    """What contradicts itself in the rows, or is not finished; empty once all is well."""
    problems = []
    for what, query in _OUTBOX.items():
        count = uow.session.scalar(text(query))
        if count:
            problems.append(f"{count} {what}")
    problems += [
        f"{name}: counters differ from reservations" for name in uow.session.scalars(text(_COUNTERS))
    ]
    problems += [f"part {part}: reservation missing or left" for part in uow.session.scalars(text(_UNHELD))]
    tenants = uow.session.execute(
        text("SELECT DISTINCT tenant_id FROM audit_event WHERE tenant_id IS NOT NULL")
    ).scalars()
    for tenant in [None, *(TenantId(each) for each in tenants)]:
        broken = audit.verify(uow, tenant)
        if broken is not None:
            problems.append(f"audit chain of {tenant or 'the platform'}: {broken}")
    return problems


def find_service_problems(uow: UnitOfWork, wanted: dict[str, str]) -> list[str]:
    """`wanted` maps each acknowledged service's name to its final status; any other service is one too many."""
    found = [(name, status) for name, status in uow.session.execute(text(_STATUS))]
    problems = [
        f"service {name} exists {n} times" for name, n in Counter(n for n, _ in found).items() if n > 1
    ]
    names = {name for name, _ in found}
    problems += [f"service {name} is lost" for name in wanted.keys() - names]
    problems += [f"service {name} was never acknowledged" for name in names - wanted.keys()]
    problems += [
        f"service {name} is {status}, not {wanted[name]}"
        for name, status in found
        if wanted.get(name) not in (None, status)
    ]
    return problems


def find_deployment_problems(uow: UnitOfWork, acks: Sequence[Ack]) -> list[str]:
    """Exactly one deployment for each acknowledged POST that makes one."""
    made = Counter(
        _service_of(ack) for ack in acks if ack.path == "/v1/services" or ack.path.endswith("/redeploy")
    )
    query = "SELECT service_id, count(*) FROM deployment GROUP BY service_id"
    found = {str(ServiceId(service)): int(n) for service, n in uow.session.execute(text(query))}
    return [
        f"service {service}: {found.get(service, 0)} deployments for {made.get(service, 0)} keys"
        for service in made.keys() | found.keys()
        if found.get(service, 0) != made.get(service, 0)
    ]


def _service_of(ack: Ack) -> str:
    return str(ack.answer["service"]["id"]) if ack.path == "/v1/services" else ack.path.split("/")[3]


def find_cluster_problems(uow: UnitOfWork, stack: LocalStack) -> list[str]:
    """One custom resource for each live part and none besides, one pod each, and the machines that pools want."""
    live = text("SELECT object_name FROM regional_deployment WHERE terminated_at IS NULL")
    wanted = Counter(uow.session.scalars(live))
    objects = list_objects(stack, "inferencedeployments", "-A")
    found = Counter(each["metadata"]["name"] for each in objects)
    problems = [
        f"custom resource {name}: {found[name]} for {wanted[name]} live parts"
        for name in wanted.keys() | found.keys()
        if wanted[name] != found[name] or found[name] > 1
    ]
    replicas = list_objects(stack, "pods", "-A", "-l", "rempart.eu/inference-deployment")
    pods = Counter(pod["metadata"]["labels"].get("rempart.eu/inference-deployment") for pod in replicas)
    phases = {each["metadata"]["name"]: (each.get("status") or {}).get("phase") for each in objects}
    problems += [f"custom resource {name} is {phase}" for name, phase in phases.items() if phase != "HEALTHY"]
    problems += [f"pod {pod['metadata']['name']} is not ready" for pod in replicas if not is_ready(pod)]
    problems += [
        f"{name}: {pods[name]} pods for 1 replica" for name in wanted.keys() | pods.keys() if pods[name] != 1
    ]
    listed = list_objects(stack, "nodeclaims")
    claims = Counter(claim["spec"]["poolRef"] for claim in listed)
    phases = {claim["metadata"]["name"]: (claim.get("status") or {}).get("phase") for claim in listed}
    problems += [f"claim {name} is {phase}" for name, phase in phases.items() if phase != "Ready"]
    pools = {name: (int(n), int(ready)) for name, n, ready in uow.session.execute(
        text("SELECT name, replicas, ready_nodes FROM node_pool")
    )}  # fmt: skip
    problems += [
        f"pool {name}: {claims[name]} claims, {pools.get(name)} wanted and ready"
        for name in pools.keys() | claims.keys()
        if pools.get(name) != (claims[name], claims[name])
    ]
    return problems


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def find_interval_problems(uow: UnitOfWork, stack: LocalStack) -> list[str]:
    """One open interval for each GPU that a live part's replica holds, none twice, none left open."""
    opened: dict[str, str] = {}
    closed: set[str] = set()
    spool = Path(stack.environment["REMPART_STATE_DIR"]) / "spool" / "allocation"
    for segment in sorted(spool.glob("*.jsonl")):
        for line in segment.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            interval = "/".join(event["id"].split("/")[:2])
            if event["data"]["phase"] == "open":
                opened[interval] = f"{event['data']['node']}/{event['data']['gpu_index']}"
            elif event["data"]["phase"] == "close":
                closed.add(interval)
    still = Counter(gpu for interval, gpu in opened.items() if interval not in closed)
    held = int(uow.session.scalar(text(_GPUS_HELD)) or 0)
    problems = [f"GPU {gpu} has {n} open intervals" for gpu, n in still.items() if n > 1]
    if len(still) != held:
        problems.append(f"{len(still)} GPUs have an open interval, {held} are held")
    return problems


def list_objects(stack: LocalStack, kind: str, *arguments: str) -> list[dict[str, Any]]:
    """Objects of a kind as the real kubectl shows them; none while the API server does not answer."""
    done = subprocess.run(
        [program(KUBERNETES, "kubectl"), "get", kind, "-o", "json", *arguments],
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=KUBECTL_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["items"])


def wait_until_settled(
    database: Database, find_problems: Callable[[UnitOfWork], list[str]], seconds_max: float
) -> float:
    """Wait until nothing is wrong and say how long it took; AssertionError lists what still is."""
    started = time.monotonic()
    while True:
        try:
            with database.system(is_read_only=True) as uow:
                problems = find_problems(uow)
        except OperationalError as err:
            # A killed backend takes the whole server through recovery.
            problems = [f"the database does not answer: {err.orig}"]
        took = time.monotonic() - started
        if not problems:
            return took
        assert took < seconds_max, f"after {took:.0f} s: " + "; ".join(problems[:40])
        time.sleep(POLL_SECONDS)
