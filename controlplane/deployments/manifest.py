"""A regional deployment as the objects that its cell converges to: namespace, secret, InferenceDeployment. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.catalogue.liveness_rules import find_liveness
from controlplane.deployments.domain import Definition, RegionalDeployment
from controlplane.deployments.namespace_guards import build_guards
from operators.apis.v1alpha1 import (
    Accelerator,
    EngineSpec,
    InferenceDeployment,
    InferenceDeploymentSpec,
    ModelSpec,
    ObjectMeta,
    ReplicaRange,
    Scaling,
)

MANAGED_BY = {"app.kubernetes.io/managed-by": "rempart"}
LABEL_TENANT = "rempart.eu/tenant"
LABEL_PROJECT = "rempart.eu/project"
LABEL_REGIONAL_DEPLOYMENT = "rempart.eu/regional-deployment"
# A replica gets this long for the answers it has begun; streams of minutes are normal, hours are not.
DRAIN_SECONDS = 30

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The model and the program that serves it, as the catalogue says."""

    model_name: str
    model_uri: str
    model_digest: str
    model_licence: str
    engine_name: str
    engine_image: str
    engine_args: tuple[str, ...]


def build_manifests(
    part: RegionalDeployment, definition: Definition, engine: EngineChoice, secrets: Mapping[str, str]
) -> list[JsonObject]:
    """Everything a cell must hold for a part, in the order in which to apply it.

    Shapes: `secrets` maps each name the definition refers to to its value; KeyError when one is missing.
    """
    objects = [build_namespace(part), *build_guards(part.namespace)]
    if definition.env:
        objects.append(build_environment(part, definition, secrets))
    objects.append(build_inference_deployment(part, definition, engine))
    return objects


def build_namespace(part: RegionalDeployment) -> JsonObject:
    """The project's namespace: Pod Security `restricted` is enforced in it."""
    labels = {
        **MANAGED_BY,
        LABEL_TENANT: str(part.tenant_id),
        LABEL_PROJECT: str(part.project_id),
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": part.namespace, "labels": labels}}


def secret_object_name(part: RegionalDeployment) -> str:
    return f"{part.object_name}-env"


def build_environment(
    part: RegionalDeployment, definition: Definition, secrets: Mapping[str, str]
) -> JsonObject:
    """All variables of a part, under their own names. Never logged, never returned.

    They stand here once: the custom resource and every pod name this object, and copy nothing of it.
    """
    values = {
        entry.key: secrets[entry.secret] if entry.secret is not None else entry.value or ""
        for entry in definition.env
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_object_name(part),
            "namespace": part.namespace,
            "labels": {**MANAGED_BY, LABEL_REGIONAL_DEPLOYMENT: str(part.id)},
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in sorted(values.items())},
    }


def build_inference_deployment(
    part: RegionalDeployment, definition: Definition, engine: EngineChoice
) -> JsonObject:
    place, liveness = part.placement, find_liveness(engine.engine_name)
    spec = InferenceDeploymentSpec(
        tenant_id=str(part.tenant_id),
        project_id=str(part.project_id),
        service_id=str(part.service_id),
        service_name=part.service_name,
        deployment_id=str(part.deployment_id),
        regional_deployment_id=str(part.id),
        datacenter=place.datacenter,
        country=place.country,
        node_pools=[place.pool_name],
        simulated=place.is_simulated,
        model=ModelSpec(
            name=engine.model_name,
            uri=engine.model_uri,
            digest=engine.model_digest,
            licence=engine.model_licence,
        ),
        engine=EngineSpec(
            name=engine.engine_name,
            image=engine.engine_image,
            args=list(engine.engine_args),
            liveness_path=liveness.path,
            start_seconds=liveness.start_seconds,
        ),
        accelerator=None
        if place.accelerator_sku is None
        else Accelerator(sku=place.accelerator_sku, count=place.gpus_per_replica),
        cpu_milli=place.cpu_milli,
        memoryMiB=place.memory_mib,
        replicas=ReplicaRange(min=part.replicas_min, max=part.replicas_max),
        scaling=Scaling(
            concurrency_per_replica=definition.concurrency_per_replica,
            idle_seconds=definition.idle_seconds,
            # Traffic is moved only to what was ready once.
            initial_replicas=1,
        ),
        env_secret_name=secret_object_name(part) if definition.env else "",
        drain_seconds=DRAIN_SECONDS,
    )
    labels = {**MANAGED_BY, LABEL_TENANT: str(part.tenant_id), LABEL_REGIONAL_DEPLOYMENT: str(part.id)}
    metadata = ObjectMeta(name=part.object_name, namespace=part.namespace, labels=labels)
    return InferenceDeployment(metadata=metadata, spec=spec).manifest()
