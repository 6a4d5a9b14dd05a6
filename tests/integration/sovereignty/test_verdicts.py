"""Verdicts on stored facts, and how their change is noticed: real outbox, real deliveries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.kernel.ids import LegalEntityId
from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumers, deliver, due_batch, route_batch
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.redis import connect
from controlplane.plumbing.schedule import record_due_ticks
from controlplane.plumbing.settings import Settings
from controlplane.sovereignty import service, tasks
from controlplane.sovereignty.domain import CertificationRequirement, Requirement, SiteFacts, Verdict
from controlplane.sovereignty.requirement_rules import hash_requirement
from tests.fixtures.tenants import sign_up
from tests.integration.sovereignty.test_facts_api import PEOPLE, company, create, hold

NO_FOREIGN_CONTROL = Requirement(is_non_eu_control_denied=True)
HDS = Requirement(certifications=(CertificationRequirement("HDS"),))
ROUNDS_MAX = 10


@pytest.fixture
def consumers(settings: Settings, database: Database) -> Iterator[Consumers]:
    redis = connect(settings.redis_url)
    yield Consumers(tasks.consumers(Context(settings, database, redis, Clusters(None))))
    redis.close()


@pytest.fixture
def home(admin: TestClient) -> SiteFacts:
    """A site whose operator is held by French founders."""
    operator, people = company(admin), company(admin, **PEOPLE)
    hold(admin, people, operator, 10_000)
    return site("essonne-1", operator)


def site(code: str, operator: str, country: str = "FR") -> SiteFacts:
    entity_id = LegalEntityId.parse(operator)
    return SiteFacts(code, Country(country), entity_id, entity_id, 1_200)


def run_deliveries(database: Database, consumers: Consumers) -> None:
    """Route and deliver what is in the outbox until nothing is left, as the relay and a worker do."""
    for _ in range(ROUNDS_MAX):
        with database.system() as uow:
            pairs = route_batch(uow.session, consumers) or due_batch(uow.session)
        if not pairs:
            return
        for event_id, name in pairs:
            assert deliver(database, consumers, event_id, name)
    raise AssertionError("deliveries do not come to rest")


def rely_on(database: Database, sites: list[SiteFacts], requirement: Requirement) -> dict[str, Verdict]:
    with database.system() as uow:
        verdicts = service.evaluate(uow, sites, requirement, uow.now)
        service.keep_verdicts(uow, sites, requirement, verdicts)
    return verdicts


def changes(database: Database) -> list[dict[str, Any]]:
    with database.system() as uow:
        rows = uow.session.execute(
            text("SELECT payload FROM outbox_event WHERE topic = 'verdicts.changed' ORDER BY position")
        )
        return [row.payload for row in rows]


def move_clock(database: Database, by: timedelta) -> None:
    with database.system() as uow:
        uow.session.execute(
            text("UPDATE simulated_clock SET offset_seconds = :s"), {"s": int(by.total_seconds())}
        )


class TestEvaluate:
    def test_a_tenant_reads_the_same_verdict_as_the_platform(
        self, admin: TestClient, database: Database, home: SiteFacts
    ) -> None:
        from controlplane.kernel.ids import TenantId

        tenant = TenantId.parse(sign_up(admin).organization_id)
        with database.tenant(tenant, is_read_only=True) as uow:
            mine = service.evaluate(uow, [home], NO_FOREIGN_CONTROL, uow.now)[home.code]
        assert mine.is_admissible
        with database.system(is_read_only=True) as uow:
            theirs = service.evaluate(uow, [home], NO_FOREIGN_CONTROL, mine.decided_at)[home.code]
        assert theirs == mine

    def test_facts_hold_from_their_beginning_to_their_end(
        self, admin: TestClient, database: Database, home: SiteFacts
    ) -> None:
        with database.system() as uow:
            now = uow.now
            earlier = service.evaluate(uow, [home], NO_FOREIGN_CONTROL, now - timedelta(days=1))
            current = service.evaluate(uow, [home], NO_FOREIGN_CONTROL, now)
        assert not earlier[home.code].is_admissible
        assert current[home.code].is_admissible

    def test_an_owner_three_levels_up_is_found(self, admin: TestClient, database: Database) -> None:
        names = ["Atlas Inc", "Atlas Europe", "Atlas Ireland", "Atlas Dublin"]
        ids = [
            company(admin, name=name, siren=None, **places("US" if i == 0 else "IE"))
            for i, name in enumerate(names)
        ]
        for holder, held in itertools.pairwise(ids):
            hold(admin, holder, held, 10_000)
        dublin = site("dublin-1", ids[-1], "IE")
        with database.system(is_read_only=True) as uow:
            (reason,) = service.evaluate(uow, [dublin], NO_FOREIGN_CONTROL, uow.now)["dublin-1"].reasons
        assert reason.observed == "Atlas Inc (seat US)"
        assert len(reason.why_path) == 4


def places(country: str) -> dict[str, str]:
    return {"seat": country, "central_administration": country, "principal_establishment": country}


class TestReassess:
    def test_a_changed_fact_is_judged_again_where_it_was_read(
        self, admin: TestClient, database: Database, consumers: Consumers, home: SiteFacts
    ) -> None:
        other_operator, people = company(admin, name="Autre SAS"), company(admin, **PEOPLE)
        hold(admin, people, other_operator, 10_000)
        other = site("autre-1", other_operator)
        run_deliveries(database, consumers)
        rely_on(database, [home, other], NO_FOREIGN_CONTROL)
        with database.system(is_read_only=True) as uow:
            kept = uow.session.execute(text("SELECT site_code, decided_at FROM verdict")).all()
        before = {row.site_code: row.decided_at for row in kept}
        listed = admin.get("/v1/admin/holdings").json()["holdings"]
        holding = next(h for h in listed if h["held_id"] == str(home.operator_entity_id))
        assert admin.post(f"/v1/admin/holdings/{holding['id']}/end", json={}).status_code == 200
        run_deliveries(database, consumers)
        (change,) = changes(database)
        assert change["site_codes"] == ["essonne-1"]
        assert change["policy_hashes"] == [hash_requirement(NO_FOREIGN_CONTROL)]
        assert str(home.operator_entity_id) in change["entity_ids"]
        with database.system(is_read_only=True) as uow:
            after = uow.session.execute(text("SELECT site_code, decided_at FROM verdict")).all()
        assert {r.site_code: r.decided_at == before[r.site_code] for r in after} == {
            "essonne-1": False,
            "autre-1": True,
        }

    def test_a_new_owner_above_an_operator_is_noticed(
        self, admin: TestClient, database: Database, consumers: Consumers
    ) -> None:
        operator, parent = company(admin), company(admin, name="Parent SAS")
        buyer = company(admin, name="Buyer Inc", siren=None, **places("US"))
        families = company(admin, **PEOPLE)
        hold(admin, parent, operator, 10_000)
        first = hold(admin, families, parent, 10_000)
        home = site("essonne-1", operator)
        assert rely_on(database, [home], NO_FOREIGN_CONTROL)["essonne-1"].is_admissible
        run_deliveries(database, consumers)
        assert changes(database) == []
        admin.post(f"/v1/admin/holdings/{first['id']}/end", json={})
        hold(admin, buyer, parent, 10_000)
        run_deliveries(database, consumers)
        codes = [change["site_codes"] for change in changes(database)]
        assert codes[-1] == ["essonne-1"]
        with database.system(is_read_only=True) as uow:
            row = uow.session.execute(text("SELECT is_admissible, reason_codes FROM verdict")).one()
        assert (row.is_admissible, row.reason_codes) == (False, ["non_eu_control"])

    def test_a_fact_that_changes_between_judging_and_keeping_is_not_missed(
        self, admin: TestClient, database: Database, consumers: Consumers, home: SiteFacts
    ) -> None:
        run_deliveries(database, consumers)
        with database.system() as uow:
            verdicts = service.evaluate(uow, [home], NO_FOREIGN_CONTROL, uow.now)
            assert verdicts[home.code].is_admissible
            assert (
                admin.post(f"/v1/admin/legal_entities/{home.operator_entity_id}/end", json={}).status_code
                == 200
            )
            run_deliveries(database, consumers)
            service.keep_verdicts(uow, [home], NO_FOREIGN_CONTROL, verdicts)
        assert [change["site_codes"] for change in changes(database)] == [["essonne-1"]]
        with database.system(is_read_only=True) as uow:
            assert not uow.session.execute(text("SELECT is_admissible FROM verdict")).scalar_one()

    def test_a_fact_that_changes_nothing_stays_quiet(
        self, admin: TestClient, database: Database, consumers: Consumers, home: SiteFacts
    ) -> None:
        rely_on(database, [home], NO_FOREIGN_CONTROL)
        body = {
            "framework": "HDS", "framework_version": "2.0", "site_code": home.code,
            "issued_on": "2025-01-01", "expires_on": "2027-12-31", "evidence": "certificate 42",
        }  # fmt: skip
        create(admin, "certifications", "certification", body)
        run_deliveries(database, consumers)
        assert changes(database) == []

    def test_a_forgotten_policy_is_not_watched(
        self, admin: TestClient, database: Database, consumers: Consumers, home: SiteFacts
    ) -> None:
        rely_on(database, [home], NO_FOREIGN_CONTROL)
        move_clock(database, 2 * service.FORGET_AFTER)
        with database.system() as uow:
            assert service.forget_verdicts(uow, []) == 1
        admin.post(f"/v1/admin/legal_entities/{home.operator_entity_id}/end", json={})
        run_deliveries(database, consumers)
        assert changes(database) == []

    def test_what_is_relied_on_or_was_just_decided_is_not_forgotten(
        self, database: Database, home: SiteFacts
    ) -> None:
        rely_on(database, [home], NO_FOREIGN_CONTROL)
        with database.system() as uow:
            assert service.forget_verdicts(uow, []) == 0
        move_clock(database, 2 * service.FORGET_AFTER)
        with database.system() as uow:
            assert service.forget_verdicts(uow, [hash_requirement(NO_FOREIGN_CONTROL)]) == 0
            assert service.forget_verdicts(uow, [hash_requirement(HDS)]) == 1


class TestSweep:
    def test_sweep_notices_a_certificate_that_ran_out(
        self, admin: TestClient, database: Database, consumers: Consumers, home: SiteFacts
    ) -> None:
        with database.system(is_read_only=True) as uow:
            today: date = uow.now.date()
        body = {
            "framework": "HDS", "framework_version": "2.0", "site_code": home.code, "evidence": "certificate 42",
            "issued_on": str(today - timedelta(days=300)), "expires_on": str(today + timedelta(days=20)),
        }  # fmt: skip
        create(admin, "certifications", "certification", body)
        verdict = rely_on(database, [home], HDS)[home.code]
        assert verdict.is_admissible
        assert verdict.expires_at is not None
        run_deliveries(database, consumers)
        for days, expected in ((20, []), (22, [["essonne-1"]])):
            move_clock(database, timedelta(days=days))
            with database.system() as uow:
                assert record_due_ticks(uow, tasks.TICKS) == 1
            run_deliveries(database, consumers)
            assert [change["site_codes"] for change in changes(database)] == expected
        with database.system(is_read_only=True) as uow:
            assert uow.session.execute(text("SELECT reason_codes FROM verdict")).scalar_one() == [
                "certification_expired"
            ]

    def test_a_sweep_goes_through_every_batch(
        self, admin: TestClient, database: Database, home: SiteFacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "SWEEP_BATCH", 2)
        for limit in range(5):
            rely_on(
                database,
                [home],
                Requirement(is_non_eu_control_denied=True, gco2_per_kwh_max_milli=80_000 + limit),
            )
        admin.post(f"/v1/admin/legal_entities/{home.operator_entity_id}/end", json={})
        after: tuple[str, str] | None = ("", "")
        changed = 0
        for _ in range(ROUNDS_MAX):
            if after is None:
                break
            with database.system() as uow:
                after, count = service.sweep(uow, after)
            changed += count
        assert (after, changed) == (None, 5)
