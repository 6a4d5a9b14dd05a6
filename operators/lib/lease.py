"""Leader election by a Lease: at most one operator of a cell acts.

Durations are client-go's: a leader that cannot renew for 10 s stops acting, 5 s before any other may
start. Expiry is judged by how long this process has seen the lease unchanged, never by comparing two
machines' clocks. `lease_rules` are the pure functions at the end.
"""

import asyncio

import structlog

from operators.lib.client import KubernetesClient
from operators.lib.clock import Clock, wire_time_micro
from operators.lib.errors import AlreadyExists, ApiError, Conflict, NotFound
from operators.lib.objects import LEASES, Obj, ObjectKey

log = structlog.get_logger(__name__)

LEASE_DURATION_S = 15
RENEW_DEADLINE_S = 10.0
RETRY_PERIOD_S = 2.0
MANAGER = "rempart-leader"


class LeaderLease:
    """One identity's part in the election."""

    def __init__(self, client: KubernetesClient, clock: Clock, key: ObjectKey, identity: str) -> None:
        self._client = client
        self._clock = clock
        self._key = key
        self._identity = identity
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._lease: Obj | None = None

    async def acquire(self) -> None:
        """Wait until this identity leads."""
        while not await self._try():
            await asyncio.sleep(RETRY_PERIOD_S)
        log.info("leader_elected", lease=str(self._key), identity=self._identity)

    async def hold(self) -> None:
        """Renew until the lease is lost, then return: the caller must stop acting at once."""
        renewed_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(RETRY_PERIOD_S)
            left_s = RENEW_DEADLINE_S - (self._clock.monotonic() - renewed_at)
            try:
                async with asyncio.timeout(left_s):
                    is_held = left_s > 0 and await self._try()
            except TimeoutError:
                is_held = False
            if is_held:
                renewed_at = self._clock.monotonic()
            elif self._clock.monotonic() - renewed_at >= RENEW_DEADLINE_S or self._is_other():
                log.error("leader_lost", lease=str(self._key), identity=self._identity)
                return

    async def release(self) -> None:
        """Give the lease up so that the next leader need not wait; a failure only costs that wait."""
        if self._lease is None or self._is_other():
            return
        lease = {
            **self._lease,
            "spec": {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1},
        }
        try:
            await self._client.replace(LEASES, lease, manager=MANAGER)
        except ApiError as err:
            log.warning("leader_release_failed", error=err.message)

    def _is_other(self) -> bool:
        return self._seen[0] not in ("", self._identity)

    async def _try(self) -> bool:
        try:
            return await self._step()
        except (Conflict, AlreadyExists):
            return False
        except ApiError as err:
            log.warning("leader_renewal_failed", error=err.message)
            return False

    async def _step(self) -> bool:
        now = wire_time_micro(self._clock.now())
        try:
            lease = await self._client.get(LEASES, self._key)
        except NotFound:
            lease = {
                "metadata": {"name": self._key.name, "namespace": self._key.namespace},
                "spec": taken_spec({}, self._identity, now),
            }
            self._remember(await self._client.create(LEASES, lease, manager=MANAGER))
            return True
        self._remember(lease)
        unchanged_s = self._clock.monotonic() - self._seen_at
        if not may_take(lease["spec"], self._identity, unchanged_s):
            return False
        lease = {**lease, "spec": taken_spec(lease["spec"], self._identity, now)}
        self._remember(await self._client.replace(LEASES, lease, manager=MANAGER))
        return True

    def _remember(self, lease: Obj) -> None:
        spec = lease.get("spec") or {}
        seen = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock.monotonic()
        self._lease = lease


def may_take(spec: Obj, identity: str, unchanged_s: float) -> bool:
    """Whether `identity` may write itself into the lease, seen unchanged for `unchanged_s`."""
    holder = spec.get("holderIdentity") or ""
    if holder in ("", identity):
        return True
    return unchanged_s > float(spec.get("leaseDurationSeconds") or LEASE_DURATION_S)


def taken_spec(old: Obj, identity: str, now: str) -> Obj:
    """The lease's spec once `identity` holds it; the count of transitions is the fencing number."""
    is_same = old.get("holderIdentity") == identity
    transitions = int(old.get("leaseTransitions") or 0)
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": LEASE_DURATION_S,
        "acquireTime": old.get("acquireTime", now) if is_same else now,
        "renewTime": now,
        "leaseTransitions": transitions if is_same or not old else transitions + 1,
    }
