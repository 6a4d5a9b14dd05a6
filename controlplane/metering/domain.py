"""Usage as values: what was taken in, what a GPU was held for, and the totals that rating reads."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from controlplane.kernel.ids import Id, ProjectId, TenantId
from controlplane.kernel.period import Period

# The number of one committed ingest transaction; a smaller number was never committed after a freeze that is
# larger (see `FrozenPeriod`).
BatchId = NewType("BatchId", int)

INFERENCE_EVENT = "eu.rempart.inference.request.v1"
ALLOCATION_EVENT = "eu.rempart.gpu.allocation.v1"
SLICE_EVENT = "eu.rempart.gpu.slice.v1"
SLICE_SOURCE = "/metering/slices"

# GPU time is kept in whole microseconds and shown in seconds with six decimals.
MICROSECONDS = 1_000_000


class BillingPeriodId(Id):
    prefix = "bpd"


class Meter(StrEnum):
    """What is counted. `FAILED_REQUESTS` had an answer of 400 or more, or none: it is shown, never a request. Tokens of
    calls that are free of charge (`outcome_rules`) are UNBILLED: shown, never sold."""

    REQUESTS = "requests"
    FAILED_REQUESTS = "failed_requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    UNBILLED_INPUT_TOKENS = "unbilled_input_tokens"
    UNBILLED_OUTPUT_TOKENS = "unbilled_output_tokens"
    GPU_SECONDS = "gpu_seconds"


UNITS: Mapping[Meter, str] = {
    Meter.REQUESTS: "request",
    Meter.FAILED_REQUESTS: "request",
    Meter.INPUT_TOKENS: "token",
    Meter.OUTPUT_TOKENS: "token",
    Meter.UNBILLED_INPUT_TOKENS: "token",
    Meter.UNBILLED_OUTPUT_TOKENS: "token",
    Meter.GPU_SECONDS: "second",
}

# What may be sold; the others are free of charge by the rule that tenants read.
SOLD_METERS = frozenset({Meter.REQUESTS, Meter.INPUT_TOKENS, Meter.OUTPUT_TOKENS, Meter.GPU_SECONDS})

# The dimensions that a rollup keeps; "" where one does not apply. `sku` is the accelerator's.
DIMENSIONS = ("model", "sku", "datacenter", "country", "is_simulated")


class GroupBy(StrEnum):
    """What totals may be grouped by; the meter always is, since tokens and seconds have no sum."""

    PROJECT = "project"
    SERVICE = "service"
    MODEL = "model"
    SKU = "sku"
    DATACENTER = "datacenter"
    COUNTRY = "country"
    METER = "meter"
    DAY = "day"
    HOUR = "hour"


class Granularity(StrEnum):
    """How time is cut. TOTAL is the whole period at once."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """What one meter counted for one service in one stretch of time.

    Shapes: `dimensions` has every name of DIMENSIONS that was grouped by, with its text ("true"/"false" for
    `is_simulated`); `project_id` is None and `service_id` "" where they were summed over.
    Units: `quantity` in the meter's unit (UNITS); GPU seconds have up to six decimals.
    `event_count` counts the events, `unknown_count` those among them whose quantity nobody counted: they add
    nothing to `quantity`.
    """

    tenant_id: TenantId
    project_id: ProjectId | None
    service_id: str
    meter: str
    dimensions: Mapping[str, str]
    period_start: datetime
    period_end: datetime
    quantity: Decimal
    event_count: int
    unknown_count: int = 0


@dataclass(frozen=True, slots=True)
class FrozenPeriod:
    """A period that was closed for a tenant: what came later is late.

    `cutoff_batch_id` is the last batch that counts as in time. `sequence` numbers a tenant's freezes from 1: late
    usage is told apart by how many freezes there were when it came.
    """

    id: BillingPeriodId
    tenant_id: TenantId
    period: Period
    cutoff_batch_id: BatchId
    sequence: int
    frozen_at: datetime


class IngestResult(StrEnum):
    """What became of one event. Only ACCEPTED ones count; a DUPLICATE was counted before, unchanged."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(slots=True)
