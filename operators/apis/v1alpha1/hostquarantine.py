"""HostQuarantine: a host that failed its checks, set aside until a person has it tested again."""

from typing import ClassVar, Literal

from pydantic import Field

from operators.apis.v1alpha1.meta import (
    AGE_COLUMN,
    CustomResource,
    KindFacts,
    LabelValue,
    PrinterColumn,
    Provider,
    Rule,
    WireModel,
    list_map,
)
from operators.apis.v1alpha1.nodeclaim import AcceptanceCheck


class HostQuarantineSpec(WireModel):
    """Which host, and what was found. Written once by the node-pool operator."""

    provider: Provider = Field(description="Who makes machines of the host.")
    provider_id: str = Field(
        alias="providerID", min_length=1, max_length=512, description="The provider's name for the host."
    )
    pool: LabelValue = Field(description="Pool whose claim had the host when it failed.")
    claim: LabelValue = Field(description="That claim.")
    message: str = Field(default="", max_length=1024, description="What failed, for people.")
    checks: list[AcceptanceCheck] = Field(
        default_factory=list,
        max_length=64,
        description="The checks of the run that failed.",
        json_schema_extra=list_map("name"),
    )


class HostQuarantine(CustomResource):
    """A host that no claim gets. Deleting it means: the host may be tried again, and is checked then."""

    FACTS: ClassVar[KindFacts] = KindFacts(
        plural="hostquarantines",
        short_name="hq",
        scope="Cluster",
        columns=(
            PrinterColumn("Host", "string", ".spec.providerID", "The provider's name for the host."),
            PrinterColumn("Pool", "string", ".spec.pool", "Pool whose claim had the host."),
            PrinterColumn("Found", "string", ".spec.message", "What failed."),
            AGE_COLUMN,
        ),
        has_status=False,
    )

    kind: Literal["HostQuarantine"] = "HostQuarantine"
    spec: HostQuarantineSpec = Field(
        description="Which host, and what was found.",
        json_schema_extra=Rule.immutable(
            "a record of a host cannot change: delete it to have the host tested"
        ),
    )
