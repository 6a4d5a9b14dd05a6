"""Read what other rooms publish (docs/contracts.md, "Redis keys") into values. Pure; fails closed, row by row.

A row that cannot be read is dropped alone: its calls are refused, all other rows are live, and whoever reads the
snapshot is told which row and why. Only a snapshot that is no snapshot (no list of rows, no version) is refused whole.
A field that this version does not know is ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any, TypeVar

from controlplane.gateway.domain import (
    ApiKey,
    BudgetState,
    Dropped,
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

T = TypeVar("T")

ROUTES_MAX = bounds.ROUTES
"""Routes of one gateway: filesystem xDS is meant for hundreds. Past it the tenant with the most routes loses some."""

KEYS_MAX = 1_000_000
"""Keys of one gateway: about 300 MB of hashes. Past it the tenant with the most keys loses some."""

ENDPOINTS_MAX = 4_000
"""Replicas of one regional deployment (a cell has at most 2,000 nodes)."""

COUNT_MAX = 1_000_000_000
"""Of any number in a snapshot: Envoy refuses a whole file for one number that its 32 bits do not hold."""

REASON_LENGTH_MAX = 300

# Whatever a row holds in place of what the contract says, reading it raises one of these.
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class SnapshotRefused(ValueError):
    """What was published is no snapshot at all; the last good one stays in force."""


def parse_routing(data: Any) -> Routing:
    """Read `rempart:routing`. Errors: SnapshotRefused."""
    try:
        routes, dropped = _read_rows(_list(data, "routes"), _route, "regional_deployment_id")
        version = str(data["version"])
    except _UNREADABLE as err:
        raise SnapshotRefused(f"routing: {type(err).__name__}: {err}") from err
    counts = Counter(route.regional_deployment_id for route in routes)
    # Two rows that name one deployment: which of them is meant, nobody can say.
    dropped += [Dropped(name, "it appears more than once") for name, count in counts.items() if count > 1]
    single = [route for route in routes if counts[route.regional_deployment_id] == 1]
    kept, over = _share(single, ROUTES_MAX, lambda route: (route.tenant_id, route.regional_deployment_id))
    return Routing(version, tuple(kept), tuple(dropped + over))


def parse_keys(data: Any) -> KeySnapshot:
    """Read `rempart:keys`. Errors: SnapshotRefused."""
    try:
        keys, dropped = _read_rows(_list(data, "keys"), _key, "key_id")
        version, generated_at = str(data["version"]), _instant(data["generated_at"])
    except _UNREADABLE as err:
        raise SnapshotRefused(f"keys: {type(err).__name__}: {err}") from err
    kept, over = _share(keys, KEYS_MAX, lambda key: (key.tenant_id, key.key_id))
    by_hash: dict[str, ApiKey] = {}
    for key in kept:
        if by_hash.setdefault(key.hash, key) != key:
            dropped.append(Dropped(key.key_id, f"its hash is that of {by_hash[key.hash].key_id}"))
    return KeySnapshot(version, generated_at, by_hash, tuple(dropped + over))


def parse_budgets(data: Any) -> BudgetState:
    """Read `rempart:budgets`. Errors: SnapshotRefused."""
    try:
        # A writer of the version before says nothing of who has a hard budget.
        known = {"hard_tenants": [], "hard_projects": [], **data}
        scopes: list[frozenset[str]] = []
        dropped: list[Dropped] = []
        for name in ("exhausted_tenants", "exhausted_projects", "hard_tenants", "hard_projects"):
            ids, bad = _read_rows(_list(known, name), _name, None)
            scopes.append(frozenset(ids))
            dropped += bad
        version, generated_at = str(data["version"]), _instant(data["generated_at"])
        return BudgetState(version, generated_at, scopes[0], scopes[1], scopes[2], scopes[3], tuple(dropped))
    except _UNREADABLE as err:
        raise SnapshotRefused(f"budgets: {type(err).__name__}: {err}") from err


def parse_endpoints(data: Any) -> EndpointSet:
    """Read `rempart:endpoints:<rdp id>`, which holds the endpoints of one deployment. Errors: SnapshotRefused."""
    try:
        items = _list(data, "endpoints")
        if len(items) > ENDPOINTS_MAX:
            raise ValueError(f"endpoints has {len(items)} items, more than {ENDPOINTS_MAX}")
        endpoints, dropped = _read_rows(items, _endpoint, "instance")
        name, is_simulated = _id(data, "regional_deployment_id"), data.get("simulated", False) is not False
        return EndpointSet(name, is_simulated, tuple(endpoints), tuple(dropped))
    except _UNREADABLE as err:
        raise SnapshotRefused(f"endpoints: {type(err).__name__}: {err}") from err


def _read_rows(
    items: Sequence[Any], read: Callable[[Any], T], name: str | None
) -> tuple[list[T], list[Dropped]]:
    """Read each row by itself."""
    rows: list[T] = []
    dropped: list[Dropped] = []
    for index, item in enumerate(items):
        try:
            rows.append(read(item))
        except _UNREADABLE as err:
            held = item.get(name) if isinstance(item, dict) and name is not None else None
            row = held if isinstance(held, str) and held.isascii() and len(held) <= 64 else f"row {index}"
            dropped.append(Dropped(row, f"{type(err).__name__}: {err}"[:REASON_LENGTH_MAX]))
    return rows, dropped


def _share(
    rows: Sequence[T], count_max: int, owner: Callable[[T], tuple[str, str]]
) -> tuple[list[T], list[Dropped]]:
    """Keep at most so many rows; each tenant keeps its share, and only those with more than that lose some.

    `owner` names a row's tenant and its id; of a tenant the lowest ids (the oldest) stay.
    """
    if len(rows) <= count_max:
        return list(rows), []
    counts = Counter(owner(row)[0] for row in rows)
    share, left = count_max, count_max
    for position, count in enumerate(sorted(counts.values())):
        share = left // (len(counts) - position)
        if count > share:
            break
        left -= count
    kept: list[T] = []
    over: list[Dropped] = []
    taken: Counter[str] = Counter()
    for row in sorted(rows, key=owner):
        tenant, name = owner(row)
        taken[tenant] += 1
        if taken[tenant] <= share or counts[tenant] <= share:
            kept.append(row)
        else:
            over.append(Dropped(name, f"{tenant} has more than its share of {share} of {count_max}"))
    return kept, over


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
    digest = _text(item, "hash")
    if len(digest) != 64 or not digest.isalnum():
        raise ValueError("a key's hash is not 64 hexadecimal characters")
    return ApiKey(
        key_id=_id(item, "key_id"),
        hash=digest,
        tenant_id=_id(item, "tenant_id"),
        # A key of the whole tenant has no project, so it cannot say which project's model is meant.
        project_id=str(item.get("project_id") or ""),
        expires_at=None if expires_at is None else _instant(expires_at),
        scopes=tuple(str(scope) for scope in item.get("scopes") or ()),
        # A writer of the version before says nothing: only the plain value opens other projects.
        is_bound=item.get("is_bound") is not False,
    )


def _endpoint(item: Mapping[str, Any]) -> Endpoint:
    port = _count(item["port"], 1)
    if port > 65_535:
        raise ValueError("a port is above 65535")
    # A name instead of an address would make Envoy refuse the file.
    address = str(ip_address(_text(item, "address")))
    return Endpoint(address, port, _text(item, "instance"))


def _list(data: Any, name: str) -> list[Any]:
    items = data[name]
    if not isinstance(items, list):
        raise TypeError(f"{name} is not a list")
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