class ItemOutcome:
    """The answer for one event; `reason` is a sentence where it was not taken. Never changed, as `ReadEvent`."""

    id: str
    source: str
    result: IngestResult
    reason: str = ""


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """The answer for one request; `batch_id` is None when nothing new was stored."""

    batch_id: BatchId | None
    items: tuple[ItemOutcome, ...]


@dataclass(slots=True)
class ReadEvent:
    """One event that was understood, ready to be stored. Never changed; not frozen, since tens of thousands a second
    are made and freezing costs a third of that.

    `key` identifies it (tenant, source, id; not its time), `payload` is its canonical JSON, `digest` that one's
    SHA-256 and `payload_hash` the SHA-256 of what a resent one must agree in. One of `count`, `allocation` and
    `slice` is set.
    """

    index: int
    id: str
    source: str
    type: str
    tenant_id: uuid.UUID
    occurred_at: datetime
    key: bytes
    payload: bytes
    digest: bytes
    payload_hash: bytes
    count: InferenceCount | None = None
    allocation: AllocationRecord | None = None
    slice: SliceCount | None = None

    @property
    def project_id(self) -> uuid.UUID | None:
        """The project that the event names."""
        if self.count is not None:
            return self.count.place.project_id
        named = self.allocation or self.slice
        return None if named is None else named.project_id


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Whose calls of what, where: what many events share. Equal to itself alone, so that it is found fast."""

    tenant_id: uuid.UUID
    project_id: uuid.UUID
    service_id: str
    model: str
    datacenter: str
    country: str


@dataclass(slots=True)
class InferenceCount:
    """The part of a request's event that is counted; tokens None where nobody counted them. `is_billed` tells whether
    they are charged for."""

    place: Place
    is_failed: bool
    is_billed: bool
    input_tokens: int | None
    output_tokens: int | None


class AllocationPhase(StrEnum):
    OPEN = "open"
    BEAT = "beat"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class AllocationRecord:
    """One report on one GPU that one pod holds. `epoch` says which writer of the cell it comes from."""

    allocation_id: uuid.UUID
    source: str
    pod_uid: str
    gpu_index: int
    gpu_id: str
    project_id: uuid.UUID
    service_id: str
    regional_deployment_id: str
    instance: str
    node: str
    sku: str
    datacenter: str
    country: str
    is_simulated: bool
    phase: AllocationPhase
    opened_at: datetime
    observed_at: datetime
    reason: str
    epoch: int


@dataclass(frozen=True, slots=True)
class SliceCount:
    """A stretch of a GPU interval that became usage; negative where later truth took some back."""

    project_id: uuid.UUID
    service_id: str
    sku: str
    datacenter: str
    country: str
    is_simulated: bool
    microseconds: int


class AllocationState(StrEnum):
    """ESTIMATED: nobody reported the end, so it counts as ended when it was last seen."""

    OPEN = "open"
    CLOSED = "closed"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Allocation:
    """One GPU held by one pod. `closed_at` is the reported end; `ended_at` the end that counts.

    `billed_until` is the watermark: [opened_at, billed_until) has become usage; `revision` counts how often some was
    taken back.
    """

    id: uuid.UUID
    tenant_id: TenantId
    project_id: ProjectId
    service_id: str
    regional_deployment_id: str
    instance: str
    source: str
    pod_uid: str
    node: str
    gpu_id: str
    sku: str
    datacenter: str
    country: str
    is_simulated: bool
    state: AllocationState
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    ended_at: datetime | None
    billed_until: datetime
    revision: int
    reason: str

    @property
    def seen_until(self) -> datetime:
        """How far it is known to have been held."""
        return self.ended_at or self.last_seen_at


@dataclass(frozen=True, slots=True)
class UsageConflict:
    """A second event under a known (tenant, source, id) that says something else: kept aside, not counted."""

    id: uuid.UUID
    tenant_id: TenantId
    source: str
    event_id: str
    payload: str
    received_at: datetime
