"""Prices, costs, budgets and corrections on a real database, with usage that came in by the front door."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy.exc
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service as metering
from controlplane.metering.domain import IngestResult
from controlplane.plumbing.amounts import text_of
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database, normalise_url
from controlplane.plumbing.redis import connect
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.simulated_clock import move_clock
from controlplane.rating import service
from controlplane.rating.domain import CreditKind, RatedPeriod
from controlplane.rating.tasks import BUDGETS_KEY, consumers
from tests.fixtures.database import DatabaseUrls
from tests.fixtures.tenants import Caller, make_key, sign_up

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Rig:
    """A tenant with the standard prices, and a way to make it use something."""

    api: TestClient
    database: Database
    settings: Settings
    caller: Caller

    @property
    def tenant_id(self) -> TenantId:
        return TenantId.parse(self.caller.organization_id)

    def use(
        self,
        input_tokens: int,
        output_tokens: int = 0,
        *,
        at: datetime | None = None,
        service_id: str = "svc_a",
    ) -> None:
        """One answered call, told by a gateway."""
        with self.database.system(is_read_only=True) as uow:
            now = uow.now
        event = {
            "specversion": "1.0",
            "id": f"req-{next(_numbers)}",
            "source": "/gateways/test",
            "type": "eu.rempart.inference.request.v1",
            "subject": service_id,
            "time": (at or now).isoformat(),
            "data": {
                "tenant_id": self.caller.organization_id,
                "project_id": self.caller.project_id,
                "service_id": service_id,
                "model": "smollm2-135m",
                "datacenter": "essonne-1",
                "country": "FR",
                "status": 200,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
            },
        }
        with self.database.system() as uow:
            outcome = metering.ingest(uow, [json.loads(json.dumps(event))])
        assert [item.result for item in outcome.items] == [IngestResult.ACCEPTED], outcome

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        reply = self.api.get(path, params=params, headers=self.caller.headers)
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.json()
        return body

    def month(self) -> Period:
        with self.database.system(is_read_only=True) as uow:
            return Period.month_of(uow.now)

    def rate(self, period: Period | None = None, cutoff: Any = None) -> RatedPeriod:
        with self.database.tenant(self.tenant_id, is_read_only=True) as uow:
            return service.rate_period(uow, self.tenant_id, period or Period.month_of(uow.now), cutoff)

    def move_to_next_month(self) -> None:
        ahead = self.month().end + timedelta(hours=30) - datetime.now(UTC)
        with self.database.system() as uow:
            move_clock(uow, self.settings, int(ahead / timedelta(seconds=1)))

    def check_budgets(self) -> list[Any]:
        with self.database.system() as uow:
            return service.check_budgets(uow, self.tenant_id)

    def topics(self) -> list[str]:
        with self.database.system(is_read_only=True) as uow:
            query = "SELECT topic FROM outbox_event WHERE topic LIKE 'budget.%' ORDER BY position"
            return list(uow.session.scalars(text(query)))


@pytest.fixture
def rig(admin: TestClient, database: Database, settings: Settings) -> Rig:
    return Rig(admin, database, settings, sign_up(admin))


class TestPrices:
    def test_prices_never_change(self, rig: Rig, database_urls: DatabaseUrls) -> None:
        owner = create_engine(normalise_url(database_urls.owner))
        for statement in (
            "UPDATE price_version SET valid_to = now() + interval '1 year'",
            "DELETE FROM price_version",
        ):
            with (
                pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
                rig.database.system() as uow,
            ):
                uow.session.execute(text(statement))
            with (
                pytest.raises(sqlalchemy.exc.IntegrityError, match="append-only"),
                owner.begin() as connection,
            ):
                connection.execute(text(statement))
        owner.dispose()

    def test_concurrent_versions_never_overlap(self, rig: Rig) -> None:
        start = (datetime.now(UTC) + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
        body = {
            "sku": "tokens.input", "model": "PER_UNIT", "base_quantity": "1000000", "tiers": [{"unit_price": "0.30"}],
        }  # fmt: skip

        def post(n: int) -> int:
            begins, ends = start + timedelta(hours=n), start + timedelta(hours=n + 5)
            given = {**body, "valid_from": begins.isoformat(), "valid_to": ends.isoformat()}
            return rig.api.post("/v1/admin/price_versions", json=given).status_code

        with ThreadPoolExecutor(4) as pool:
            codes = list(pool.map(post, range(8)))
        assert set(codes) == {201, 409}
        listed = rig.api.get("/v1/admin/price_versions").json()["price_versions"]
        ours = sorted((v["valid_from"], v["valid_to"]) for v in listed if v["valid_to"] is not None)
        assert len(ours) == codes.count(201)
        assert all(end <= following for (_, end), (following, _) in itertools.pairwise(ours))

    def test_a_price_that_cannot_be_billed_is_refused_with_its_field(self, rig: Rig) -> None:
        body = {
            "sku": "tokens.input", "model": "PER_UNIT", "tiers": [{"unit_price": "0.0000002"}],
            "valid_from": "2030-01-01T00:00:00Z",
        }  # fmt: skip
        reply = rig.api.post("/v1/admin/price_versions", json=body)
        assert reply.status_code == 422
        assert "BT-149" in reply.json()["errors"][0]["message"]
        floats = {**body, "tiers": [{"unit_price": 0.2}]}
        assert rig.api.post("/v1/admin/price_versions", json=floats).status_code == 422
        assert (
            rig.api.post("/v1/admin/price_versions", json=body, headers=rig.caller.headers).status_code == 403
        )

    def test_a_sku_sells_usage_that_no_other_sells(self, rig: Rig) -> None:
        body = {
            "code": "x",
            "description_fr": "x",
            "description_en": "x",
            "meter": "input_tokens",
            "unit": "token",
        }
        assert rig.api.post("/v1/admin/skus", json=body).status_code == 409
        assert rig.api.post("/v1/admin/skus", json={**body, "meter": "steps"}).status_code == 422
        assert rig.api.post("/v1/admin/skus", json={**body, "matches": {"colour": "red"}}).status_code == 422
        assert rig.api.post("/v1/admin/skus", json={**body, "matches": {"model": "big"}}).status_code == 201


class TestCosts:
    def test_live_cost_is_what_would_be_billed(self, rig: Rig) -> None:
        rig.use(2_000_000, 500_000)
        rig.use(500_000, service_id="svc_b")
        cost = rig.get("/v1/costs", group_by="service")["cost"]
        assert (cost["net"], cost["due"], cost["problems"]) == ("0.80", "0.80", [])
        assert {group["key"]: group["exact_amount"] for group in cost["groups"]} == {
            "svc_a": "0.70",
            "svc_b": "0.10",
        }
        rated = rig.rate()
        assert cost["rating_hash"] == rated.rating_hash
        assert [(line["sku"], line["net"]) for line in cost["lines"]] == [
            (line.sku, text_of(line.net_minor)) for line in rated.lines
        ]

    def test_a_preview_prices_a_wish_by_the_same_rules(self, rig: Rig) -> None:
        wish = {"usage": [{"meter": "input_tokens", "quantity": "10000000"}], "plan": "pro"}
        reply = rig.api.post("/v1/costs/preview", json=wish, headers=rig.caller.headers)
        assert reply.status_code == 200, reply.text
        lines = {line["sku"]: (line["unit_price"], line["net"]) for line in reply.json()["cost"]["lines"]}
        assert lines == {"tokens.input": ("0.18", "1.80"), "plan.pro": ("49.00", "49.00")}
        unknown = rig.api.post("/v1/costs/preview", json={"plan": "none"}, headers=rig.caller.headers)
        assert unknown.status_code == 404

    def test_a_key_of_a_project_sees_that_project_alone(self, rig: Rig) -> None:
        made = rig.api.post("/v1/projects", json={"name": "other"}, headers=rig.caller.headers)
        assert made.status_code == 201, made.text
        other = make_key(rig.api, rig.caller, project_id=made.json()["project"]["id"])
        rig.use(5_000_000)
        reply = rig.api.get("/v1/costs", headers={"Authorization": f"Bearer {other['secret']}"})
        assert (reply.status_code, reply.json()["cost"]["lines"]) == (200, [])

    def test_a_plan_counts_from_its_hour(self, rig: Rig) -> None:
        path = f"/v1/admin/organizations/{rig.caller.organization_id}/plan"
        first = rig.api.put(path, json={"plan": "pro"})
        assert first.status_code == 200, first.text
        assert datetime.fromisoformat(first.json()["tenant_plan"]["valid_from"]) == rig.month().start
        assert rig.get("/v1/costs")["cost"]["net"] == "49.00"
        past = rig.api.put(path, json={"plan": "payg", "valid_from": rig.month().start.isoformat()})
        assert past.status_code == 422
        assert rig.get("/v1/plan")["tenant_plan"]["plan"]["code"] == "pro"


class TestBilling:
    def test_a_late_call_becomes_a_correction_and_only_once(self, rig: Rig) -> None:
        rig.use(3_000_000)
        october = rig.month()
        seen = rig.month().end - timedelta(seconds=1)
        rig.move_to_next_month()
        with rig.database.system() as uow:
            frozen = metering.freeze_period(uow, rig.tenant_id, october)
        with rig.database.system() as uow:
            rated = service.rate_period(uow, rig.tenant_id, october, frozen.cutoff_batch_id)
            service.book_period(uow, rated)
            service.book_period(uow, rated)
        rig.use(2_000_000, at=min(seen, datetime.now(UTC)))
        assert rig.rate(october, frozen.cutoff_batch_id).lines == rated.lines
        with rig.database.system() as uow:
            move_clock(uow, rig.settings, 0)
        rig.move_to_next_month()
        with rig.database.system() as uow:
            ahead = Period.month_of(uow.now).end + timedelta(hours=1) - datetime.now(UTC)
            move_clock(uow, rig.settings, int(ahead / timedelta(seconds=1)))
        november = Period.month_of(october.end)
        with rig.database.system() as uow:
            later = metering.freeze_period(uow, rig.tenant_id, november)
        with rig.database.system() as uow:
            [correction] = service.rate_corrections(uow, rig.tenant_id, later.cutoff_batch_id)
            [line] = correction.lines
            assert (line.is_correction, line.quantity, line.net_minor) == (True, 2_000_000, 40)
            assert line.charge_period == october
            service.book_period(uow, correction)
        with rig.database.system() as uow:
            assert service.rate_corrections(uow, rig.tenant_id, later.cutoff_batch_id) == ()
            # An older document that is tried again takes nothing back of what a later one billed.
            assert service.rate_corrections(uow, rig.tenant_id, frozen.cutoff_batch_id) == ()

    def test_a_credit_is_spent_once(self, rig: Rig) -> None:
        begins = rig.month().start
        with rig.database.system() as uow:
            service.grant_credit(
                uow, rig.tenant_id, kind=CreditKind.PROMOTIONAL, label="Bienvenue", amount_minor=50, priority=1,
                effective_from=begins, expires_at=begins + timedelta(days=90), actor="test",
            )  # fmt: skip
        rig.use(10_000_000)
        rated = rig.rate()
        assert (rated.net_minor, rated.credit_minor) == (200, 50)
        with rig.database.system() as uow:
            service.book_period(uow, rated)
        assert [credit["left"] for credit in self._credits(rig)] == ["0.00"]
        other = replace(
            rated, rating_hash="0" * 64, period=Period(rated.period.end, rated.period.end + timedelta(days=1))
        )
        with pytest.raises(Conflict, match="spent meanwhile"), rig.database.system() as uow:
            service.book_period(uow, other)
        again = replace(rated, rating_hash="1" * 64, credits=())
        with pytest.raises(Conflict, match="billed already"), rig.database.system() as uow:
            service.book_period(uow, again)

    def test_prepaid_credit_is_refused_where_it_is_given(self, rig: Rig) -> None:
        """It is a deposit: only a paid deposit invoice makes it, and only once."""

        def grant(deposit_id: UUID | None) -> None:
            with rig.database.system() as uow:
                service.grant_credit(
                    uow, rig.tenant_id, kind=CreditKind.PREPAID, label="avance", amount_minor=50, priority=1,
                    effective_from=None, expires_at=None, actor="test", deposit_id=deposit_id,
                )  # fmt: skip

        with pytest.raises(InvalidInput) as refused:
            grant(None)
        assert "deposit invoice" in refused.value.fields[0].message
        deposit_id = uuid4()
        grant(deposit_id)
        with pytest.raises(sqlalchemy.exc.IntegrityError, match="uq_credit_grant_deposit_id"):
            grant(deposit_id)

    def _credits(self, rig: Rig) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = rig.get("/v1/credits")["credits"]
        return found


class TestBudgets:
    def put(self, rig: Rig, etag: str | None = None, **body: Any) -> Any:
        headers = dict(rig.caller.headers) | ({} if etag is None else {"If-Match": etag})
        return rig.api.put("/v1/budgets", json=body, headers=headers)

    def test_a_budget_is_changed_only_by_who_knows_it(self, rig: Rig) -> None:
        first = self.put(rig, amount="10.00")
        assert (first.status_code, first.headers["ETag"]) == (200, '"1"')
        assert self.put(rig, amount="20.00").status_code == 409
        assert self.put(rig, '"7"', amount="20.00").status_code == 412
        assert self.put(rig, '"1"', amount="20.00").json()["budget"]["version"] == 2
        assert self.put(rig, amount="0.05", project_id="prj_" + "0" * 26).status_code == 404
        assert self.put(rig, amount="0.05", project_id=rig.caller.project_id).status_code == 200
        assert [b["project_id"] for b in rig.get("/v1/budgets")["budgets"]] == [None, rig.caller.project_id]

    def test_an_alert_fires_once_under_many_workers(self, rig: Rig) -> None:
        self.put(rig, amount="1.00")
        rig.use(4_500_000)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: rig.check_budgets(), range(16)))
        assert rig.topics() == ["budget.changed", "budget.threshold_reached", "budget.threshold_reached"]
        rig.use(500_000)
        assert [budget.amount_minor for budget in rig.check_budgets()] == [100]
        rig.check_budgets()
        assert rig.topics()[3:] == ["budget.exceeded"]
        alerts = rig.get("/v1/budgets")["alerts"]
        assert [(alert["threshold_percent"], alert["cost"]) for alert in alerts] == [
            (50, "0.90"),
            (80, "0.90"),
            (100, "1.00"),
        ]

    def test_gateways_learn_who_is_past_a_hard_budget_and_who_is_not_any_more(self, rig: Rig) -> None:
        context = Context(rig.settings, rig.database, connect(rig.settings.redis_url), Clusters(None))
        [publish] = consumers(context)
        assert publish.effect is not None

        def state() -> dict[str, Any]:
            assert publish.effect is not None
            publish.effect(Event(None, "tick", None, {}, datetime.now(UTC)))  # type: ignore[arg-type]
            found: dict[str, Any] = json.loads(context.redis.get(BUDGETS_KEY))  # type: ignore[arg-type]
            return found

        self.put(rig, amount="1.00")
        self.put(rig, amount="0.50", project_id=rig.caller.project_id, is_hard=False)
        rig.use(4_900_000)
        before = state()
        assert (before["exhausted_tenants"], before["exhausted_projects"]) == ([], [])
        # Theirs are the calls that wait when budgets are not known.
        assert (before["hard_tenants"], before["hard_projects"]) == ([rig.caller.organization_id], [])
        rig.use(100_000)
        after = state()
        assert after["exhausted_tenants"] == [rig.caller.organization_id]
        assert after["exhausted_projects"] == []
        assert after["version"] > before["version"]
        self.put(rig, '"1"', amount="1.01")
        assert state()["exhausted_tenants"] == []
