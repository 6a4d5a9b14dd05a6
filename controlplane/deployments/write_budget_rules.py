"""How often a tenant may ask for what is written many times over: size × copies × frequency has a bound. Pure.

A deployment of a few kilobytes becomes rows, a custom resource, a Secret, and for each replica a pod with some ten
versions in etcd. What bounds the sum is how often it may be asked for: each kind of write has a budget for one service
and one for the tenant. A budget is a full bucket of `burst` writes that refills by one every `seconds_each`; one
instant tells its level (generic cell rate algorithm: ITU-T I.371 annex A).

Not limited: to pause and to delete, because what stops must always be able to; both are bounded by what starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from controlplane.kernel import bounds


class Write(StrEnum):
    """A kind of write. DEPLOY makes a version; OPERATE changes a running one; SECRET seals a value."""

    DEPLOY = "deploy"
    OPERATE = "operate"
    SECRET = "secret"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, slots=True)
class Budget:
    """`burst` writes at once, then one every `seconds_each`."""

    burst: int
    seconds_each: int

    def most_within(self, seconds: int) -> int:
        """Writes that can be let through in any span of so many seconds."""
        return self.burst + seconds // self.seconds_each


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """The budgets of one kind of write, and how many bytes one of it becomes where it is copied most."""

    for_one: Budget
    for_tenant: Budget
    bytes_each: int


# A pod of an engine with its status takes about 4 KiB, and goes through some six versions from creation to its end.
POD_BYTES: Final = 4 * 1024
POD_VERSIONS: Final = 6
# The custom resource without its environment, in as many versions of its status.
RESOURCE_BYTES: Final = 16 * 1024
# A Secret holds its values in base64.
SECRET_BYTES: Final = bounds.ENV_BYTES * 4 // 3 + 1024

_RUN_BYTES = RESOURCE_BYTES * POD_VERSIONS + bounds.REPLICAS.most * POD_BYTES * POD_VERSIONS

LIMITS: Final[dict[Write, WriteLimits]] = {
    Write.DEPLOY: WriteLimits(Budget(10, 60), Budget(60, 10), SECRET_BYTES + _RUN_BYTES),
    Write.OPERATE: WriteLimits(Budget(20, 15), Budget(60, 10), _RUN_BYTES),
    Write.SECRET: WriteLimits(Budget(10, 30), Budget(60, 10), bounds.SECRET_VALUE_LENGTH),
}

# The API server compacts etcd's history every five minutes; until then each version counts against its space, which
# is 2 GiB by default. All that one tenant can write meanwhile stays within a quarter of it.
COMPACTION_SECONDS: Final = 300
TENANT_BYTES_BETWEEN_COMPACTIONS: Final = 512 * 1024 * 1024

# What one tenant may keep. Ended deployments beyond the newest of a service are forgotten with all that they became.
DEPLOYMENTS_KEPT: Final = 20


def decide_full_at(full_at: datetime | None, budget: Budget, now: datetime) -> datetime:
    """When the bucket is full again after one more write; `full_at` None: it is full."""
    return max(full_at or now, now) + timedelta(seconds=budget.seconds_each)


def find_wait_seconds(full_at_after: datetime, budget: Budget, now: datetime) -> int | None:
    """After how many whole seconds the same write is let through; None when it is now.

    `full_at_after` is what `decide_full_at` gave for this write.
    """
    over = full_at_after - now - timedelta(seconds=budget.burst * budget.seconds_each)
    return None if over <= timedelta(0) else -(-over // timedelta(seconds=1))
