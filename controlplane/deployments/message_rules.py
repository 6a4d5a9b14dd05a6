"""What a deployment and its service say of themselves now, worked out anew: nothing outlives its cause. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from controlplane.deployments.convergence_rules import is_stuck
from controlplane.deployments.domain import (
    ENDED,
    LEAVING,
    READY,
    Deployment,
    RegionalDeployment,
    RunStatus,
)

# A cell takes what it is told within seconds; a person who looks sooner needs no word of it.
QUIET_SECONDS = 30
_UNTOLD = frozenset({RunStatus.PROVISIONING, RunStatus.SCHEDULED, RunStatus.ALLOCATING})


def find_telling(deployment: Deployment, parts: Sequence[RegionalDeployment]) -> RegionalDeployment | None:
    """The live part that stands for a deployment: the one with the traffic, else the newest."""
    live = [part for part in parts if part.deployment_id == deployment.id and part.is_live]
    return max(live, key=lambda part: (part.route_state == "ACTIVE", part.id), default=None)


def describe_deployment(
    deployment: Deployment, parts: Sequence[RegionalDeployment], now: datetime
) -> tuple[str, ...]:
    """Why it does not serve as it should; nothing when it does. What waits for a place or failed keeps its reason."""
    telling = find_telling(deployment, parts)
    if telling is None:
        return () if deployment.status in ENDED - {RunStatus.ERROR} else deployment.messages
    return describe_part(telling, parts, now)


def describe_part(
    part: RegionalDeployment, parts: Sequence[RegionalDeployment], now: datetime
) -> tuple[str, ...]:
    site = part.placement.datacenter
    if part.status in READY:
        return tuple(f"{site}: {message}" for message in part.messages)
    said = [f"{site}: {message}" for message in part.messages]
    is_late = part.blocked_since is not None and now >= part.blocked_since + timedelta(seconds=QUIET_SECONDS)
    if not said and part.status in _UNTOLD and is_late:
        said = [f"{site}: {_waits_for(part)}"]
    if said and is_stuck(part, now):
        said.append(_way_out(part, parts))
    return tuple(said)


def describe_service(
    latest: Deployment, active: Deployment | None, *, is_running: bool, waits: Sequence[str]
) -> tuple[str, ...]:
    """The story of what serves, of the version that is to follow it, and of what waits besides."""
    if not is_running:
        return ()
    if active is None or active.id == latest.id:
        return (*latest.messages, *waits)
    is_given_up = latest.status in ENDED | LEAVING
    word = "failed" if is_given_up else "does not serve yet"
    follower = [
        f"Deployment {latest.number} {word}, deployment {active.number} goes on: {m}" for m in latest.messages
    ]
    return (*follower, *active.messages, *waits)


def _waits_for(part: RegionalDeployment) -> str:
    if part.status is RunStatus.ALLOCATING:
        return "no machine has been found for it yet"
    return "its cell has not taken it yet"


def _way_out(part: RegionalDeployment, parts: Sequence[RegionalDeployment]) -> str:
    newer = [
        other
        for other in parts
        if other.deployment_id == part.deployment_id and other.is_live and other.id > part.id
    ]
    if newer:
        return f"It starts in {newer[-1].placement.datacenter} instead."
    return "No other place that may run it has room; it is looked for again whenever something changes."
