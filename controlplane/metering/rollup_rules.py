"""From events to what is added to the hourly sums. Pure; addition in any order gives the same sums."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.metering.domain import InferenceCount, Meter, ReadEvent, SliceCount

# tenant, hour, meter, service, project, model, sku, datacenter, country, is_simulated, generation
RollupKey = tuple[uuid.UUID, datetime, str, str, uuid.UUID, str, str, str, str, bool, int]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen period as an ingest needs it; `freeze_count` is the tenant's number of freezes so far."""

    tenant_id: uuid.UUID
    starts_at: datetime
    ends_at: datetime
    freeze_count: int


@dataclass(slots=True)
class Addition:
    """What one row of the rollup grows by. GPU quantities are microseconds and may be negative."""

    quantity: int = 0
    event_count: int = 0
    unknown_count: int = 0


def decide_additions(events: Iterable[ReadEvent], frozen: Sequence[Frozen]) -> dict[RollupKey, Addition]:
    """Sum what accepted events add to each hour; `frozen` are the frozen periods that they may fall into."""
    sums: dict[RollupKey, Addition] = {}
    for event in events:
        if event.count is not None:
            _add_inference(sums, event, event.count, decide_generation(event, frozen))
        elif event.slice is not None:
            _add_slice(sums, event, event.slice, decide_generation(event, frozen))
    return sums


def decide_generation(event: ReadEvent, frozen: Sequence[Frozen]) -> int:
    """0 for an event in time; for one of a frozen period, how many freezes its tenant had when it came."""
    for period in frozen:
        if period.tenant_id == event.tenant_id and period.starts_at <= event.occurred_at < period.ends_at:
            return period.freeze_count
    return 0


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _add_inference(
    sums: dict[RollupKey, Addition], event: ReadEvent, count: InferenceCount, generation: int
) -> None:
    hour = hour_of(event.occurred_at)
    where = (count.model, "", count.datacenter, count.country, False, generation)
    requests = Meter.FAILED_REQUESTS if count.is_failed else Meter.REQUESTS
    amounts: list[tuple[Meter, int | None]] = [(requests, 1)]
    for meter, tokens in (
        (Meter.INPUT_TOKENS, count.input_tokens),
        (Meter.OUTPUT_TOKENS, count.output_tokens),
    ):
        # A call that failed before anything was counted has no unknown tokens: it had none.
        if tokens is not None or not count.is_failed:
            amounts.append((meter, tokens))
    for meter, quantity in amounts:
        key = (event.tenant_id, hour, meter.value, count.service_id, count.project_id, *where)
        _add(sums, key, quantity)


def _add_slice(sums: dict[RollupKey, Addition], event: ReadEvent, piece: SliceCount, generation: int) -> None:
    where = ("", piece.sku, piece.datacenter, piece.country, piece.is_simulated, generation)
    hour = hour_of(event.occurred_at)
    key = (event.tenant_id, hour, Meter.GPU_SECONDS.value, piece.service_id, piece.project_id, *where)
    _add(sums, key, piece.microseconds)


def _add(sums: dict[RollupKey, Addition], key: RollupKey, quantity: int | None) -> None:
    addition = sums.get(key)
    if addition is None:
        addition = sums[key] = Addition()
    addition.event_count += 1
    if quantity is None:
        addition.unknown_count += 1
    else:
        addition.quantity += quantity
