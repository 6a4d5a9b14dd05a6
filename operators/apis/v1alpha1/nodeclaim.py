"""NodeClaim: one machine asked for. Its spec never changes; its life is a row of phases."""

from enum import StrEnum
from typing import ClassVar, Literal

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
    Time,
    WireModel,
    condition_column,
    list_map,
)


class NodeClaimPhase(StrEnum):
    """Where a machine stands between being asked for and being given back."""

    PENDING = "Pending"
    LAUNCHING = "Launching"
    REGISTERING = "Registering"
    VALIDATING = "Validating"
    READY = "Ready"
    DRAINING = "Draining"
    RELEASING = "Releasing"
    FAILED = "Failed"


class CheckResult(StrEnum):
    """Outcome of one acceptance check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    SIMULATED = "simulated"


class NodeClaimSpec(WireModel):
    """The machine asked for, copied from the pool when the claim was made."""

    pool_ref: LabelValue = Field(description="Name of the GPUNodePool that this claim belongs to.")
    ordinal: int = Field(ge=0, le=99_999, description="Place of the claim in its pool; part of its name.")
    datacenter: LabelValue = Field(description="Datacenter the machine stands in.")
    cell: LabelValue = Field(description="Cell the machine joins.")
    provider: Provider = Field(description="Who makes the machine.")
    instance_type: LabelValue = Field(description="Name of the machine's shape in the catalogue.")
    accelerator: Accelerator | None = Field(
        default=None, description="GPUs of the node; absent for a CPU node."
    )
    cpu_milli: int = Field(ge=100, le=4_096_000, description="CPU of the node in thousandths of a core.")
    memory_mib: int = Field(
        alias="memoryMiB", ge=64, le=67_108_864, description="Memory of the node in mebibytes."
    )
    node_labels: NodeLabels = Field(default_factory=dict)
    node_taints: list[NodeTaint] = Field(
        default_factory=list,
        max_length=16,
        description="Taints that the node carries for ever, besides those that Rempart sets.",
        json_schema_extra=list_map("key", "effect"),
    )


class AcceptanceCheck(WireModel):
    """One check of the acceptance run."""

    name: str = Field(min_length=1, max_length=64, description="Name of the check, for example memory-copy.")
    result: CheckResult = Field(
        description="passed, failed, skipped, or simulated when no real hardware was exercised."
    )
    detail: str = Field(default="", max_length=1024, description="Figures or the reason, for people.")


class AcceptanceRecord(WireModel):
    """What the acceptance run on this machine found."""

    node_uid: str = Field(
        default="", alias="nodeUID", max_length=64, description="uid of the Node that was checked."
    )
    passed_at: Time | None = Field(default=None, description="When the run passed; absent if it failed.")
    checks: list[AcceptanceCheck] = Field(
        default_factory=list,
        max_length=64,
        description="The checks in the order they ran.",
        json_schema_extra=list_map("name"),
    )


class NodeClaimStatus(WireModel):
    """What the node-pool operator observed."""

    observed_generation: int = Field(
        default=0, ge=0, le=2**53, description="metadata.generation that this status was computed from."
    )
    phase: NodeClaimPhase = Field(default=NodeClaimPhase.PENDING, description="Where the machine stands.")
    phase_since: Time | None = Field(default=None, description="When the claim entered its phase.")
    provider_id: str = Field(
        default="", alias="providerID", max_length=512, description="The provider's name for the machine."
    )
    node_name: str = Field(
        default="", max_length=253, description="Name of the Node that the machine became."
    )
    simulated: bool = Field(default=False, description="True when the machine is simulated.")
    acceptance: AcceptanceRecord | None = Field(default=None, description="Result of the acceptance run.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Launched, Registered, Accepted, Ready, Drained.",
        json_schema_extra=list_map("type"),
    )


class NodeClaim(CustomResource):
    """One machine of a pool."""

    FACTS: ClassVar[KindFacts] = KindFacts(
        plural="nodeclaims",
        short_name="nc",
        scope="Cluster",
        columns=(
            PrinterColumn("Pool", "string", ".spec.poolRef", "Pool of the claim."),
            PrinterColumn("Phase", "string", ".status.phase", "Where the machine stands."),
            PrinterColumn("Since", "date", ".status.phaseSince", "Time in this phase."),
            PrinterColumn("Node", "string", ".status.nodeName", "Node that the machine became."),
            condition_column("Ready", "Ready"),
            PrinterColumn("Simulated", "boolean", ".status.simulated", "Whether the machine is simulated."),
            PrinterColumn("Datacenter", "string", ".spec.datacenter", "Datacenter of the machine.", 1),
            PrinterColumn(
                "Reason",
                "string",
                '.status.conditions[?(@.type=="Ready")].reason',
                "Why it is or is not ready.",
                1,
            ),
            PrinterColumn("ProviderID", "string", ".status.providerID", "The provider's name for it.", 1),
            AGE_COLUMN,
        ),
        rules=(
            (
                "self.metadata.name == '%s-%d'.format([self.spec.poolRef, self.spec.ordinal])",
                "a claim is named <poolRef>-<ordinal>",
            ),
        ),
    )

    kind: Literal["NodeClaim"] = "NodeClaim"
    spec: NodeClaimSpec = Field(
        description="The machine asked for.",
        json_schema_extra=Rule.immutable("a claim cannot change: delete it and the pool makes a new one"),
    )
    status: NodeClaimStatus | None = Field(default=None, description="What the node-pool operator observed.")
