"""No document names a company as a customer that somebody only claimed to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.entrypoints.api import create_app
from controlplane.invoicing import service
from controlplane.invoicing.tasks import retry_waiting
from controlplane.kernel.errors import Conflict
from controlplane.tenancy import service as tenancy
from tests.fixtures.billing import Billing

pytestmark = [pytest.mark.case("W7"), pytest.mark.case("X17")]
GERMAN = {
    "country": "DE",
    "siren": None,
    "vat_id": "DE136695976",
    "address": {"line1": "1 Weg", "postal_code": "10115", "city": "Berlin", "country": "DE"},
}


@pytest.fixture
def strict(billing: Billing) -> Iterator[Billing]:
    """The same, where who signs up waits for approval."""
    chosen = billing.settings.model_copy(update={"is_approval_needed": True})
    with TestClient(create_app(chosen, billing.database), base_url="http://api.test") as client:
        yield replace(billing, api=client)


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_an_invoice_waits_until_the_organization_is_approved(strict: Billing, decision: str) -> None:
    tenant_id = strict.sign_up()
    strict.use(tenant_id)
    strict.end_month()
    held = strict.invoice(tenant_id)
    assert (held.state, held.number) == ("HELD", None)
    assert held.hold is not None
    assert held.hold.code == "organization_not_approved"
    assert retry_waiting(strict.database) == 0
    with strict.database.system(tenant_id) as uow:
        if decision == "approve":
            tenancy.approve(uow, tenant_id, expected_version=1, actor="test")
        else:
            tenancy.refuse(uow, tenant_id, "No such company.", actor="test")
    assert retry_waiting(strict.database) == (1 if decision == "approve" else 0)


def test_a_ready_draft_is_not_issued_to_a_refused_organization(strict: Billing) -> None:
    """Whatever happened between draft and issue: the issue looks again."""
    tenant_id = strict.sign_up()
    with strict.database.system(tenant_id) as uow:
        tenancy.approve(uow, tenant_id, expected_version=1, actor="test")
    strict.use(tenant_id)
    strict.end_month()
    draft = strict.invoice(tenant_id, is_issuing=False)
    assert draft.state == "READY"
    with strict.database.system(tenant_id) as uow:
        uow.session.execute(
            text("UPDATE tenant SET status = 'REFUSED' WHERE tenant_id = :t"), {"t": tenant_id.value}
        )
        held = service.issue(uow, draft.id)
    assert held.hold is not None
    assert held.hold.code == "organization_not_approved"


def test_nothing_is_sold_in_advance_to_who_waits(strict: Billing) -> None:
    tenant_id = strict.sign_up()
    with strict.database.system(tenant_id) as uow, pytest.raises(Conflict, match="approve it before"):
        service.sell_deposit(uow, tenant_id, 10_000, "test")
    with strict.database.system(tenant_id) as uow:
        tenancy.approve(uow, tenant_id, expected_version=1, actor="test")
        assert service.sell_deposit(uow, tenant_id, 10_000, "test").is_issued


def test_no_register_is_asked_about_a_number_that_a_stranger_gave(strict: Billing) -> None:
    tenant_id = strict.sign_up(**GERMAN)
    strict.use(tenant_id)
    strict.end_month()
    strict.invoice(tenant_id)
    with strict.database.system() as uow:
        asked = uow.session.scalar(text("SELECT count(*) FROM outbox_event WHERE topic = 'vat_check.wanted'"))
    assert asked == 0
