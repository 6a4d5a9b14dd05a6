"""What people and tenants put into a cell, and questions about a claim."""

from typing import Any

from operators.lib.client import KubernetesClient
from operators.lib.objects import EVENTS, NODE_CLAIMS, PODS, Obj, ObjectKey, Resource
from tests.operators.harness import until

BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True)


def guest(name: str, *, node: str = "", pool: str = "", gpus: int = 0, **labels: str) -> Obj:
    """A tenant's pod: bound to `node`, or for the scheduler to place in `pool`."""
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    spec: Obj = {
        "tolerations": [
            {"key": "rempart.eu/simulated", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        ],
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": "example.org/c:1", "resources": resources}],
    }
    if node:
        spec["nodeName"] = node
        spec["tolerations"] = [{"operator": "Exists"}]
    if pool:
        spec["nodeSelector"] = {"rempart.eu/node-pool": pool}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": name}},
        "spec": spec,
    }


def budget(name: str, unavailable: int, **labels: str) -> Obj:
    """A disruption budget in the default namespace."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"maxUnavailable": unavailable, "selector": {"matchLabels": labels}},
    }


async def run_guest(admin: KubernetesClient, pod: Obj) -> ObjectKey:
    """Create the pod and wait until it runs."""
    key = ObjectKey("default", pod["metadata"]["name"])
    await admin.create(PODS, pod, manager="test")

    async def runs() -> bool:
        return (await admin.get(PODS, key))["status"].get("phase") == "Running"

    await until(runs, f"{key} runs")
    return key


async def until_counted(admin: KubernetesClient, name: str, healthy: int) -> None:
    """Wait until the disruption controller has counted the budget's pods."""

    async def counted() -> bool:
        status = (await admin.get(BUDGETS, ObjectKey("default", name))).get("status") or {}
        return bool(status.get("currentHealthy") == healthy)

    await until(counted, f"budget {name} counts {healthy}")


async def condition(admin: KubernetesClient, claim: str, type_: str = "Ready") -> dict[str, Any]:
    """One condition of a claim, empty while it is not there."""
    found = await admin.find(NODE_CLAIMS, ObjectKey("", claim))
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return next((dict(each) for each in conditions if each["type"] == type_), {})


async def until_condition(
    admin: KubernetesClient, claim: str, status: str, reason: str = "", type_: str = "Ready"
) -> dict[str, Any]:
    """Wait until the condition has this status, and this reason if one is given."""

    async def check() -> dict[str, Any] | None:
        found = await condition(admin, claim, type_)
        is_it = found.get("status") == status and (not reason or found.get("reason") == reason)
        return found if is_it else None

    result: dict[str, Any] = await until(check, f"{claim} {type_}={status} {reason}")
    return result


async def events_about(admin: KubernetesClient, name: str) -> dict[str, Obj]:
    """Events regarding an object of this name, the latest of each reason."""
    found = await admin.list(EVENTS, namespace="default", field_selector=f"involvedObject.name={name}")
    return {event["reason"]: event for event in found.items}
