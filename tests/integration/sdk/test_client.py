"""The client against the real door on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.sdk import (
    Conflict,
    ConnectionLost,
    DeploymentFailed,
    InvalidRequest,
    NotFound,
    Rempart,
    Unauthenticated,
    VersionChanged,
)
from tests.fixtures.billing import make_billing
from tests.fixtures.database import free_port
from tests.fixtures.door import served
from tests.fixtures.tenants import signup_body
from tests.fixtures.usage import request_event
from tests.integration.deployments.fleet import Fleet, add_site, definition, make_fleet


@pytest.fixture
def fleet(api: TestClient, database: Database, settings: Settings) -> Fleet:
    made = make_fleet(api, database, settings)
    add_site(made, "essonne-1", "FR")
    return made


def app_of(fleet: Fleet) -> FastAPI:
    app = fleet.api.app
    assert isinstance(app, FastAPI)
    return app


@pytest.fixture
def client(fleet: Fleet) -> Iterator[Rempart]:
    with served(app_of(fleet)) as url, Rempart(fleet.caller.secret, url) as opened:
        yield opened


def test_a_newcomer_signs_up_and_its_key_works_at_once(client: Rempart, fleet: Fleet) -> None:
    with served(app_of(fleet)) as url, Rempart("", url) as anonymous:
        made = anonymous.sign_up(signup_body("newcomer"))
        with pytest.raises(Unauthenticated):
            anonymous.caller()
        with Rempart(made["api_key"]["secret"], url) as own:
            assert own.caller()["organization_id"] == made["organization"]["id"]
            assert own.organization()["name"] == "newcomer"
            with pytest.raises(NotFound):
                own.projects.get(fleet.caller.project_id)


def test_lists_are_read_to_their_end_without_a_gap_or_a_repeat(client: Rempart) -> None:
    made = [client.apps.create({"name": f"app-{number}"})["id"] for number in range(5)]
    assert [app["id"] for app in client.apps.list(limit=2)] == made[::-1]


def test_a_repeated_post_makes_one_thing(client: Rempart) -> None:
    first = client.apps.create({"name": "chat"}, idempotency_key="k-1")
    assert client.apps.create({"name": "chat"}, idempotency_key="k-1") == first
    with pytest.raises(Conflict):
        client.apps.create({"name": "chat"})
    assert len(list(client.apps.list())) == 1


def test_a_change_of_what_was_read_before_somebody_elses_change_is_refused(client: Rempart) -> None:
    app = client.apps.create({"name": "chat"})
    assert client.apps.update(app["id"], {"name": "talk"}, version=app["version"])["version"] == 2
    with pytest.raises(VersionChanged):
        client.apps.update(app["id"], {"name": "lost"}, version=app["version"])
    with pytest.raises(InvalidRequest) as refused:
        client.apps.update(app["id"], {"colour": 1})
    assert {field["field"] for field in refused.value.fields} == {"body.name", "body.colour"}
    assert client.apps.delete(app["id"]) == {}
    with pytest.raises(NotFound):
        client.apps.get(app["id"])


def test_a_service_is_waited_for_and_tells_its_story(client: Rempart, fleet: Fleet) -> None:
    app = client.apps.create({"name": "chat"})
    service = client.services.create({"app_id": app["id"], "definition": definition()})
    fleet.run()
    [part] = fleet.parts(service)
    fleet.apply(part)
    seen = threading.Event()
    cell = threading.Thread(target=lambda: (seen.wait(10), fleet.report(part, "SLEEPING"), fleet.run()))
    cell.start()
    up = client.wait_for_service(
        service["id"], timeout_seconds=30, poll_seconds=0.05, on_change=lambda _: seen.set()
    )
    cell.join(timeout=30)
    assert up["active_deployment_id"] == service["latest_deployment_id"]
    assert client.services.explanation(service["id"])["is_placed"] is True
    assert {event["type"] for event in client.services.events(service["id"])} == set(fleet.events(service))
    assert client.services.cold_starts(service["id"]) == []
    assert client.services.logs(service["id"], limit=5) == []
    second = client.services.redeploy(service["id"])
    client.deployments.cancel(second["id"])
    fleet.run()
    with pytest.raises(DeploymentFailed) as failed:
        client.wait_for_service(service["id"], timeout_seconds=10, deployment_id=second["id"])
    assert client.services.get(service["id"])["status"] == "HEALTHY"
    assert failed.value.status == "CANCELED"


def test_a_server_that_was_restarted_is_called_again_without_anybody_noticing(fleet: Fleet) -> None:
    port = free_port()
    with Rempart(fleet.caller.secret, f"http://127.0.0.1:{port}", backoff_seconds=0) as client:
        with served(app_of(fleet), port):
            before = client.caller()
        with pytest.raises(ConnectionLost):
            client.caller()
        with served(app_of(fleet), port):
            assert client.caller() == before


def test_the_audit_chain_is_exported_as_it_verifies(client: Rempart) -> None:
    client.apps.create({"name": "chat"})
    head = client.audit_events.verify()["head"]
    lines = client.audit_events.export().splitlines()
    assert len(lines) == head["sequence"] + 1
    assert head["hash"].encode() in lines[-1]


def test_a_producer_tells_usage_and_the_tenant_sees_its_cost_and_sets_its_budget(
    client: Rempart, fleet: Fleet, database: Database, settings: Settings
) -> None:
    billing = make_billing(fleet.api, database, settings)
    event = request_event(
        fleet.caller.organization_id, fleet.caller.project_id, input_tokens=10_000_000, output_tokens=7
    )
    with served(app_of(fleet)) as url, Rempart(_key_of(billing.producer), url) as producer:
        assert producer.usages.ingest([event])["accepted"] == 1
        assert producer.usages.ingest([event])["duplicates"] == 1
    [total] = client.usages.list(meter="output_tokens", group_by=["project"])
    assert (total["quantity"], total["project_id"]) == ("7", fleet.caller.project_id)
    assert Decimal(client.costs.get()["net"]) > 0
    assert client.budgets.set({"amount": "1.00"})["version"] == 1
    assert client.budgets.set({"amount": "2.00"})["version"] == 2
    with pytest.raises(VersionChanged):
        client.budgets.set({"amount": "3.00"}, version=1)


def test_the_operator_changes_the_seller_and_the_books_as_they_are_now(
    fleet: Fleet, database: Database, settings: Settings
) -> None:
    billing = make_billing(fleet.api, database, settings)
    with served(app_of(fleet)) as url, Rempart(_key_of(billing.admin), url) as operator:
        before = operator.platform_invoices.seller()
        changed = {**before["seller"], "payment_days": 15}
        assert operator.platform_invoices.set_seller(changed)["version"] == before["version"] + 1
        with pytest.raises(VersionChanged):
            operator.platform_invoices.set_seller(changed, version=before["version"])
        books = {"siren": "732829320", "legal_name": "Nuage SAS"}
        first = operator.ledger.set_entity(books)["version"]
        assert operator.ledger.set_entity({**books, "legal_name": "Nuage SA"})["version"] == first + 1
        assert operator.ledger.entity()["legal_name"] == "Nuage SA"


def _key_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")
