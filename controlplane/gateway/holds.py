"""What the activator holds in all, for each tenant and for the process: services' own queues are bounded by these."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace

from controlplane.gateway.breaker import CallRefused
from controlplane.gateway.domain import Limits
from controlplane.gateway.refusal_rules import GATEWAY_QUEUE_FULL, TENANT_QUEUE_FULL, Refusal

RETRY_SECONDS_MAX = 60
"""The longest wait that is named: a place is often free much sooner."""


@dataclass(eq=False, slots=True)
class Hold:
    """One call in the activator. Units: bytes; `ends_at` is the loop's time at which it leaves at the latest."""

    tenant_id: str
    size: int
    ends_at: float


@dataclass(slots=True)
class _Held:
    holds: set[Hold] = field(default_factory=set)
    size: int = 0

    def wait(self, now: float) -> int:
        """Seconds until one of them has left at the latest, whole and at least one."""
        first = min((hold.ends_at for hold in self.holds), default=now)
        return min(RETRY_SECONDS_MAX, max(1, math.ceil(first - now)))


class Holds:
    """Counts calls in and out. What tenants set for their services never changes these bounds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = _Held()
        self._by_tenant: defaultdict[str, _Held] = defaultdict(_Held)

    @property
    def calls(self) -> int:
        return len(self._all.holds)

    @property
    def size(self) -> int:
        return self._all.size

    def take(self, tenant_id: str, size: int, now: float, seconds_max: float) -> Hold:
        """Count a call in. Errors: CallRefused, with the time until a place is free, when a bound would be passed."""
        limits = self._limits
        own = self._by_tenant.get(tenant_id) or _Held()
        if len(own.holds) >= limits.tenant_held_calls or own.size + size > limits.tenant_held_bytes:
            raise _refused(TENANT_QUEUE_FULL, own.wait(now))
        if self.calls >= limits.held_calls or self.size + size > limits.held_bytes:
            raise _refused(GATEWAY_QUEUE_FULL, self._all.wait(now))
        hold = Hold(tenant_id, size, now + seconds_max)
        for held in (self._all, self._by_tenant[tenant_id]):
            held.holds.add(hold)
            held.size += size
        return hold

    def give(self, hold: Hold) -> None:
        """Count a call out, whatever became of it."""
        own = self._by_tenant[hold.tenant_id]
        for held in (self._all, own):
            held.holds.remove(hold)
            held.size -= hold.size
        if not own.holds:
            del self._by_tenant[hold.tenant_id]


def _refused(refusal: Refusal, seconds: int) -> CallRefused:
    return CallRefused(replace(refusal, retry_after_seconds=seconds))
