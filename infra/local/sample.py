"""A first site for a fresh stack: this machine, with one pool of the node that really runs pods.

Without it a first deployment has no place to go. Its facts are made up and say so; they are stated only where no
datacenter is registered yet, and `python -m infra.local up` without `--sample` states nothing.
"""

import time
from collections.abc import Callable
from typing import Any

from controlplane.sdk import Rempart

SITE = "local-1"
CELL = f"{SITE}-a"
POOL = f"{SITE}-process"
READY_SECONDS_MAX = 60.0
POLL_SECONDS = 0.5
_EVIDENCE = "made up for a local stack: nobody has checked it"


class NotReady(Exception):
    """The sample's machine did not pass its acceptance check in time."""


def register_sample(admin: Rempart, note: Callable[[str], None]) -> bool:
    """Register the site and wait until it takes work; False when there is another datacenter, or nothing to do.

    What an interrupted call left half done is completed. Errors: NotReady with what the pool says; ApiError for a
    refusal of the API.
    """
    sites = {site["code"] for site in admin.datacenters.list()}
    if sites - {SITE}:
        return False
    if SITE not in sites:
        admin.datacenters.create(_site(_operator(admin)))
    if any(pool["name"] == POOL for pool in admin.node_pools.list()):
        return False
    admin.node_pools.create(_pool())
    _await_machine(admin)
    note(f"Sample site {SITE} (FR, facts made up) with one machine of its own: this one.")
    return True


def _operator(admin: Rempart) -> str:
    """A company whose owner is known: a site without one is admissible to nobody."""
    owner = _entity(admin, {"name": "Sample owner", "kind": "natural_persons", "seat": "FR"})
    places = dict.fromkeys(("seat", "central_administration", "principal_establishment"), "FR")
    operator = _entity(admin, {"name": "Sample operator", "kind": "company", **places})
    share = {"capital_bp": 10_000, "votes_bp": 10_000, "evidence": _EVIDENCE}
    admin.holdings.create({"holder_id": owner, "held_id": operator, **share})
    return operator


def _entity(admin: Rempart, facts: dict[str, Any]) -> str:
    return str(admin.legal_entities.create({**facts, "evidence": _EVIDENCE})["id"])


def _site(operator: str) -> dict[str, Any]:
    return {
        "code": SITE,
        "name": "This machine (sample)",
        "country": "FR",
        "operator_entity_id": operator,
        "owner_entity_id": operator,
        "power_kw": 10,
        "rack_kw_max": 10,
        "pue_milli": 1200,
        "cells": [{"name": CELL}],
    }


def _pool() -> dict[str, Any]:
    return {
        "name": POOL,
        "datacenter": SITE,
        "cell": CELL,
        "provider": "process",
        "instance_type": "process-cpu",
        "cpu_milli": 2000,
        "memory_mib": 4096,
        "watts_per_node": 100,
        "replicas": 1,
    }


def _await_machine(admin: Rempart) -> None:
    until = time.monotonic() + READY_SECONDS_MAX
    pool: dict[str, Any] = {}
    while time.monotonic() < until:
        pool = next(each for each in admin.node_pools.list() if each["name"] == POOL)
        if pool["ready_nodes"] >= 1:
            return
        time.sleep(POLL_SECONDS)
    raise NotReady(
        f"The machine of {POOL} did not pass its check in {READY_SECONDS_MAX:.0f} s: {pool.get('message')}"
    )
