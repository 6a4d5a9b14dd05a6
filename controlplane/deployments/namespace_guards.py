"""What every project's namespace holds besides its services: walls and bounds, the same in each. Pure.

Sources: Kubernetes documentation, "Multi-tenancy" (isolation of namespaces), NetworkPolicy, ResourceQuota and
LimitRange of the core API.
"""

from __future__ import annotations

from typing import Any, Final

JsonObject = dict[str, Any]

LABELS: Final = {"app.kubernetes.io/managed-by": "rempart"}
# A pod of the inference operator's carries it; the operator alone writes pods in these namespaces.
ENGINE_LABEL: Final = "rempart.eu/inference-deployment"
ENGINE_PORT: Final = 8000
GATEWAY_LABELS: Final = {"app.kubernetes.io/name": "rempart-gateway"}
SERVICE_ACCOUNT: Final = "default"

# Above what the API lets a project run, so that only what went around it is refused here. What the control plane
# itself writes (custom resources, Secrets) is not counted: until Kubernetes has worked out the use of a new quota it
# refuses all that the quota counts.
PODS_MAX: Final = 2_000


def build_guards(namespace: str) -> list[JsonObject]:
    """The objects, in the order in which to apply them."""
    return [
        _service_account(namespace),
        _network_policy(namespace, "default-deny", {}, {}),
        _network_policy(namespace, "engines", *_openings()),
        _quota(namespace),
        _limits(namespace),
    ]


def _service_account(namespace: str) -> JsonObject:
    """No pod is handed a token for the API server, not even one that forgot to say so."""
    return {
        **_head("v1", "ServiceAccount", namespace, SERVICE_ACCOUNT),
        "automountServiceAccountToken": False,
    }


def _openings() -> tuple[JsonObject, JsonObject]:
    """An engine is called by gateways and asks for names; all else stays shut: its weights come with its image."""
    gateways = {"namespaceSelector": {}, "podSelector": {"matchLabels": GATEWAY_LABELS}}
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ingress = {"ingress": [{"from": [gateways], "ports": [{"protocol": "TCP", "port": ENGINE_PORT}]}]}
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {"matchExpressions": [{"key": ENGINE_LABEL, "operator": "Exists"}]}, {
        **ingress,
        "egress": [{"to": [dns], "ports": names}],
    }


def _network_policy(namespace: str, name: str, pods: JsonObject, openings: JsonObject) -> JsonObject:
    spec = {"podSelector": pods, "policyTypes": ["Ingress", "Egress"], **openings}
    return {**_head("networking.k8s.io/v1", "NetworkPolicy", namespace, name), "spec": spec}


def _quota(namespace: str) -> JsonObject:
    """Nothing that a project never has, and of what it has no more than the API lets it ask for."""
    hard = {"pods": str(PODS_MAX), "services": "0", "persistentvolumeclaims": "0"}
    return {**_head("v1", "ResourceQuota", namespace, "project"), "spec": {"hard": hard}}


def _limits(namespace: str) -> JsonObject:
    """A container that says nothing gets little; the operator's always say what their size is."""
    defaults = {"cpu": "100m", "memory": "256Mi"}
    limit = {"type": "Container", "default": {"memory": "256Mi"}, "defaultRequest": defaults}
    return {**_head("v1", "LimitRange", namespace, "project"), "spec": {"limits": [limit]}}


def _head(version: str, kind: str, namespace: str, name: str) -> JsonObject:
    metadata = {"name": name, "namespace": namespace, "labels": LABELS}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
