"""GPUNodePool: how many machines of one shape a datacenter's cell shall have."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from operators.apis.v1alpha1.meta import (
    AGE_COLUMN,
    Accelerator,
    Condition,
    CustomResource,
    KindFacts,
    LabelValue,
    NodeLabels,
    NodeTaint,
    PrinterColumn,
    Provider,
    Rule,
    ScalePaths,
    Time,
    WireModel,
    condition_column,
    list_map,
)

# Node names are `<pool>-<ordinal>` and must stay DNS labels of at most 63 characters.
POOL_NAME_LENGTH_MAX = 50
# One cell (one Kubernetes cluster) holds at most 2,000 nodes.
POOL_REPLICAS_MAX = 2000


class Rollout(WireModel):
    """How a changed shape of the nodes reaches those that run."""

    max_unavailable: int = Field(
        default=1,
        ge=0,
        le=POOL_REPLICAS_MAX,
        description="Nodes replaced at a time when cpuMilli, memoryMiB, nodeLabels or nodeTaints change; 0"
        " replaces none and only counts the outdated ones. There is no surge: a machine more would draw"
        " power that the site has not granted.",
    )


class Repair(WireModel):
    """When a node that fell silent is replaced."""

    not_ready_seconds: int = Field(
        default=900,
        ge=0,
        le=86_400,
        description="A node that is NotReady for this long is replaced; 0 replaces none. Below 60 counts as 60.",
    )
    max_unhealthy_percent: int = Field(
        default=20,
        ge=0,
        le=100,
        description="When more of the pool's nodes than this are lost or failed their checks, rounded up, none"
        " is replaced: many at once are a fault of network, power or image, not of machines.",
    )


class NodeAction(StrEnum):
    """What is asked for one machine of a pool."""

    CORDON = "cordon"
    UNCORDON = "uncordon"
    DRAIN = "drain"
    REPLACE = "replace"


class NodeOrder(WireModel):
    """The last word on one machine; it ends with its claim."""

    claim: LabelValue = Field(description="Name of the NodeClaim.")
    uid: str = Field(
        min_length=1, max_length=64, description="Its uid: a later claim of this name is another machine."
    )
    action: NodeAction = Field(
        description="cordon keeps new pods away; drain asks the pods that are there to leave, too; replace gives"
        " the machine back and asks for another; uncordon opens the node once."
    )
    since: Time = Field(description="When it was asked for; a drain's time counts from here.")


class GPUNodePoolSpec(WireModel):
    """What the operator of the datacenter wants."""

    datacenter: LabelValue = Field(
        description="Datacenter the machines stand in; becomes the node's zone label.",
        json_schema_extra=Rule.immutable(
            "a pool's datacenter cannot change: create a pool in the other datacenter"
        ),
    )
    cell: LabelValue = Field(
        description="Cell (one Kubernetes cluster of the datacenter) the machines join.",
        json_schema_extra=Rule.immutable("a pool's cell cannot change: create a pool in the other cell"),
    )
    provider: Provider = Field(description="Who makes the machines.")
    instance_type: LabelValue = Field(
        description="Name of the machine's shape in the catalogue, for example gpu-8x-b300.",
        json_schema_extra=Rule.immutable(
            "a pool's instanceType cannot change: create another pool and move to it"
        ),
    )
    accelerator: Accelerator | None = Field(
        default=None,
        description="GPUs of each node; absent for CPU nodes.",
        json_schema_extra=Rule.immutable(
            "a pool's accelerator cannot change: create another pool and move to it"
        ),
    )
    cpu_milli: int = Field(ge=100, le=4_096_000, description="CPU of each node in thousandths of a core.")
    memory_mib: int = Field(
        alias="memoryMiB", ge=64, le=67_108_864, description="Memory of each node in mebibytes."
    )
    replicas: int = Field(ge=0, le=POOL_REPLICAS_MAX, description="Number of nodes wanted.")
    node_labels: NodeLabels = Field(default_factory=dict)
    node_taints: list[NodeTaint] = Field(
        default_factory=list,
        max_length=16,
        description="Taints that every node of the pool carries, besides those that Rempart sets.",
        json_schema_extra=list_map("key", "effect"),
    )
    # The three below have no default here: a writer of the spec that does not know them must not own them.
    drain_timeout_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="How long disruption budgets may hold up a drain before pods are deleted all the same;"
        " 600 when absent.",
    )
    rollout: Rollout | None = Field(
        default=None, description="How a changed shape reaches running nodes; one at a time when absent."
    )
    repair: Repair | None = Field(
        default=None, description="When a lost node is replaced; after 900 s, at most 20 % lost, when absent."
    )
    node_orders: list[NodeOrder] = Field(
        default_factory=list,
        max_length=POOL_REPLICAS_MAX,
        description="What is asked for single machines.",
        json_schema_extra=list_map("claim"),
    )
    paused: bool = Field(
        default=False, description="True stops creating and deleting machines; running ones stay as they are."
    )


SPEC_RULES = (
    (
        "has(self.accelerator) == has(oldSelf.accelerator)",
        "a pool's accelerator cannot be added or removed: create another pool and move to it",
    ),
    (
        "self.provider.kind != 'process' || !has(self.accelerator)",
        "a process host has no GPU: leave accelerator out, or use another provider",
    ),
    (
        "self.provider.kind != 'process' || self.replicas <= 64",
        "provider process runs pods as processes of one machine: at most 64 replicas",
    ),
)


class GPUNodePoolStatus(WireModel):
    """What the node-pool operator observed."""

    observed_generation: int = Field(
        default=0, ge=0, le=2**53, description="metadata.generation that this status was computed from."
    )
    replicas: int = Field(default=0, ge=0, le=100_000, description="Number of node claims that exist.")
    ready_replicas: int = Field(
        default=0, ge=0, le=100_000, description="Number of claims whose node is usable."
    )
    updated_replicas: int = Field(
        default=0, ge=0, le=100_000, description="Number of claims that are as the spec says now."
    )
    selector: str = Field(default="", max_length=512, description="Label selector of the pool's nodes.")
    phases: dict[str, Annotated[int, Field(ge=0, le=100_000)]] = Field(
        default_factory=dict,
        max_length=16,
        description="Number of claims in each phase; empty phases are left out.",
    )
    simulated: bool = Field(default=False, description="True when the pool's machines are simulated.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready, CapacitySatisfied, UpToDate, Degraded.",
        json_schema_extra=list_map("type"),
    )


class GPUNodePool(CustomResource):
    """A group of equal machines in one cell of one datacenter."""

    FACTS: ClassVar[KindFacts] = KindFacts(
        plural="gpunodepools",
        short_name="gnp",
        scope="Cluster",
        columns=(
            PrinterColumn("Datacenter", "string", ".spec.datacenter", "Datacenter of the machines."),
            PrinterColumn("Type", "string", ".spec.instanceType", "Shape of the machines."),
            PrinterColumn("GPU", "string", ".spec.accelerator.sku", "Kind of GPU."),
            PrinterColumn("Desired", "integer", ".spec.replicas", "Nodes wanted."),
            PrinterColumn("Nodes", "integer", ".status.replicas", "Node claims that exist."),
            PrinterColumn("Usable", "integer", ".status.readyReplicas", "Nodes that take work."),
            condition_column("Ready", "Ready"),
            PrinterColumn("Updated", "integer", ".status.updatedReplicas", "Nodes of the present shape.", 1),
            PrinterColumn("Simulated", "boolean", ".status.simulated", "Whether the machines are simulated."),
            PrinterColumn("Cell", "string", ".spec.cell", "Cell of the machines.", 1),
            PrinterColumn("Provider", "string", ".spec.provider.kind", "Who makes the machines.", 1),
            AGE_COLUMN,
        ),
        scale=ScalePaths(".spec.replicas", ".status.replicas", ".status.selector"),
        rules=(
            (
                f"self.metadata.name.size() <= {POOL_NAME_LENGTH_MAX} && !self.metadata.name.contains('.')",
                f"a pool's name is part of node names: at most {POOL_NAME_LENGTH_MAX} characters, no dot",
            ),
        ),
    )

    kind: Literal["GPUNodePool"] = "GPUNodePool"
    spec: GPUNodePoolSpec = Field(
        description="What the operator of the datacenter wants.", json_schema_extra=Rule.all_of(*SPEC_RULES)
    )
    status: GPUNodePoolStatus | None = Field(
        default=None, description="What the node-pool operator observed."
    )
