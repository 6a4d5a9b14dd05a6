"""What the gateway remembers of what was published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    for bad in (b"{", b"{}", b"[]", b'{"version": 1, "routes": {}}'):
        assert not store.take(ROUTING_KEY, bad)
    assert list(store.routes_by_id()) == [NAME]
    assert heard == [ROUTING_KEY]


@pytest.mark.case("X1")
def test_a_row_that_is_not_taken_is_named_until_it_is_mended(tmp_path: Path) -> None:
    store, _ = _store(tmp_path)
    bad = route_item(2, queue={"max_requests": "many"})
    assert store.take(ROUTING_KEY, json.dumps(routing(route_item(1), bad)).encode())
    assert list(store.routes_by_id()) == [NAME]
    assert [row.row for row in store.dropped[ROUTING_KEY]] == [bad["regional_deployment_id"]]
    assert store.take(ROUTING_KEY, json.dumps(routing(route_item(1), route_item(2))).encode())
    assert store.dropped == {}
    assert len(store.routes_by_id()) == 2


@pytest.mark.case("X7")
def test_on_a_disk_that_takes_nothing_a_change_is_live_all_the_same(tmp_path: Path) -> None:
    store, heard = _store(tmp_path)
    (tmp_path / f".{ROUTING_KEY.replace(':', '=')}.json.new").mkdir()
    assert store.take(ROUTING_KEY, json.dumps(routing(route_item(1))).encode())
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
    for bad in ({**good, "exhausted_tenants": "org_1"}, {"version": 2}):
        assert not store.take(BUDGETS_KEY, json.dumps(bad).encode())
    assert store.budgets is not None
    assert store.budgets.tenants == {"org_1"}
    assert not store.take(BUDGETS_KEY, json.dumps({**good, "hard_tenants": 5}).encode())
    assert _store(tmp_path)[0].budgets == store.budgets
