"""The wire shape of a service's `definition`: Koyeb's field names, and ours under `inference` and `sovereignty`.

Source: Koyeb's public API reference (DeploymentDefinition). Only what Rempart carries out is accepted: an unknown
field is refused, never ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controlplane.deployments.domain import Definition, EnvEntry, QueueLimits
from controlplane.kernel import bounds
from controlplane.plumbing.web import WireModel
from controlplane.sovereignty.requirement_rules import dump_requirement
from controlplane.sovereignty.schemas import SovereigntyBlock

IDLE_SECONDS = 300
CONCURRENCY = 4

Name = Annotated[
    str,
    Field(
        pattern=bounds.SERVICE_NAME_PATTERN,
        max_length=bounds.SERVICE_NAME_LENGTH,
        description="Lower-case letters, digits and dashes, starting with a letter.",
        examples=["assistant"],
    ),
]


class InstanceTypeChoice(WireModel):
    """One acceptable size of a replica."""

    type: str = Field(
        pattern=bounds.INSTANCE_TYPE_PATTERN,
        max_length=bounds.INSTANCE_TYPE_LENGTH,
        description="Name in the catalogue.",
        examples=["cpu-2"],
    )


class SleepIdleDelay(WireModel):
    """How long a replica stays without a request."""

    deep_sleep_value: int = Field(
        ge=bounds.IDLE_SECONDS.least,
        le=bounds.IDLE_SECONDS.most,
        description="Seconds without a request before it goes to zero.",
        examples=[300],
    )


class ConcurrentRequests(WireModel):
    """How much one replica takes."""

    value: int = Field(
        ge=bounds.CONCURRENCY.least,
        le=bounds.CONCURRENCY.most,
        description="Requests that one replica answers at once.",
        examples=[4],
    )


class ScalingTarget(WireModel):
    """One target; exactly one of its keys is set, as Koyeb has it."""

    sleep_idle_delay: SleepIdleDelay | None = Field(default=None, description="Scale to zero when idle.")
    concurrent_requests: ConcurrentRequests | None = Field(
        default=None, description="Scale on requests in flight."
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.sleep_idle_delay is None) == (self.concurrent_requests is None):
            raise ValueError("a target sets exactly one of sleep_idle_delay and concurrent_requests")
        return self


class Scaling(WireModel):
    """Between how many replicas the service moves, and why."""

    min: int = Field(
        default=0,
        ge=bounds.REPLICAS.least,
        le=bounds.REPLICAS.most,
        description="Replicas kept always; 0 lets it sleep.",
    )
    max: int = Field(
        default=1,
        ge=bounds.REPLICAS_HIGHEST.least,
        le=bounds.REPLICAS_HIGHEST.most,
        description="Replicas at most.",
    )
    targets: list[ScalingTarget] = Field(default=[], max_length=2, description="When to move between them.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min cannot be above max")
        kinds = [target.sleep_idle_delay is None for target in self.targets]
        if len(set(kinds)) != len(kinds):
            raise ValueError("each kind of target can be given once")
        return self


class EnvVariable(WireModel):
    """One variable of the engine's environment: a plain value or the name of a secret."""

    key: str = Field(
        pattern=bounds.ENV_KEY_PATTERN,
        max_length=bounds.ENV_KEY_LENGTH,
        description="Name of the variable; each engine has a list of those it takes.",
        examples=["LOG_LEVEL"],
    )
    value: str | None = Field(
        default=None,
        max_length=bounds.ENV_VALUE_LENGTH,
        description="Plain value; never put a secret here.",
    )
    secret: Name | None = Field(default=None, description="Name of a secret of the same project.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.value is None) == (self.secret is None):
            raise ValueError("a variable has either a value or a secret")
        return self


class Queue(WireModel):
    """What the gateway may hold for the service while it wakes."""

    max_requests: int = Field(
        default=200,
        ge=bounds.QUEUE_REQUESTS.least,
        le=bounds.QUEUE_REQUESTS.most,
        description="Requests held at most.",
    )
    max_bytes: int = Field(
        default=16 << 20,
        ge=bounds.QUEUE_BYTES.least,
        le=bounds.QUEUE_BYTES.most,
        description="Bytes of their bodies held at most.",
    )
    max_age_s: int = Field(
        default=300,
        ge=bounds.QUEUE_SECONDS.least,
        le=bounds.QUEUE_SECONDS.most,
        description="Seconds a request is held at most.",
    )


class Inference(WireModel):
    """Which model is served, and how."""

    model: str = Field(
        pattern=bounds.MODEL_NAME_PATTERN,
        max_length=bounds.MODEL_NAME_LENGTH,
        description="Name in the catalogue.",
        examples=["smollm2-135m-instruct"],
    )
    queue: Queue = Field(default=Queue(), description="Bounds of waiting while the service wakes.")
    first_byte_timeout_s: int = Field(
        default=120,
        ge=bounds.FIRST_BYTE_SECONDS.least,
        le=bounds.FIRST_BYTE_SECONDS.most,
        description="Seconds the engine has to begin its answer.",
    )
    is_simulated_allowed: bool = Field(
        default=False,
        description="Accept simulated capacity, which holds no model and answers nothing: for trying out placement.",
    )


class DefinitionIn(WireModel):
    """What a service should be."""

    name: Name
    type: Literal["INFERENCE"] = Field(default="INFERENCE", description="Kind of service.")
    instance_types: list[InstanceTypeChoice] = Field(
        default=[],
        max_length=bounds.SIZES_OF_A_SERVICE,
        description="Acceptable sizes of a replica, the preferred one first; empty takes the model's own.",
    )
    scalings: list[Scaling] = Field(
        default=[Scaling()], min_length=1, max_length=1, description="How the service scales."
    )
    env: list[EnvVariable] = Field(
        default=[],
        max_length=bounds.ENV_VARIABLES,
        description=f"Environment of the engine; at most {bounds.ENV_BYTES // 1024} KiB in all, with its secrets.",
    )
    regions: list[
        Annotated[str, Field(pattern=bounds.SITE_CODE_PATTERN, max_length=bounds.SITE_CODE_LENGTH)]
    ] = Field(
        default=[],
        max_length=bounds.SITES_OF_A_SERVICE,
        description="Datacenters that may be chosen; empty means any.",
        examples=[["essonne-1"]],
    )
    inference: Inference = Field(description="Which model is served, and how its calls wait.")
    sovereignty: SovereigntyBlock = Field(
        default=SovereigntyBlock(), description="What every place that runs the service must meet."
    )
    on_violation_grace_seconds: int = Field(
        default=0,
        ge=bounds.GRACE_SECONDS.least,
        le=bounds.GRACE_SECONDS.most,
        description="Seconds that a place may go on serving after it stopped meeting the requirement, when there is no"
        " other place; 0 refuses calls at once.",
    )

    @model_validator(mode="after")
    def _unique(self) -> Self:
        keys = [variable.key for variable in self.env]
        if len(set(keys)) != len(keys):
            raise ValueError("env: each variable can be given once")
        size = sum(len(f"{variable.key}{variable.value or ''}".encode()) for variable in self.env)
        if size > bounds.ENV_BYTES:
            raise ValueError(
                f"env: names and values have {size} bytes, more than {bounds.ENV_BYTES}; make values shorter"
            )
        types = [choice.type for choice in self.instance_types]
        if len(set(types)) != len(types):
            raise ValueError("instance_types: each type can be given once")
        return self


def to_definition(wire: DefinitionIn) -> Definition:
    """The definition as the room works with it; defaults filled in."""
    scaling = wire.scalings[0]
    idle = next((t.sleep_idle_delay for t in scaling.targets if t.sleep_idle_delay), None)
    concurrency = next((t.concurrent_requests for t in scaling.targets if t.concurrent_requests), None)
    queue = wire.inference.queue
    return Definition(
        name=wire.name,
        model=wire.inference.model,
        instance_types=tuple(choice.type for choice in wire.instance_types),
        replicas_min=scaling.min,
        replicas_max=scaling.max,
        concurrency_per_replica=concurrency.value if concurrency else CONCURRENCY,
        idle_seconds=idle.deep_sleep_value if idle else IDLE_SECONDS,
        env=tuple(EnvEntry(v.key, v.value, v.secret) for v in wire.env),
        regions=tuple(sorted(set(wire.regions))),
        sovereignty=dump_requirement(wire.sovereignty.to_requirement()),
        on_violation_grace_seconds=wire.on_violation_grace_seconds,
        is_simulated_allowed=wire.inference.is_simulated_allowed,
        queue=QueueLimits(queue.max_requests, queue.max_bytes, queue.max_age_s),
        first_byte_seconds_max=wire.inference.first_byte_timeout_s,
    )
