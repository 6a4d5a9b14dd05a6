"""InferenceDeployment: one deployment's part in one datacenter, as its cell runs it."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from operators.apis.v1alpha1.meta import (
    AGE_COLUMN,
    Accelerator,
    Condition,
    CustomResource,
    DnsLabel,
    KindFacts,
    LabelValue,
    PrinterColumn,
    Rule,
    ScalePaths,
    Time,
    WireModel,
    condition_column,
    list_map,
)

ENV_KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
PORT_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$"
REPLICAS_MAX = 1000


def wire_id(prefix: str, what: str) -> Any:
    """A field that holds one of Rempart's ids and never changes."""
    return Field(
        max_length=len(prefix) + 27,
        pattern=rf"^{prefix}_[0-9A-Za-z]{{26}}$",
        description=f"Id of {what}.",
        json_schema_extra=Rule.immutable(
            "the ids of an InferenceDeployment cannot change: create another one"
        ),
    )


class InferencePhase(StrEnum):
    """Where the deployment stands in this cell; Koyeb's words."""

    PENDING = "PENDING"
    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"
    SLEEPING = "SLEEPING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


class ModelSpec(WireModel):
    """The weights to serve."""

    name: str = Field(min_length=1, max_length=128, description="Name that callers put in the field model.")
    uri: str = Field(min_length=1, max_length=1024, description="Where the weights come from.")
    digest: str = Field(
        max_length=71, pattern=DIGEST_PATTERN, description="sha256 of the weights; checked before serving."
    )
    licence: str = Field(min_length=1, max_length=64, description="SPDX id of the weights' licence.")


class EngineSpec(WireModel):
    """The program that serves the model."""

    name: str = Field(min_length=1, max_length=64, description="Name of the engine, for example llama-cpp.")
    image: str = Field(min_length=1, max_length=512, description="Image that holds the engine.")
    args: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list,
        max_length=128,
        description="Arguments of the engine, in order.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    port_name: str = Field(
        default="http",
        min_length=1,
        max_length=15,
        pattern=PORT_NAME_PATTERN,
        description="Name of its HTTP port.",
    )
    liveness_path: str = Field(
        default="/health",
        min_length=1,
        max_length=256,
        pattern=r"^/[A-Za-z0-9/._-]*$",
        description="Where it answers only when its working part does: asked again and again, it is restarted if not.",
    )
    start_seconds: int = Field(
        default=600, ge=1, le=3600, description="Seconds it may take to start before it is asked there."
    )


class ReplicaRange(WireModel):
    """Between how many replicas the autoscaler moves."""

    min: int = Field(
        ge=0, le=REPLICAS_MAX, description="Replicas kept even without requests; 0 lets it sleep."
    )
    max: int = Field(ge=0, le=REPLICAS_MAX, description="Replicas at most.")


class Scaling(WireModel):
    """When the autoscaler moves."""

    concurrency_per_replica: int = Field(
        default=4, ge=1, le=10_000, description="Requests one replica answers at the same time."
    )
    idle_seconds: int = Field(
        default=300, ge=1, le=86_400, description="Seconds without a request before it goes to sleep."
    )
    initial_replicas: int = Field(
        default=0,
        ge=0,
        le=1,
        description="1 starts a replica whatever the demand, until one was ready once; then it may sleep.",
    )


class EnvVar(WireModel):
    """One environment variable with a plain value."""

    key: str = Field(
        min_length=1, max_length=128, pattern=ENV_KEY_PATTERN, description="Name of the variable."
    )
    value: str = Field(max_length=8192, description="Its value; never a secret.")


class SecretRef(WireModel):
    """One environment variable whose value stands in a Kubernetes Secret of the same namespace."""

    key: str = Field(
        min_length=1, max_length=128, pattern=ENV_KEY_PATTERN, description="Name of the variable."
    )
    secret_name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")
    secret_key: str = Field(min_length=1, max_length=253, description="Key inside the Secret.")


