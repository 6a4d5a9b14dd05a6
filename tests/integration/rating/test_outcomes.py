"""What a failed call costs: nothing, and the price list says so."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.metering import service as metering
from controlplane.metering.outcome_rules import BILLED_CALLS_EN, BILLED_CALLS_FR
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.rating import service as rating
from tests.fixtures.billing import make_billing
from tests.fixtures.tenants import sign_up
from tests.fixtures.usage import request_event, send


@pytest.mark.case("M21")
def test_failed_calls_are_shown_and_never_billed(
    api: TestClient, database: Database, settings: Settings
) -> None:
    billing = make_billing(api, database, settings)
    tenant_id = billing.sign_up()
    project = billing.projects[tenant_id]
    tokens = {"input_tokens": 1_000_000, "output_tokens": 500_000}
    failed = [
        request_event(str(tenant_id), project, status=status, **tokens)
        for status in (0, 400, 401, 404, 429, 499, 500, 503)
    ]
    good = [
        request_event(str(tenant_id), project, status=200, **tokens),
        request_event(str(tenant_id), project, status=200, is_disconnected=True, **tokens),
    ]
    # Who left with status 499 after half a million tokens had been produced pays for them.
    assert send(api, billing.producer, [*failed, *good])["accepted"] == 10
    with database.system(tenant_id, is_read_only=True) as uow:
        rated = rating.rate_period(uow, tenant_id, billing.month, None)
        assert metering.find_drift(uow, tenant_id, billing.month) is None
    assert {line.sku: line.quantity for line in rated.lines} == {
        "tokens.input": 3_000_000,
        "tokens.output": 1_500_000,
    }
    assert rated.problems == ()
    with database.system(tenant_id, is_read_only=True) as uow:
        totals = metering.list_totals(uow, tenant_id, billing.month, None, granularity="total", group_by=())
    shown = {total.meter: int(total.quantity) for total in totals}
    assert (shown["unbilled_input_tokens"], shown["unbilled_output_tokens"]) == (7_000_000, 3_500_000)
    assert (shown["requests"], shown["failed_requests"]) == (2, 8)

    # As summed by a version that billed every call: what was billed then stays, and is no damage.
    with database.system() as uow:
        uow.session.execute(
            text("UPDATE usage_hourly SET meter = 'input_tokens', service_id = 'before' WHERE meter = :free"),
            {"free": "unbilled_input_tokens"},
        )
    with database.system(tenant_id, is_read_only=True) as uow:
        assert metering.find_drift(uow, tenant_id, billing.month) is None


@pytest.mark.case("M21")
def test_what_is_billed_is_part_of_the_price_list(
    api: TestClient, database: Database, settings: Settings
) -> None:
    billing = make_billing(api, database, settings)
    caller = sign_up(api)
    told = api.get("/v1/prices", headers=caller.headers).json()["price_list"]
    assert (told["billed_calls_fr"], told["billed_calls_en"]) == (BILLED_CALLS_FR, BILLED_CALLS_EN)
    # And nothing else can be sold later.
    sku = {
        "code": "errors", "description_fr": "Erreurs", "description_en": "Errors", "unit": "token", "matches": {},
    }  # fmt: skip
    for meter in ("failed_requests", "unbilled_input_tokens", "unbilled_output_tokens"):
        refused = api.post("/v1/admin/skus", json={**sku, "meter": meter}, headers=billing.admin)
        assert refused.status_code == 422, refused.text
