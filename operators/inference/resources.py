"""The pod of one replica, built from the custom resource. Pure.

The pod meets the `restricted` level of Pod Security, talks to no API server, and may run only on the node
pools and in the datacenter that placement decided: if nothing there fits it waits, it never goes elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from operators.apis.v1alpha1 import API_VERSION, InferenceDeployment, InferenceDeploymentSpec
from operators.inference.replica_rules import PodToCreate
from operators.inference.views import (
    ANNOTATION_ATTEMPT,
    ANNOTATION_CREATED_AT,
    ANNOTATION_FAILURES,
    ANNOTATION_TEMPLATE_HASH,
    ANNOTATION_WANTED_AT,
    LABEL_COUNTRY,
    LABEL_DEPLOYMENT,
    LABEL_PROJECT,
    LABEL_REGIONAL_DEPLOYMENT,
    LABEL_REPLICA_INDEX,
    LABEL_SERVICE,
    LABEL_TENANT,
    format_time,
)
from operators.lib.tenant_pods import tolerations

GPU_RESOURCE = "nvidia.com/gpu"
CONTAINER_NAME = "engine"
HEALTH_PATH = "/health"

# Port inside a pod of its own network; a process node assigns another and says so in an annotation.
ENGINE_PORT = 8000

# An unprivileged user that no base image gives a meaning to: `restricted` refuses root.
RUN_AS_ID = 65532

# A replica takes traffic at most this long after it could.
READINESS_PERIOD_SECONDS = 1
READINESS_FAILURES_MAX = 3

# An engine under full load answers between two batches: three silences of ten seconds are none of those.
LIVENESS_PERIOD_SECONDS = 10
LIVENESS_FAILURES_MAX = 3

# As many sequences as the local engine decodes together; larger engines are told by their arguments.
PARALLEL_MAX = 16

LABEL_VALUE_LENGTH_MAX = 63
_HASH_LENGTH = 10
_ATTEMPT_HASH_LENGTH = 6

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PodStamps:
    """Instants written on a new pod: what its cold start is measured from."""

    created_at: datetime
    wanted_at: datetime | None


def build_pod(resource: InferenceDeployment, pod: PodToCreate, stamps: PodStamps) -> JsonObject:
    """The manifest of one replica's pod; the same inputs always give the same name."""
    spec, metadata = resource.spec, resource.metadata
    template_hash = hash_template(resource)
    annotations = {
        ANNOTATION_TEMPLATE_HASH: template_hash,
        ANNOTATION_ATTEMPT: str(pod.attempt),
        ANNOTATION_FAILURES: str(pod.failures),
        ANNOTATION_CREATED_AT: format_time(stamps.created_at),
    }
    if stamps.wanted_at is not None:
        annotations[ANNOTATION_WANTED_AT] = format_time(stamps.wanted_at)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name_pod(resource, pod, template_hash),
            "namespace": metadata.namespace,
            "labels": {
                **_labels(resource),
                LABEL_REPLICA_INDEX: str(pod.replica_index),
                # Not in the template's hash: what runs is not replaced for being told its country.
                LABEL_COUNTRY: spec.country,
            },
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "InferenceDeployment",
                    "name": metadata.name,
                    "uid": metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": _pod_spec(spec),
    }


def name_pod(resource: InferenceDeployment, pod: PodToCreate, template_hash: str) -> str:
    """`<deployment>-<replica index>-<attempt hash>`: creating it twice is refused, never doubled."""
    seed = f"{resource.metadata.uid}/{template_hash}/{pod.replica_index}/{pod.attempt}"
    return f"{resource.metadata.name}-{pod.replica_index}-{_digest(seed)[:_ATTEMPT_HASH_LENGTH]}"


def hash_template(resource: InferenceDeployment) -> str:
    """Identifies what a replica runs: pods with another hash are replaced one by one."""
    template = {"labels": _labels(resource), "spec": _pod_spec(resource.spec)}
    return _digest(json.dumps(template, sort_keys=True, separators=(",", ":")))[:_HASH_LENGTH]


def label_of(name: str) -> str:
    """A resource's name as a label value: cut with a hash where it is too long for one."""
    if len(name) <= LABEL_VALUE_LENGTH_MAX:
        return name
    kept = name[: LABEL_VALUE_LENGTH_MAX - _HASH_LENGTH - 1].rstrip("-.")
    return f"{kept}-{_digest(name)[:_HASH_LENGTH]}"