class InferenceDeploymentSpec(WireModel):
    """What the control plane wants to run in this cell."""

    tenant_id: str = wire_id("org", "the tenant")
    project_id: str = wire_id("prj", "the project")
    service_id: str = wire_id("svc", "the service")
    service_name: DnsLabel = Field(description="Name of the service, for people and for host names.")
    deployment_id: str = wire_id("dep", "the deployment")
    regional_deployment_id: str = wire_id("rdp", "the deployment's part in this datacenter")
    datacenter: LabelValue = Field(
        description="Datacenter that was decided for it.",
        json_schema_extra=Rule.immutable(
            "the datacenter was decided once: a move creates another InferenceDeployment"
        ),
    )
    country: str = Field(
        min_length=2,
        max_length=2,
        pattern=r"^[A-Z]{2}$",
        description="Country of the datacenter, ISO 3166-1 alpha-2.",
        json_schema_extra=Rule.immutable(
            "the country was decided once: a move creates another InferenceDeployment"
        ),
    )
    node_pools: list[LabelValue] = Field(
        min_length=1,
        max_length=32,
        description="Node pools whose nodes may run it.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    simulated: bool = Field(default=False, description="True lets its pods run on simulated nodes.")
    model: ModelSpec = Field(description="The weights to serve.")
    engine: EngineSpec = Field(description="The program that serves them.")
    accelerator: Accelerator | None = Field(default=None, description="GPUs of one replica; absent for CPU.")
    cpu_milli: int = Field(ge=1, le=4_096_000, description="CPU of one replica in thousandths of a core.")
    memory_mib: int = Field(
        alias="memoryMiB", ge=1, le=67_108_864, description="Memory of one replica in mebibytes."
    )
    replicas: ReplicaRange = Field(
        description="Between how many replicas it runs.",
        json_schema_extra=Rule.all_of(("self.min <= self.max", "replicas.min cannot be above replicas.max")),
    )
    scaling: Scaling = Field(default_factory=Scaling, description="When the autoscaler moves.")
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=64,
        description="Environment variables with plain values.",
        json_schema_extra={
            **list_map("key"),
            **Rule.all_of(("self.all(e, e.key != 'PORT')", "the variable PORT is assigned by the platform")),
        },
    )
    secret_refs: list[SecretRef] = Field(
        default_factory=list,
        max_length=64,
        description="Environment variables with values from Secrets.",
        json_schema_extra=list_map("key"),
    )
    env_secret_name: str = Field(
        default="",
        max_length=253,
        description="Secret of the same namespace whose keys are environment variables; empty for none.",
    )
    paused: bool = Field(default=False, description="True takes it to zero replicas and keeps it there.")
    drain_seconds: int = Field(
        default=30,
        ge=0,
        le=3600,
        description="Seconds a replica gets to finish its requests before it is stopped.",
    )


SPEC_RULES = (
    (
        "has(self.accelerator) == has(oldSelf.accelerator)",
        "the accelerator of a deployment cannot be added or removed: deploy again",
    ),
    (
        (
            "!has(self.env) || !has(self.secretRefs)"
            " || self.env.all(e, !self.secretRefs.exists(s, s.key == e.key))"
        ),
        "a variable stands either in env or in secretRefs, not in both",
    ),
)


