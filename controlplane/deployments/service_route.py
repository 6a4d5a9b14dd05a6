"""The routing snapshot, read from rows under a number that only grows."""

from __future__ import annotations

from typing import Any

from controlplane.deployments import repository_fleet
from controlplane.deployments.repository import to_deployment, to_part, to_service
from controlplane.deployments.routing_rules import Routed, build_snapshot
from controlplane.plumbing.database import UnitOfWork


def read_snapshot(uow: UnitOfWork) -> dict[str, Any]:
    """Build the whole snapshot; needs a system transaction that may write (it takes the next number)."""
    version = repository_fleet.next_routing_version(uow)
    routed = [
        Routed(to_service(service), to_part(part), to_deployment(deployment).plan)
        for service, part, deployment in repository_fleet.list_routed(uow)
    ]
    return build_snapshot(version, uow.now, routed)
