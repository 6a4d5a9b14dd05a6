"""From events to what is added to the hourly sums. Pure; addition in any order gives the same sums."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.metering.domain import InferenceCount, Meter, Place, ReadEvent, SliceCount

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


@dataclass(slots=True)
class _Calls:
    """Calls of one place, hour, outcome and generation."""

    hour: datetime
    count: int = 0
    input_tokens: int = 0
    input_unknown: int = 0
    output_tokens: int = 0
    output_unknown: int = 0


# By place, day and hour as numbers (found faster than by an instant), failed or not, billed or not, and generation.
_CallGroups = dict[tuple[Place, int, int, bool, bool, int], _Calls]


def decide_additions(events: Iterable[ReadEvent], frozen: Sequence[Frozen]) -> dict[RollupKey, Addition]:
    """Sum what accepted events add to each hour; `frozen` are the frozen periods that they may fall into."""
    sums: dict[RollupKey, Addition] = {}
    calls: _CallGroups = {}
    for event in events:
        generation = decide_generation(event, frozen) if frozen else 0
        if event.count is not None:
            _add_call(calls, event, event.count, generation)
        elif event.slice is not None:
            _add_slice(sums, event, event.slice, generation)
    for (place, _, _, is_failed, is_billed, generation), group in calls.items():
        _spread_calls(sums, place, group, is_failed=is_failed, is_billed=is_billed, generation=generation)
    return sums


def decide_generation(event: ReadEvent, frozen: Sequence[Frozen]) -> int:
    """0 for an event in time; for one of a frozen period, how many freezes its tenant had when it came."""
    for period in frozen:
        if period.tenant_id == event.tenant_id and period.starts_at <= event.occurred_at < period.ends_at:
            return period.freeze_count
    return 0


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _add_call(
    calls: _CallGroups,
    event: ReadEvent,
    count: InferenceCount,
    generation: int,
) -> None:
    at = event.occurred_at
    key = (count.place, at.toordinal(), at.hour, count.is_failed, count.is_billed, generation)
    group = calls.get(key)
    if group is None:
        group = calls[key] = _Calls(hour_of(at))
    group.count += 1
    if count.input_tokens is None:
        group.input_unknown += 1
    else:
        group.input_tokens += count.input_tokens
    if count.output_tokens is None:
        group.output_unknown += 1
    else:
        group.output_tokens += count.output_tokens


def _spread_calls(
    sums: dict[RollupKey, Addition],
    place: Place,
    group: _Calls,
    *,
    is_failed: bool,
    is_billed: bool,
    generation: int,
) -> None:
    """One row for each meter. A call that failed before anything was counted has no unknown tokens: it had none."""
    meters = (
        (Meter.INPUT_TOKENS, Meter.OUTPUT_TOKENS)
        if is_billed
        else (Meter.UNBILLED_INPUT_TOKENS, Meter.UNBILLED_OUTPUT_TOKENS)
    )
    tokens = (
        (meters[0], group.input_tokens, group.input_unknown),
        (meters[1], group.output_tokens, group.output_unknown),
    )
    rows = [(Meter.FAILED_REQUESTS if is_failed else Meter.REQUESTS, group.count, group.count, 0)]
    for meter, quantity, unknown in tokens:
        events = group.count - unknown if is_failed else group.count
        if events:
            rows.append((meter, quantity, events, 0 if is_failed else unknown))
    where = (place.model, "", place.datacenter, place.country, False, generation)
    for meter, quantity, events, unknown in rows:
        key = (place.tenant_id, group.hour, meter.value, place.service_id, place.project_id, *where)
        _add(sums, key, quantity, events, unknown)


def _add_slice(sums: dict[RollupKey, Addition], event: ReadEvent, piece: SliceCount, generation: int) -> None:
    where = ("", piece.sku, piece.datacenter, piece.country, piece.is_simulated, generation)
    hour = hour_of(event.occurred_at)
    key = (event.tenant_id, hour, Meter.GPU_SECONDS.value, piece.service_id, piece.project_id, *where)
    _add(sums, key, piece.microseconds)


def _add(
    sums: dict[RollupKey, Addition], key: RollupKey, quantity: int, events: int = 1, unknown: int = 0
) -> None:
    addition = sums.setdefault(key, Addition())
    addition.quantity += quantity
    addition.event_count += events
    addition.unknown_count += unknown
