"""One key for each gateway and cell, good for what that one reports and revoked alone."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fixtures.tenants import Caller, bearer, sign_up
from tests.fixtures.usage import BATCH, call_of, gpu_event, now, send

GATEWAY, OTHER, CELL = "/gateways/essonne-1", "/gateways/dublin-1", "/cells/essonne-1-a"


def producer(admin: TestClient, source: str) -> dict[str, Any]:
    body = {"name": source, "role": "producer", "source": source}
    answer = admin.post("/v1/admin/api_keys", json=body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()["api_key"]
    return key


def event_of(caller: Caller, source: str) -> dict[str, Any]:
    return {**call_of(caller), "source": source}


@pytest.mark.case("X19")
@pytest.mark.parametrize("source", [GATEWAY, OTHER, CELL])
def test_a_key_reports_for_its_own_source_alone(admin: TestClient, source: str) -> None:
    caller = sign_up(admin)
    headers = {**bearer(producer(admin, source)["secret"]), **BATCH}
    sources = [GATEWAY, OTHER, CELL, f"{GATEWAY}x", GATEWAY.upper(), ""]
    answer = send(admin, headers, [event_of(caller, each) for each in sources])
    results = {each: item["result"] for each, item in zip(sources, answer["results"], strict=True)}
    # A request is a gateway's to report: a cell's key may not even in its own name.
    accepted = {source} - {CELL}
    assert {each for each, result in results.items() if result == "accepted"} == accepted
    assert {result for each, result in results.items() if each not in accepted} == {"rejected"}


@pytest.mark.case("X19")
def test_a_key_for_every_cell_reports_no_requests_and_for_no_gateway(admin: TestClient) -> None:
    """Operators that serve several cells behind one API server."""
    caller = sign_up(admin)
    headers = {**bearer(producer(admin, "/cells/*")["secret"]), **BATCH}
    at = now()
    gpu = gpu_event(caller.organization_id, caller.project_id, "open", at, at)
    events = [gpu, {**gpu, "source": "/cells/dublin-1-a"}, {**gpu, "source": GATEWAY}, event_of(caller, CELL)]
    results = [item["result"] for item in send(admin, headers, events)["results"]]
    assert results == ["accepted", "accepted", "rejected", "rejected"]


@pytest.mark.case("X19")
def test_one_producer_is_revoked_and_the_others_go_on(admin: TestClient) -> None:
    caller = sign_up(admin)
    lost, kept = producer(admin, GATEWAY), producer(admin, OTHER)
    assert admin.delete(f"/v1/admin/api_keys/{lost['id']}").status_code == 200
    refused = admin.post("/v1/usage_events", json={}, headers=bearer(lost["secret"]))
    assert refused.status_code == 401
    assert send(admin, {**bearer(kept["secret"]), **BATCH}, [event_of(caller, OTHER)])["accepted"] == 1
