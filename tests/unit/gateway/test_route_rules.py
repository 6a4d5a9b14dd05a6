"""Which call may go where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway import snapshot_rules
from controlplane.gateway.route_rules import Refuse, Serve, decide_routes, list_models, model_key
from controlplane.gateway.snapshot_rules import (
    SnapshotRefused,
    parse_budgets,
    parse_endpoints,
    parse_keys,
    parse_routing,
)
from tests.unit.gateway.values import route_item, routing

PROJECT = "prj_00000000000000000000000001"
UNLAWFUL = {"admissible": False, "policy_hash": "p", "decided_at": "", "reason": "Owned from the US."}


def _answer(*items: dict[str, object], model: str = "m") -> Serve | Refuse:
    return decide_routes(parse_routing(routing(*items))).by_model[model_key(PROJECT, model)]


def test_a_route_whose_verdict_is_no_is_refused() -> None:
    answer = _answer(route_item(1, model="m", verdict=UNLAWFUL))
    assert isinstance(answer, Refuse)
    assert answer.refusal.code == "jurisdiction_not_admissible"
    assert "Owned from the US." in answer.refusal.message


@given(st.sampled_from([None, 1, "true", "yes", 0, False]))
def test_only_the_value_true_admits(value: object) -> None:
    answer = _answer(route_item(1, model="m", verdict={**UNLAWFUL, "admissible": value}))
    assert isinstance(answer, Refuse)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "paused"}, "service_paused"),
        ({"state": "draining"}, "service_stopping"),
        ({"simulated": True}, "simulated_capacity"),
        ({"simulated": True, "verdict": UNLAWFUL}, "jurisdiction_not_admissible"),
    ],
)
def test_a_route_that_cannot_answer_says_why(changes: dict[str, object], code: str) -> None:
    answer = _answer(route_item(1, model="m", **changes))
    assert isinstance(answer, Refuse)
    assert answer.refusal.code == code


def test_the_active_route_decides_and_the_draining_one_keeps_its_cluster() -> None:
    draining = route_item(1, model="m", state="draining")
    active = route_item(2, model="m", service_id=draining["service_id"])
    table = decide_routes(parse_routing(routing(draining, active)))
    answer = table.by_model[model_key(PROJECT, "m")]
    assert isinstance(answer, Serve)
    assert answer.route.regional_deployment_id == active["regional_deployment_id"]
    assert len(table.clusters) == 2


def test_the_same_model_of_two_projects_goes_to_each_ones_own_service() -> None:
    other = "prj_00000000000000000000000002"
    table = decide_routes(
        parse_routing(routing(route_item(1, model="m"), route_item(2, model="m", project_id=other)))
    )
    found = {key: answer.route.service_id for key, answer in table.by_model.items()}
    assert found == {f"{PROJECT}/m": f"svc_{1:026d}", f"{other}/m": f"svc_{2:026d}"}


@given(st.permutations([1, 2, 3]))
def test_of_two_services_with_one_model_the_older_answers_whatever_the_order(order: list[int]) -> None:
    answer = _answer(*(route_item(n, model="m") for n in order))
    assert answer.route.service_id == f"svc_{1:026d}"


@given(st.lists(st.sampled_from(["a.example.test", "A.example.test", "*", "bad host", "x:80"]), max_size=4))
def test_hosts_are_unique_lower_case_names(hosts: list[str]) -> None:
    # One host twice, or a pattern, would make Envoy refuse the whole table.
    items = (route_item(n, model="m", hosts=hosts) for n in (1, 2))
    found = [answer.host for answer in decide_routes(parse_routing(routing(*items))).by_host]
    assert found in ([], ["a.example.test"])


def test_models_are_listed_for_their_own_project_only() -> None:
    parsed = parse_routing(routing(route_item(1, model="b"), route_item(2, model="a")))
    assert list_models(parsed, PROJECT) == ["a", "b"]
    assert list_models(parsed, "prj_other") == []


@pytest.mark.parametrize(
    "change",
    [
        {"state": "gone"},
        {"concurrency_per_replica": 0},
        {"regional_deployment_id": "../../x"},
        {"model": ""},
        {"queue": {}},
        {"max": "2"},
    ],
)
@pytest.mark.case("X1")
def test_a_wrong_route_is_dropped_alone_and_named(change: dict[str, object]) -> None:
    found = parse_routing(routing(route_item(1), route_item(2, **change), route_item(3)))
    assert found.routes == parse_routing(routing(route_item(1), route_item(3))).routes
    assert len(found.dropped) == 1


@pytest.mark.case("X1")
@pytest.mark.parametrize("address", ["engine.example.test", "", "127.0.0.1; x"])
def test_an_endpoint_that_is_no_address_is_dropped_alone(address: str) -> None:
    good = {"address": "127.0.0.1", "port": 1, "instance": "pod-1"}
    bad = {**good, "address": address, "instance": "pod-2"}
    found = parse_endpoints({"regional_deployment_id": "rdp_1", "endpoints": [bad, good]})
    assert [endpoint.instance for endpoint in found.endpoints] == ["pod-1"]
    assert [dropped.row for dropped in found.dropped] == ["pod-2"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JUNK)
def test_no_published_rubbish_raises_anything_but_a_refusal(data: object) -> None:
    for parse in (parse_routing, parse_keys, parse_endpoints):
        with pytest.raises(SnapshotRefused):
            parse(data)


def _key_item(number: int) -> dict[str, object]:
    return {
        "key_id": f"key_{number}", "hash": f"{number:064d}", "tenant_id": f"org_{number}", "project_id": "prj_1",
        "expires_at": None, "scopes": ["inference"],
    }  # fmt: skip


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [path]
    if isinstance(value, dict):
        found += [each for key, item in value.items() for each in _paths(item, (*path, key))]
    return found


def _put(value: object, path: tuple[object, ...], junk: object) -> object:
    if not path:
        return junk
    assert isinstance(value, dict)
    if len(path) == 1 and junk is ...:
        return {key: item for key, item in value.items() if key != path[0]}
    return {key: _put(item, path[1:], junk) if key == path[0] else item for key, item in value.items()}


WRONG = JUNK | st.text(min_size=250, max_size=300) | st.floats() | st.just(...) | st.integers(2**31, 2**70)
INSTANT = "2026-11-21T00:00:00+00:00"


@pytest.mark.case("X1")
@given(st.data(), st.integers(0, 3))
def test_any_mutation_of_any_row_leaves_all_other_rows_live(data: st.DataObject, index: int) -> None:
    endpoint = {"address": "127.0.0.1", "port": 1, "instance": "pod"}
    lists: dict[str, tuple[Callable[[Any], Any], str, list[Any]]] = {
        "routes": (lambda d: parse_routing(d).routes, "routes", [route_item(n) for n in range(4)]),
        "keys": (lambda d: tuple(parse_keys(d).by_hash.values()), "keys", [_key_item(n) for n in range(4)]),
        "endpoints": (
            lambda d: parse_endpoints(d).endpoints, "endpoints", [{**endpoint, "port": 1 + n} for n in range(4)],
        ),
        "budgets": (lambda d: sorted(parse_budgets(d).tenants), "exhausted_tenants", [f"org_{n}" for n in range(4)]),
    }  # fmt: skip
    read, name, rows = lists[data.draw(st.sampled_from(sorted(lists)))]
    frame = {
        "version": 1,
        "generated_at": INSTANT,
        "regional_deployment_id": "rdp_1",
        "exhausted_projects": [],
    }
    path = data.draw(st.sampled_from(_paths(rows[index])))
    junk = data.draw(WRONG)
    mutated = [
        _put(row, path, None if junk is ... and not path else junk) if n == index else row
        for n, row in enumerate(rows)
    ]
    others = read({**frame, name: [row for n, row in enumerate(rows) if n != index]})
    found = read({**frame, name: mutated})
    assert [row for row in found if row in others] == list(others)


@pytest.mark.case("X5")
@given(st.dictionaries(st.integers(1, 6), st.integers(1, 12), min_size=1), st.integers(6, 30))
def test_a_full_list_costs_only_those_who_have_more_than_their_share(
    counts: dict[int, int], count_max: int
) -> None:
    rows = [(f"org_{tenant}", f"{n:03d}") for tenant, count in counts.items() for n in range(count)]
    kept, over = snapshot_rules._share(rows, count_max, lambda row: row)
    assert len(kept) <= count_max
    assert len(kept) + len(over) == len(rows)
    left = Counter(tenant for tenant, _ in kept)
    for tenant, count in counts.items():
        assert left[f"org_{tenant}"] >= min(count, count_max // len(counts))
