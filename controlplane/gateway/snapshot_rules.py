"""Read what other rooms publish (docs/contracts.md, "Redis keys") into values. Pure; fails closed.

A snapshot is taken whole or not at all: a reader that skipped what it cannot read would quietly serve less,
or more, than its writer said. The one exception is a field this version does not know, which is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from controlplane.gateway.domain import (
    ApiKey,
    BudgetState,
    Endpoint,
    EndpointSet,
    KeySnapshot,
    QueueLimits,
    Route,
    RouteState,
    Routing,
    Verdict,
)
from controlplane.kernel import bounds

ROUTES_MAX = bounds.ROUTES
"""Routes of one gateway: filesystem xDS is meant for hundreds; past this the snapshot is a mistake."""

KEYS_MAX = 1_000_000
"""Keys of one gateway: about 300 MB of hashes; a larger snapshot is refused rather than half read."""

BUDGETS_MAX = 1_000_000
"""Tenants or projects past their budget: as many as keys, since each is refused through one."""

ENDPOINTS_MAX = 4_000
"""Replicas of one regional deployment (a cell has at most 2,000 nodes)."""


COUNT_MAX = 1_000_000_000
"""Of any number in a snapshot: Envoy refuses a whole file for one number that its 32 bits do not hold."""


class SnapshotRefused(ValueError):
    """A published snapshot is not what the contract says; the last good one stays in force."""


def parse_routing(data: Any) -> Routing:
    """Read `rempart:routing`. Errors: SnapshotRefused."""
    try:
        items = _list(data, "routes", ROUTES_MAX)
        routes = tuple(_route(item) for item in items)
        version = str(data["version"])
    except (KeyError, TypeError, ValueError) as err:
        raise SnapshotRefused(f"routing: {type(err).__name__}: {err}") from err
    ids = {route.regional_deployment_id for route in routes}
    if len(ids) != len(routes):
        raise SnapshotRefused("routing: a regional deployment appears twice")
    return Routing(version, routes)


def parse_keys(data: Any) -> KeySnapshot:
    """Read `rempart:keys`. Errors: SnapshotRefused."""
    try:
        keys = [_key(item) for item in _list(data, "keys", KEYS_MAX)]
        return KeySnapshot(
            str(data["version"]), _instant(data["generated_at"]), {key.hash: key for key in keys}
        )
    except (KeyError, TypeError, ValueError) as err:
        raise SnapshotRefused(f"keys: {type(err).__name__}: {err}") from err


def parse_budgets(data: Any) -> BudgetState:
    """Read `rempart:budgets`. Errors: SnapshotRefused."""
    try:
        # A writer of the version before says nothing of who has a hard budget.
        known = {"hard_tenants": [], "hard_projects": [], **data}
        scopes = (
            frozenset(_name(value) for value in _list(known, name, BUDGETS_MAX))
            for name in ("exhausted_tenants", "exhausted_projects", "hard_tenants", "hard_projects")
        )
        return BudgetState(str(data["version"]), _instant(data["generated_at"]), *scopes)
    except (KeyError, TypeError, ValueError) as err:
        raise SnapshotRefused(f"budgets: {type(err).__name__}: {err}") from err


def parse_endpoints(data: Any) -> EndpointSet:
    """Read `rempart:endpoints:<rdp id>`. Errors: SnapshotRefused."""
    try:
        endpoints = tuple(_endpoint(item) for item in _list(data, "endpoints", ENDPOINTS_MAX))
        return EndpointSet(_id(data, "regional_deployment_id"), bool(data.get("simulated", False)), endpoints)
    except (KeyError, TypeError, ValueError) as err:
        raise SnapshotRefused(f"endpoints: {type(err).__name__}: {err}") from err


def _route(item: Mapping[str, Any]) -> Route:
    verdict = item["verdict"]
    queue = item["queue"]
    return Route(
        service_id=_id(item, "service_id"),
        service_name=str(item["service_name"]),
        deployment_id=_id(item, "deployment_id"),
        regional_deployment_id=_id(item, "regional_deployment_id"),
        tenant_id=_id(item, "tenant_id"),
        project_id=_id(item, "project_id"),
        model=_text(item, "model"),
        hosts=tuple(str(host).lower() for host in item["hosts"]),
        datacenter=str(item["datacenter"]),
        country=str(item["country"]),
        operator=str(item["operator"]),
        # Only the value true admits: a missing or odd verdict is an unknown legal fact.
        verdict=Verdict(
            verdict["admissible"] is True, str(verdict["policy_hash"]), str(verdict.get("reason") or "")
        ),
        is_simulated=item["simulated"] is not False,
        state=RouteState(item["state"]),
        replicas_max=_within(item["max"], bounds.REPLICAS),
        concurrency_per_replica=_within(item["concurrency_per_replica"], bounds.CONCURRENCY),
        queue=QueueLimits(
            _within(queue["max_requests"], bounds.QUEUE_REQUESTS),
            _within(queue["max_bytes"], bounds.QUEUE_BYTES),
            _within(queue["max_age_s"], bounds.QUEUE_SECONDS),
        ),
        first_byte_seconds_max=_within(item["first_byte_timeout_s"], bounds.FIRST_BYTE_SECONDS),
    )


def _key(item: Mapping[str, Any]) -> ApiKey:
    expires_at = item.get("expires_at")
    digest = str(item["hash"])
    if len(digest) != 64:
        raise ValueError("a key's hash is not 64 hexadecimal characters")
    return ApiKey(
        key_id=_id(item, "key_id"),
        hash=digest,
        tenant_id=_id(item, "tenant_id"),
        # A key of the whole tenant has no project, so it cannot say which project's model is meant.
        project_id=str(item.get("project_id") or ""),
        expires_at=None if expires_at is None else _instant(expires_at),
        scopes=tuple(str(scope) for scope in item.get("scopes") or ()),
    )


def _endpoint(item: Mapping[str, Any]) -> Endpoint:
    port = _count(item["port"], 1)
    if port > 65_535:
        raise ValueError("a port is above 65535")
    # A name instead of an address would make Envoy refuse the file.
    address = str(ip_address(_text(item, "address")))
    return Endpoint(address, port, _text(item, "instance"))


def _list(data: Any, name: str, count_max: int) -> list[Any]:
    items = data[name]
    if not isinstance(items, list):
        raise TypeError(f"{name} is not a list")
    if len(items) > count_max:
        raise ValueError(f"{name} has {len(items)} items, more than {count_max}")
    return items


def _id(item: Mapping[str, Any], name: str) -> str:
    value = _text(item, name)
    # Ids become file, cluster and header names: nothing else may stand in them.
    if not value.replace("_", "").isalnum() or not value.isascii():
        raise ValueError(f"{name} is not an id")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise ValueError("an id is not a text of 1 to 256 characters")
    return value


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item[name]
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise ValueError(f"{name} is not a text of 1 to 256 characters")
    return value


def _count(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= COUNT_MAX:
        raise ValueError(f"{value!r} is not a whole number from {least} to {COUNT_MAX}")
    return value


def _within(value: Any, allowed: bounds.Range) -> int:
    """Read a tenant's number by the bound that the API has; a larger one counts as that bound."""
    if isinstance(value, bool) or not isinstance(value, int) or value < allowed.least:
        raise ValueError(f"{value!r} is not a whole number of at least {allowed.least}")
    return min(value, allowed.most)


def _instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant has no time zone")
    return instant