class InstanceStatus(WireModel):
    """One replica as it runs."""

    name: str = Field(max_length=253, description="Name of its pod.")
    uid: str = Field(default="", max_length=64, description="Uid of its pod.")
    replica_index: int = Field(default=0, ge=0, le=REPLICAS_MAX, description="Place among the replicas.")
    phase: str = Field(default="", max_length=32, description="Where the replica stands.")
    node: str = Field(default="", max_length=253, description="Node it runs on.")
    address: str = Field(default="", max_length=64, description="Address of its endpoint.")
    port: int = Field(default=0, ge=0, le=65_535, description="Port of its endpoint; 0 until known.")
    gpus: list[Annotated[str, Field(max_length=128)]] = Field(
        default_factory=list,
        max_length=16,
        description="GPUs it holds.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    created_at: Time | None = Field(default=None, description="When its pod was created.")
    scheduled_at: Time | None = Field(default=None, description="When a node was found.")
    started_at: Time | None = Field(default=None, description="When its container started.")
    ready_at: Time | None = Field(default=None, description="When it became ready to answer.")
    reason: str = Field(default="", max_length=128, description="Why it is in this phase, one word.")
    message: str = Field(default="", max_length=1024, description="Why it is in this phase, for people.")


class LastColdStart(WireModel):
    """The times of the latest start from zero."""

    wanted_at: Time | None = Field(default=None, description="When the first waiting request was seen.")
    pod_created_at: Time | None = Field(default=None, description="When the pod was created.")
    scheduled_at: Time | None = Field(default=None, description="When a node was found.")
    started_at: Time | None = Field(default=None, description="When the container started.")
    ready_at: Time | None = Field(default=None, description="When the replica became ready.")
    instance: str = Field(default="", max_length=253, description="Name of the replica's pod.")


class InferenceDeploymentStatus(WireModel):
    """What the inference operator observed."""

    observed_generation: int = Field(
        default=0, ge=0, le=2**53, description="metadata.generation that this status was computed from."
    )
    phase: InferencePhase = Field(
        default=InferencePhase.PENDING, description="Where the deployment stands here."
    )
    desired_replicas: int = Field(default=0, ge=0, le=REPLICAS_MAX, description="Replicas wanted now.")
    replicas: int = Field(default=0, ge=0, le=100_000, description="Replicas that exist.")
    ready_replicas: int = Field(default=0, ge=0, le=100_000, description="Replicas that answer.")
    selector: str = Field(default="", max_length=512, description="Label selector of its pods.")
    instances: list[InstanceStatus] = Field(
        default_factory=list,
        max_length=REPLICAS_MAX,
        description="Its replicas.",
        json_schema_extra=list_map("name"),
    )
    first_ready_at: Time | None = Field(
        default=None,
        description="When a replica was ready for the first time; until then one is kept starting.",
    )
    last_cold_start: LastColdStart | None = Field(
        default=None, description="Times of the latest start from zero."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready (idle is ready), Active, Progressing.",
        json_schema_extra=list_map("type"),
    )


class InferenceDeployment(CustomResource):
    """One deployment's part in one datacenter."""

    FACTS: ClassVar[KindFacts] = KindFacts(
        plural="inferencedeployments",
        short_name="idp",
        scope="Namespaced",
        columns=(
            PrinterColumn("Model", "string", ".spec.model.name", "Name of the model."),
            PrinterColumn("Datacenter", "string", ".spec.datacenter", "Where it runs."),
            PrinterColumn("Phase", "string", ".status.phase", "Where it stands."),
            PrinterColumn("Wanted", "integer", ".status.desiredReplicas", "Replicas wanted now."),
            PrinterColumn("Answering", "integer", ".status.readyReplicas", "Replicas that answer."),
            condition_column("Ready", "Ready"),
            PrinterColumn("GPU", "string", ".spec.accelerator.sku", "Kind of GPU.", 1),
            PrinterColumn("Service", "string", ".spec.serviceId", "Id of the service.", 1),
            PrinterColumn("Tenant", "string", ".spec.tenantId", "Id of the tenant.", 1),
            condition_column("Active", "Active", 1),
            AGE_COLUMN,
        ),
        scale=ScalePaths(".spec.replicas.min", ".status.replicas", ".status.selector"),
    )

    kind: Literal["InferenceDeployment"] = "InferenceDeployment"
    spec: InferenceDeploymentSpec = Field(
        description="What the control plane wants to run in this cell.",
        json_schema_extra=Rule.all_of(*SPEC_RULES),
    )
    status: InferenceDeploymentStatus | None = Field(default=None, description="What the operator observed.")
