"""From one CloudEvent to a value that can be stored, or to the sentence why not. Pure.

Sources: CloudEvents 1.0 (required attributes, JSON format); docs/contracts.md "Spools" for the two data shapes;
the canonical form is RFC 8785 for what occurs here (sorted members, no insignificant space, whole numbers).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.chain_rules import decide_digest
from controlplane.metering.domain import (
    ALLOCATION_EVENT,
    INFERENCE_EVENT,
    AllocationPhase,
    AllocationRecord,
    InferenceCount,
    Place,
    ReadEvent,
)
from controlplane.metering.outcome_rules import is_billed, is_failed

# Stripe Meters and m3ter take the same: an outage of a month loses nothing.
ACCEPT_PAST = timedelta(days=35)
# What a clock that is synchronised at all can be ahead.
ACCEPT_FUTURE = timedelta(minutes=5)
TEXT_LENGTH_MAX = 256
# Exact in every JSON reader (2^53 - 1), and a thousand million such events still fit a 64-bit sum of tokens.
AMOUNT_MAX = 1_000_000_000
EPOCH_MAX = 2**31 - 1
_ALLOCATIONS = uuid.UUID("0a7d2b0e-6a1c-5d55-9a43-3f1f6c3f7d11")
# Distinct ids, and places that calls share, that are kept checked.
_IDS_KEPT = 8_192
_PLACES_KEPT = 8_192


class Refused(Exception):
    """An event that is not taken; the text is a sentence for the producer."""


@dataclass(frozen=True, slots=True)
class AcceptWindow:
    """[earliest, latest]: what is older needs a correction, what is later has a wrong clock."""

    earliest: datetime
    latest: datetime

    @classmethod
    def at(cls, now: datetime, ahead: timedelta) -> AcceptWindow:
        """Build the window; `ahead` is how far the installation's clock runs before its producers' clocks."""
        return cls(now - ahead - ACCEPT_PAST, now + ACCEPT_FUTURE)


def read_event(raw: Any, index: int, window: AcceptWindow) -> ReadEvent:
    """Understand one event. Errors: Refused with the reason."""
    if type(raw) is not dict:
        raise Refused("An event is a JSON object.")
    if raw.get("specversion") != "1.0":
        raise Refused("specversion must be '1.0'.")
    event_id, source, kind = _text(raw, "id"), _text(raw, "source"), _text(raw, "type")
    occurred_at = _time(raw, "time")
    if occurred_at < window.earliest:
        raise Refused("The event is older than 35 days: send a correction instead.")
    if occurred_at > window.latest:
        raise Refused("The event's time is more than 5 minutes ahead: check the producer's clock.")
    if raw.get("datacontenttype", "application/json") != "application/json":
        raise Refused("datacontenttype must be application/json.")
    data = raw.get("data")
    if type(data) is not dict:
        raise Refused("data must be a JSON object.")
    count = allocation = None
    if kind == INFERENCE_EVENT:
        count = _read_inference(data)
        tenant_id = count.place.tenant_id
    elif kind == ALLOCATION_EVENT:
        tenant_id = _id(data, "tenant_id", TenantId)
        allocation = _read_allocation(raw, data, event_id, source)
        if allocation.observed_at > window.latest:
            raise Refused("data.observed_at is more than 5 minutes ahead: check the producer's clock.")
    else:
        raise Refused(f"The type '{kind[:100]}' is not one that is metered.")
    payload = _canonical(raw)
    digest = decide_digest(payload)
    return ReadEvent(
        index=index,
        id=event_id,
        source=source,
        type=kind,
        tenant_id=tenant_id,
        occurred_at=occurred_at,
        key=decide_key(tenant_id, source, event_id),
        payload=payload,
        digest=digest,
        payload_hash=_identity_hash(raw, digest, allocation),
        count=count,
        allocation=allocation,
    )


# Of operators that serve several cells behind one API server.
EVERY_CELL = "/cells/*"


def check_reporter(event: ReadEvent, reporter: str | None) -> None:
    """Refuse what a key does not report for: another's source, or a gateway's word about GPUs (and the reverse).

    Errors: Refused with the reason.
    """
    if reporter is None:
        return
    is_own = event.source.startswith("/cells/") if reporter == EVERY_CELL else event.source == reporter
    if not is_own:
        raise Refused(f"This key reports for {reporter} alone, and the event's source is another.")
    if reporter.startswith("/gateways/") != (event.type == INFERENCE_EVENT):
        raise Refused(
            "Gateways report requests and cells report GPU time; this key's source is not of that kind."
        )


def decide_key(tenant_id: uuid.UUID, source: str, event_id: str) -> bytes:
    """The identity of an event: the first 16 bytes of SHA-256(tenant ‖ source ‖ id). Its time is no part of it."""
    joined = b"%b\x1f%b\x1f%b" % (tenant_id.bytes, source.encode(), event_id.encode())
    return hashlib.sha256(joined).digest()[:16]


def _canonical(raw: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as err:
        raise Refused("The event holds something that JSON cannot say.") from err


def _identity_hash(raw: Mapping[str, Any], digest: bytes, allocation: AllocationRecord | None) -> bytes:
    """What a resent event must agree in. A beat of the same slot may have been seen a moment later: no conflict."""
    if allocation is None or allocation.phase is not AllocationPhase.BEAT:
        return digest
    data = {name: value for name, value in raw["data"].items() if name != "observed_at"}
    stable = {name: value for name, value in raw.items() if name not in _BEAT_VARIES}
    return hashlib.sha256(_canonical({**stable, "data": data})).digest()


# A new writer of the spool may say the same beat again.
_BEAT_VARIES = frozenset({"time", "producerepoch", "data"})


def _read_inference(data: Mapping[str, Any]) -> InferenceCount:
    status = data.get("status")
    if type(status) is not int or not 0 <= status <= 999:
        raise Refused("data.status must be a whole number, the HTTP status.")
    try:
        place = _place(*map(data.get, _PLACE))
    except TypeError as err:
        raise Refused(f"Each of {', '.join(_PLACE)} must be a text in data.") from err
    is_disconnected = data.get("is_disconnected")
    if is_disconnected is not None and type(is_disconnected) is not bool:
        raise Refused("data.is_disconnected must be true, false or null.")
    input_tokens, output_tokens = _amount(data, "input_tokens"), _amount(data, "output_tokens")
    billed = is_billed(status, is_disconnected=is_disconnected is True, output_tokens=output_tokens)
    return InferenceCount(place, is_failed(status), billed, input_tokens, output_tokens)


_PLACE = ("tenant_id", "project_id", "service_id", "model", "datacenter", "country")


@lru_cache(maxsize=_PLACES_KEPT)
def _place(*values: Any) -> Place:
    """Check what many calls share once. A refusal is not kept; unhashable values are a TypeError."""
    data = dict(zip(_PLACE, values, strict=True))
    return Place(
        tenant_id=_id(data, "tenant_id", TenantId),
        project_id=_id(data, "project_id", ProjectId),
        service_id=_text(data, "service_id", "data.", 64),
        model=_text(data, "model", "data."),
        datacenter=_text(data, "datacenter", "data."),
        country=_text(data, "country", "data."),
    )


def _read_allocation(
    raw: Mapping[str, Any], data: Mapping[str, Any], event_id: str, source: str
) -> AllocationRecord:
    parts = event_id.rsplit("/", 3)
    gpu_index, phase = data.get("gpu_index"), data.get("phase")
    if type(gpu_index) is not int or not 0 <= gpu_index <= 1_000:
        raise Refused("data.gpu_index must be a whole number.")
    if phase not in _PHASES:
        raise Refused("data.phase must be open, beat or close.")
    if len(parts) != 4 or not parts[0] or parts[1] != str(gpu_index) or parts[2] != phase:
        raise Refused("The id must be '<pod uid>/<gpu index>/<phase>/<sequence>' as data has them.")
    opened_at, observed_at = _time(data, "opened_at"), _time(data, "observed_at")
    if observed_at < opened_at:
        raise Refused("data.observed_at lies before data.opened_at.")
    simulated, epoch = data.get("simulated"), raw.get("producerepoch", 0)
    if type(simulated) is not bool:
        raise Refused("data.simulated must be true or false.")
    if type(epoch) is not int or not 0 <= epoch <= EPOCH_MAX:
        raise Refused("producerepoch must be a whole number.")
    identity = f"{source}|{parts[0]}|{gpu_index}"
    return AllocationRecord(
        allocation_id=uuid.uuid5(_ALLOCATIONS, identity),
        source=source,
        pod_uid=parts[0],
        gpu_index=gpu_index,
        gpu_id=_text(data, "gpu_id", "data."),
        project_id=_id(data, "project_id", ProjectId),
        service_id=_text(data, "service_id", "data.", 64),
        regional_deployment_id=_text(data, "regional_deployment_id", "data."),
        instance=_text(data, "instance", "data."),
        node=_text(data, "node", "data."),
        sku=_text(data, "sku", "data."),
        datacenter=_optional(data, "datacenter"),
        country=_optional(data, "country"),
        is_simulated=simulated,
        phase=AllocationPhase(phase),
        opened_at=opened_at,
        observed_at=observed_at,
        reason=_optional(data, "reason"),
        epoch=epoch,
    )


_PHASES = frozenset(phase.value for phase in AllocationPhase)


def _amount(data: Mapping[str, Any], name: str) -> int | None:
    """Whole and not negative; JSON's 3.0 is refused too, since nobody counts with it."""
    value = data.get(name)
    if value is None:
        return None
    # `type` and not `isinstance`: True is an int.
    if type(value) is not int:
        raise Refused(f"data.{name} must be a whole number or null, not {str(value)[:40]}.")
    if not 0 <= value <= AMOUNT_MAX:
        raise Refused(f"data.{name} must lie between 0 and {AMOUNT_MAX}.")
    return value


