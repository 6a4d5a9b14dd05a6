"""What the kinds share: names on the wire, object metadata, conditions, accelerators, taints.

Every list, string and number has a bound: the API server estimates the cost of a CEL rule from
them, and an unbounded field is a way to fill etcd.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from operators.apis.v1alpha1.node_names import (
    KEY_LENGTH_MAX,
    LABEL_RULES,
    TAINT_KEY_RULES,
    TAINT_VALUE_RULES,
)

GROUP = "rempart.eu"
VERSION = "v1alpha1"
API_VERSION: Literal["rempart.eu/v1alpha1"] = "rempart.eu/v1alpha1"

# A node label's value is at most 63 characters (Kubernetes), and these names become label values.
LABEL_VALUE_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
REASON_PATTERN = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
TIME_LENGTH_MAX = 40


class Rule:
    """One CEL validation and the sentence a person reads when it refuses."""

    @staticmethod
    def all_of(*rules: tuple[str, str]) -> dict[str, Any]:
        """The schema extension for `(expression, message)` pairs, in this order."""
        return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}

    @staticmethod
    def immutable(message: str) -> dict[str, Any]:
        """The schema extension that refuses any change of a value once set."""
        return Rule.all_of(("self == oldSelf", message))


def list_map(*keys: str) -> dict[str, Any]:
    """The schema extension for a list whose items are identified by `keys`, safe to apply in parts."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LabelValue = Annotated[str, Field(pattern=LABEL_VALUE_PATTERN, max_length=63)]
DnsLabel = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, max_length=63)]
Time = Annotated[str, Field(max_length=TIME_LENGTH_MAX, json_schema_extra={"format": "date-time"})]


class WireModel(BaseModel):
    """Camel case on the wire, snake case in Python; unknown fields are ignored by the reader."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )


class ConditionStatus(StrEnum):
    """What an observer knows about a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(WireModel):
    """One observation about the object, after the Kubernetes API conventions."""

    type: str = Field(max_length=64, min_length=1, description="Name of the condition, for example Ready.")
    status: ConditionStatus = Field(description="True, False, or Unknown.")
    reason: str = Field(
        max_length=128,
        min_length=1,
        pattern=REASON_PATTERN,
        description="One CamelCase word that says why; programs may compare it.",
    )
    message: str = Field(default="", max_length=4096, description="A sentence for people.")
    last_transition_time: Time = Field(description="When the status last changed from one value to another.")
    observed_generation: int = Field(
        default=0, ge=0, le=2**53, description="metadata.generation that this condition was computed from."
    )


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class NodeTaint(WireModel):
    """A taint that every node of the pool carries for ever."""

    key: str = Field(
        max_length=KEY_LENGTH_MAX,
        min_length=1,
        description="Name of the taint, for example example.org/confidential.",
        json_schema_extra=Rule.all_of(*TAINT_KEY_RULES),
    )
    value: str = Field(
        default="",
        max_length=63,
        description="Value of the taint; may be empty.",
        json_schema_extra=Rule.all_of(*TAINT_VALUE_RULES),
    )
    effect: TaintEffect = Field(description="NoSchedule, PreferNoSchedule or NoExecute.")


class Accelerator(WireModel):
    """The GPUs of one node, or of one replica."""

    sku: LabelValue = Field(
        description="Kind of GPU, for example b300; becomes the label rempart.eu/accelerator."
    )
    count: int = Field(ge=1, le=16, description="Number of GPUs of this kind.")


class ProviderKind(StrEnum):
    """Who makes machines."""

    KWOK = "kwok"
    PROCESS = "process"


class Provider(WireModel):
    """Who makes the machines of a pool."""

    kind: ProviderKind = Field(
        description="kwok makes simulated nodes; process makes nodes that run pods as local processes.",
        json_schema_extra=Rule.immutable(
            "the provider of a pool cannot change: create another pool and move to it"
        ),
    )


NodeLabels = Annotated[
    dict[str, Annotated[str, Field(max_length=63)]],
    Field(
        max_length=32,
        description="Labels that every node of the pool carries, besides those that Rempart sets.",
        json_schema_extra=Rule.all_of(*LABEL_RULES),
    ),
]


class ObjectMeta(BaseModel):
    """The part of Kubernetes' object metadata that Rempart reads or writes; the rest is kept as it is."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """One column of `kubectl get`; priority 1 shows only with -o wide."""

    name: str
    type: str
    json_path: str
    description: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the scale subresource finds its figures."""

    spec_replicas: str
    status_replicas: str
    label_selector: str


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What a CustomResourceDefinition says about a kind besides its schema."""

    plural: str
    short_name: str
    scope: Literal["Cluster", "Namespaced"]
    columns: tuple[PrinterColumn, ...]
    scale: ScalePaths | None = None
    rules: tuple[tuple[str, str], ...] = ()
    has_status: bool = True


def condition_column(condition: str, name: str, priority: int = 0) -> PrinterColumn:
    """A column that shows the status of one condition."""
    path = f'.status.conditions[?(@.type=="{condition}")].status'
    return PrinterColumn(name, "string", path, f"Status of the condition {condition}.", priority)


AGE_COLUMN = PrinterColumn("Age", "date", ".metadata.creationTimestamp", "Time since creation.")


class CustomResource(BaseModel):
    """One object of the group. Subclasses fix `kind`, `spec`, `status` and the class fact sheet."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    FACTS: ClassVar[KindFacts]

    api_version: Literal["rempart.eu/v1alpha1"] = API_VERSION
    kind: str
    metadata: ObjectMeta

    def manifest(self) -> dict[str, Any]:
        """The object as JSON-ready values for server-side apply: no nulls, no status."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status"})
