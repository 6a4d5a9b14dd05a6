"""What the gateway remembers of what was published."""

from __future__ import annotations

import json
from pathlib import Path

from controlplane.gateway.store import BUDGETS_KEY, ENDPOINTS_PREFIX, ROUTING_KEY, Store
from tests.unit.gateway.values import route_item, routing

NAME = f"rdp_{1:026d}"


def _endpoints(at: str, *ports: int, simulated: bool = False) -> bytes:
    pods = [{"address": "127.0.0.1", "port": port, "instance": f"pod-{port}"} for port in ports]
    value = {"regional_deployment_id": NAME, "generated_at": at, "simulated": simulated, "endpoints": pods}
    return json.dumps(value).encode()


def _store(folder: Path) -> tuple[Store, list[str]]:
    store, heard = Store(folder), []
    store.load()
    store.listen(heard.append)
    return store, heard


def test_a_refused_snapshot_leaves_the_last_good_one_in_force(tmp_path: Path) -> None:
    store, heard = _store(tmp_path)
    assert store.take(ROUTING_KEY, json.dumps(routing(route_item(1))).encode())
    for bad in (b"{", b"{}", json.dumps(routing(route_item(1, state="gone"))).encode()):
        assert not store.take(ROUTING_KEY, bad)
    assert list(store.routes_by_id()) == [NAME]
    assert heard == [ROUTING_KEY]


def test_what_was_taken_is_there_after_a_restart(tmp_path: Path) -> None:
    store, _ = _store(tmp_path)
    store.take(ROUTING_KEY, json.dumps(routing(route_item(1))).encode())
    store.take(ENDPOINTS_PREFIX + NAME, _endpoints("a", 1))
    again, _ = _store(tmp_path)
    assert again.routing == store.routing
    assert again.endpoints_of(NAME) == store.endpoints_of(NAME) != ()


def test_endpoints_asserted_again_unchanged_tell_nobody(tmp_path: Path) -> None:
    store, heard = _store(tmp_path)
    store.take(ENDPOINTS_PREFIX + NAME, _endpoints("a", 1))
    store.take(ENDPOINTS_PREFIX + NAME, _endpoints("b", 1))
    assert len(heard) == 1
    store.take(ENDPOINTS_PREFIX + NAME, _endpoints("c"))
    assert len(heard) == 2
    assert store.endpoints_of(NAME) == ()


def test_simulated_endpoints_are_never_sent_to(tmp_path: Path) -> None:
    store, _ = _store(tmp_path)
    store.take(ENDPOINTS_PREFIX + NAME, _endpoints("a", 1, simulated=True))
    assert store.endpoints_of(NAME) == ()


def test_a_deployment_without_a_route_is_forgotten(tmp_path: Path) -> None:
    store, _ = _store(tmp_path)
    store.take(ROUTING_KEY, json.dumps(routing(route_item(1))).encode())
    store.take(ENDPOINTS_PREFIX + NAME, _endpoints("a", 1))
    store.take(ROUTING_KEY, json.dumps(routing()).encode())
    assert store.endpoints_of(NAME) == ()
    assert _store(tmp_path)[0].endpoints_of(NAME) == ()


def test_budgets_are_kept_over_a_restart_and_a_bad_state_changes_nothing(tmp_path: Path) -> None:
    store, _ = _store(tmp_path)
    assert store.budgets is None
    good = {
        "version": 1,
        "generated_at": "2026-11-21T12:00:00Z",
        "exhausted_tenants": ["org_1"],
        "exhausted_projects": [],
    }
    assert store.take(BUDGETS_KEY, json.dumps(good).encode())
    for bad in ({**good, "exhausted_tenants": "org_1"}, {**good, "exhausted_projects": [5]}, {"version": 2}):
        assert not store.take(BUDGETS_KEY, json.dumps(bad).encode())
    assert store.budgets is not None
    assert store.budgets.tenants == {"org_1"}
    assert not store.take(BUDGETS_KEY, json.dumps({**good, "hard_tenants": 5}).encode())
    assert _store(tmp_path)[0].budgets == store.budgets
