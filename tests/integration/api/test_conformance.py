"""The REST door does what its committed description says, for requests that fit it and for requests that do not.

Schemathesis makes the requests from the description; half of them name things that really exist. Bounded: CASES_EACH
requests an operation and kind. REMPART_TEST_SEED=<number> tries others; the seed of a run is printed.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.architecture.wall import World, find_builder, load_builders, obtain
from tests.fixtures.door import served
from tests.fixtures.tenants import operator_headers, sign_up

SEED = int(os.environ.get("REMPART_TEST_SEED", "20261121"))
CASES_EACH = int(os.environ.get("REMPART_TEST_CASES", "2"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
METHODS = ("get", "post", "patch", "put", "delete")
# Ids of a door's own vocabulary that no builder of the tenant wall makes.
OPERATORS_OWN = {
    "datacenter_code": "essonne-1",
    "node_pool_name": "essonne-1-cpu",
    "node_name": "essonne-1-cpu-0",
    "quota_name": "gpus",
    "kind": "pdf",
    "year": "2025",
    "event_id": "evt_01jd00000000000000000000a0",
    "consumer": "einvoicing.render",
}

load_builders()


@dataclass(slots=True)
class Run:
    """What was sent and what came back."""

    world: World
    url: str
    operator: dict[str, str]
    victim: str
    fact_ids: dict[str, str]
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def headers_of(self, case: Case) -> dict[str, str]:
        if case.operation.path.startswith("/v1/admin/"):
            return self.operator
        return self.world.owner.headers

    def real_id(self, case: Case, name: str) -> str:
        """Something that exists, and whose loss does not lock this run out."""
        path = case.operation.path
        if name in OPERATORS_OWN:
            return OPERATORS_OWN[name]
        if name == "fact_id":
            return self.fact_ids[path.split("/")[3]]
        if name == "organization_id" and path.startswith("/v1/admin/"):
            return self.victim
        assert find_builder(name, path)
        return obtain(self.world, name, path)

    def send(self, case: Case, *, is_real: bool) -> None:
        if is_real:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = self.real_id(case, name)
            if "If-Match" in (case.headers or {}):
                case.headers["If-Match"] = '"1"'
        try:
            response = case.call(base_url=self.url, headers=self.headers_of(case))
            self.statuses[(_name(case), response.status_code)] += 1
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as found:
            self.failures += [_describe(case, failure) for failure in found.exceptions]
        except Failure as failure:
            self.failures.append(_describe(case, failure))


@pytest.fixture
def run(api: TestClient, database: Database, settings: Settings) -> Iterator[Run]:
    world = World(api, sign_up(api, "seeded"), sign_up(api, "neighbour"))
    obtain(world, "regional_deployment_id", "/v1/regional_deployments/x")
    operator = operator_headers(database, settings)
    app = api.app
    assert isinstance(app, FastAPI)
    with served(app) as url:
        facts = _state_facts(api, operator)
        yield Run(world, url, operator, sign_up(api, "victim").organization_id, facts)


def test_every_operation_answers_as_described(run: Run) -> None:
    print(f"seed {SEED}")
    operations = _operations(_document(run))
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _try(run, operation, mode)
    sent = sum(run.statuses.values())
    reached = {name for name, status in run.statuses if status < 300}
    print(f"{sent} requests, {len(reached)} of {len(operations)} operations answered with success")
    assert run.failures == [], "\n\n".join(run.failures)
    assert sent >= 200
    assert len(reached) >= len(operations) // 2
    locked_out = {name for name, status in run.statuses if status == 401}
    assert locked_out <= {"move_clock"}


def test_what_the_description_does_not_say_is_found(run: Run) -> None:
    """Without this, a comparison that compares nothing would pass for ever."""
    document = copy.deepcopy(_document(run))
    [path] = [path for path in document["paths"] if path.endswith("/apps/{app_id}")]
    document["paths"] = {path: {"get": document["paths"][path]["get"]}}
    del document["paths"][path]["get"]["responses"]["404"]
    del document["paths"][path]["get"]["responses"]["422"]
    document["components"]["schemas"]["AppOut"]["properties"]["name"] = {"type": "integer"}
    [operation] = _operations(document)
    for _ in range(2):
        _try(run, operation, GenerationMode.POSITIVE, cases=20)
    found = "\n".join(run.failures)
    assert "Undocumented status code" in found
    assert "Response violates schema" in found


def _document(run: Run) -> dict[str, Any]:
    app = run.world.api.app
    assert isinstance(app, FastAPI)
    return app.openapi()


def _operations(document: dict[str, Any]) -> list[Any]:
    """Every operation; deleting comes last, and the clock after everything: a moved clock ends every key."""
    described = schemathesis.openapi.from_dict(document)
    described.config.generation.update(with_security_parameters=False)
    operations = [found.ok() for found in described.get_all_operations()]
    return sorted(operations, key=lambda each: (each.path == "/v1/admin/clock", METHODS.index(each.method)))


def _try(run: Run, operation: Any, mode: GenerationMode, cases: int = CASES_EACH) -> None:
    """Send a few requests; an operation that takes nothing has nothing to get wrong."""
    if mode is GenerationMode.NEGATIVE and not (
        operation.body or operation.query or operation.path_parameters
    ):
        return

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_real=st.booleans())
    def send(case: Case, is_real: bool) -> None:
        run.send(case, is_real=is_real)

    try:
        send()
    except hypothesis.errors.Unsatisfiable:
        # Where any text fits, no request can be unfit.
        assert mode is GenerationMode.NEGATIVE


def _state_facts(api: TestClient, operator: dict[str, str]) -> dict[str, str]:
    """One fact of each kind, by the collection that it stands in."""
    known = {"evidence": "register"}
    entities = [
        api.post("/v1/admin/legal_entities", json={"name": name, **known}, headers=operator).json()
        for name in ("holder", "held")
    ]
    holder, held = (reply["legal_entity"]["id"] for reply in entities)
    holding = api.post(
        "/v1/admin/holdings", json={"holder_id": holder, "held_id": held, **known}, headers=operator
    )
    days = {"issued_on": "2026-01-01", "expires_on": "2027-01-01"}
    body = {"framework": "HDS", "framework_version": "2.0", "site_code": "essonne-1", **days, **known}
    certification = api.post("/v1/admin/certifications", json=body, headers=operator)
    return {
        "legal_entities": holder,
        "holdings": holding.json()["holding"]["id"],
        "certifications": certification.json()["certification"]["id"],
    }


def _name(case: Case) -> str:
    return str(case.operation.definition.raw["operationId"])


def _describe(case: Case, failure: BaseException) -> str:
    return f"{case.method} {case.formatted_path} query={case.query} body={case.body!r}: {failure}"