def selector_of(name: str) -> str:
    """The label selector of a deployment's pods, as the scale subresource reports it."""
    return f"{LABEL_DEPLOYMENT}={label_of(name)}"


def _labels(resource: InferenceDeployment) -> dict[str, str]:
    spec = resource.spec
    return {
        "app.kubernetes.io/managed-by": "rempart",
        LABEL_DEPLOYMENT: label_of(resource.metadata.name),
        LABEL_TENANT: spec.tenant_id,
        LABEL_PROJECT: spec.project_id,
        LABEL_SERVICE: spec.service_id,
        LABEL_REGIONAL_DEPLOYMENT: spec.regional_deployment_id,
    }


def _pod_spec(spec: InferenceDeploymentSpec) -> JsonObject:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": spec.drain_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUN_AS_ID,
            "runAsGroup": RUN_AS_ID,
            "fsGroup": RUN_AS_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": _node_affinity(spec),
        "tolerations": _tolerations(spec),
        "containers": [_container(spec)],
    }


def _container(spec: InferenceDeploymentSpec) -> JsonObject:
    requests = {"cpu": f"{spec.cpu_milli}m", "memory": f"{spec.memory_mib}Mi"}
    limits = {"memory": f"{spec.memory_mib}Mi"}
    if spec.accelerator is not None:
        requests[GPU_RESOURCE] = limits[GPU_RESOURCE] = str(spec.accelerator.count)
    return {
        "name": CONTAINER_NAME,
        "image": spec.engine.image,
        "args": list(spec.engine.args),
        "ports": [{"name": spec.engine.port_name, "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        # The platform's own variables stand in `env`, which wins over what `envFrom` brings.
        **({"envFrom": [{"secretRef": {"name": spec.env_secret_name}}]} if spec.env_secret_name else {}),
        "env": _environment(spec),
        "resources": {"requests": requests, "limits": limits},
        "readinessProbe": {
            "httpGet": {"path": HEALTH_PATH, "port": spec.engine.port_name},
            "periodSeconds": READINESS_PERIOD_SECONDS,
            "timeoutSeconds": READINESS_PERIOD_SECONDS,
            "failureThreshold": READINESS_FAILURES_MAX,
        },
        # Only what does the work answers here, not the web server before it: a deadlock ends in a restart.
        "livenessProbe": {
            "httpGet": {"path": spec.engine.liveness_path, "port": spec.engine.port_name},
            "initialDelaySeconds": spec.engine.start_seconds,
            "periodSeconds": LIVENESS_PERIOD_SECONDS,
            "timeoutSeconds": LIVENESS_PERIOD_SECONDS,
            "failureThreshold": LIVENESS_FAILURES_MAX,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _environment(spec: InferenceDeploymentSpec) -> list[JsonObject]:
    """The platform's variables last: the engine's model cannot be swapped by a tenant's variable."""
    platform = {
        "REMPART_MODEL_NAME": spec.model.name,
        "REMPART_PARALLEL": str(min(spec.scaling.concurrency_per_replica, PARALLEL_MAX)),
        "REMPART_MODEL_URI": spec.model.uri,
        "REMPART_MODEL_DIGEST": spec.model.digest,
    }
    plain = [{"name": each.key, "value": each.value} for each in spec.env if each.key not in platform]
    secret = [
        {
            "name": each.key,
            "valueFrom": {"secretKeyRef": {"name": each.secret_name, "key": each.secret_key}},
        }
        for each in spec.secret_refs
        if each.key not in platform
    ]
    return [*plain, *secret, *({"name": key, "value": value} for key, value in platform.items())]


def _node_affinity(spec: InferenceDeploymentSpec) -> JsonObject:
    expressions = [
        {"key": "rempart.eu/node-pool", "operator": "In", "values": sorted(spec.node_pools)},
        {"key": "rempart.eu/datacenter", "operator": "In", "values": [spec.datacenter]},
    ]
    terms = [{"matchExpressions": expressions}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _tolerations(spec: InferenceDeploymentSpec) -> list[JsonObject]:
    return tolerations() if spec.simulated else []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