def _text(holder: Mapping[str, Any], name: str, where: str = "", length_max: int = TEXT_LENGTH_MAX) -> str:
    value = holder.get(name)
    if type(value) is not str or not 0 < len(value) <= length_max:
        raise Refused(f"{where}{name} must be a text of 1 to {length_max} characters.")
    if "\x00" in value:
        raise Refused(f"{where}{name} must not hold a NUL character.")
    return value


def _optional(data: Mapping[str, Any], name: str) -> str:
    return _text(data, name, "data.") if data.get(name) else ""


def _time(holder: Mapping[str, Any], name: str) -> datetime:
    value = holder.get(name)
    if type(value) is str and len(value) <= 40 and "T" in value:
        try:
            at = datetime.fromisoformat(value)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            # The first and last days that a datetime can say have no UTC time at some offsets.
            pass
    raise Refused(f"{name} must be an RFC 3339 time with its offset.")


def _id(data: Mapping[str, Any], name: str, kind: type[TenantId] | type[ProjectId]) -> uuid.UUID:
    value = data.get(name)
    if type(value) is str:
        found = _decode_tenant(value) if kind is TenantId else _decode_project(value)
        if found is not None:
            return found
    raise Refused(f"data.{name} must be an id that starts with '{kind.prefix}_'.")


@lru_cache(maxsize=_IDS_KEPT)
def _decode_tenant(text: str) -> uuid.UUID | None:
    try:
        return TenantId.parse(text).value
    except InvalidInput:
        return None


@lru_cache(maxsize=_IDS_KEPT)
def _decode_project(text: str) -> uuid.UUID | None:
    try:
        return ProjectId.parse(text).value
    except InvalidInput:
        return None
