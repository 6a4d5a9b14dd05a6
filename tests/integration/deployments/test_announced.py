"""An admission carries its proof, and what is announced to end it reaches the tenant at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.plumbing.consumers import Consumers
from controlplane.sovereignty import tasks as sovereignty_tasks
from tests.integration.capacity.test_pool_doors import change, entity
from tests.integration.deployments.fleet import Fleet, add_site

AHEAD = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
WISH = {"is_non_eu_control_denied": True}


@pytest.fixture
def site(fleet: Fleet, admin: Any) -> dict[str, Any]:
    """A site run by a French company that natural persons of France hold whole."""
    company = str(add_site(fleet, "essonne-1", "FR", nodes=2))
    body = {
        "holder_id": entity(admin, "Fondateurs", kind="natural_persons"), "held_id": company, "capital_bp": 10_000,
        "votes_bp": 10_000, "evidence": "share register",
    }  # fmt: skip
    held = admin.post("/v1/admin/holdings", json=body)
    assert held.status_code == 201, held.text
    return {"code": "essonne-1"}


def explanation(fleet: Fleet, service: dict[str, Any]) -> dict[str, Any]:
    return fleet.get(f"/v1/services/{service['id']}/explanation")


def holdings(admin: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.get("/v1/admin/holdings").json()["holdings"]
    return found


@pytest.mark.case("F10")
class TestAdmissionsCarryTheirProof:
    def test_owners_facts_and_expiry_are_named(self, fleet: Fleet, admin: Any, site: dict[str, Any]) -> None:
        service = fleet.create_service(sovereignty=WISH)
        fleet.run()
        (verdict,) = explanation(fleet, service)["verdicts"]
        assert verdict["is_admissible"]
        (held,) = holdings(admin)
        assert verdict["owners"] == [held["holder_id"]]
        assert [step["fact_id"] for step in verdict["proof"]] == [held["id"]]
        assert {held["id"], held["holder_id"], held["held_id"]} <= set(verdict["facts_read"])
        assert (verdict["expires_at"], verdict["foreseen"]) == (None, None)

    @pytest.mark.parametrize("way", ["holding ends", "takeover", "operator changes"])
    def test_an_announced_end_is_told_at_once(
        self, fleet: Fleet, admin: Any, site: dict[str, Any], way: str
    ) -> None:
        first = fleet.create_service(sovereignty=WISH)
        fleet.run()
        announce(admin, way)
        fleet.consumers = Consumers(
            [*fleet.consumers.by_name.values(), *sovereignty_tasks.consumers(fleet.context)]
        )
        fleet.run()
        second = fleet.create_service("later", sovereignty=WISH)
        fleet.run()
        for service in (first, second):
            (verdict,) = explanation(fleet, service)["verdicts"]
            assert verdict["is_admissible"]
            assert datetime.fromisoformat(verdict["foreseen"]["at"]) == AHEAD
            assert datetime.fromisoformat(verdict["expires_at"] or verdict["foreseen"]["at"]) == AHEAD
            assert verdict["foreseen"]["reasons"]
        fleet.converge()
        fleet.converge()
        for service in (first, second):
            assert fleet.events(service).count("VERDICT_ENDING") == 1


@pytest.mark.case("F9")
@pytest.mark.parametrize(("seat", "is_kept"), [("DE", True), ("US", False)])
def test_a_company_that_moves_its_seat_keeps_what_is_still_admissible(
    fleet: Fleet, admin: Any, site: dict[str, Any], seat: str, is_kept: bool
) -> None:
    """A new entity with its holdings, the site changed to it, the old one ended: no service stops meanwhile."""
    fleet.consumers = Consumers(
        [*fleet.consumers.by_name.values(), *sovereignty_tasks.consumers(fleet.context)]
    )
    service = fleet.create_service(sovereignty=WISH)
    fleet.answer_as_cells()
    (part,) = fleet.parts(service)
    (held,) = holdings(admin)
    heir = entity(admin, "Operator moved", seat)
    body = {
        "holder_id": held["holder_id"], "held_id": heir, "capital_bp": 10_000, "votes_bp": 10_000,
        "evidence": "register",
    }  # fmt: skip
    assert admin.post("/v1/admin/holdings", json=body).status_code == 201
    wish = {"operator_entity_id": heir, "owner_entity_id": heir, "evidence": "deed of transfer"}
    assert change(admin, "/v1/admin/datacenters/essonne-1", wish).status_code == 200
    ended = admin.post(f"/v1/admin/legal_entities/{held['held_id']}/end", json={})
    assert ended.status_code == 200, ended.text
    fleet.run()
    fleet.converge()
    assert fleet.part(part).is_live == is_kept
    assert fleet.part(part).verdict.is_admissible == is_kept


def announce(admin: Any, way: str) -> None:
    """State today what will change in ninety days."""
    (held,) = holdings(admin)
    if way != "operator changes":
        ended = admin.post(f"/v1/admin/holdings/{held['id']}/end", json={"valid_to": AHEAD.isoformat()})
        assert ended.status_code == 200, ended.text
    if way == "takeover":
        body = {
            "holder_id": entity(admin, "Meridian Inc", "US"), "held_id": held["held_id"], "capital_bp": 10_000,
            "votes_bp": 10_000, "evidence": "share purchase agreement", "valid_from": AHEAD.isoformat(),
        }  # fmt: skip
        taken = admin.post("/v1/admin/holdings", json=body)
        assert taken.status_code == 201, taken.text
    if way == "operator changes":
        heir = entity(admin, "Meridian Inc", "US")
        wish = {
            "operator_entity_id": heir, "effective_from": AHEAD.isoformat(), "evidence": "contract of operation",
        }  # fmt: skip
        assert change(admin, "/v1/admin/datacenters/essonne-1", wish).status_code == 200
