"""No field that a tenant may write changes its VAT without proof."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.audit import service as audit
from controlplane.invoicing import service
from controlplane.invoicing.domain import Invoice
from controlplane.invoicing.tasks import retry_waiting
from controlplane.kernel.ids import TenantId
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import Address, BillingParty
from tests.fixtures.billing import Billing

HOME: dict[str, Any] = {
    "line1": "1 rue du Test",
    "postal_code": "91120",
    "city": "Palaiseau",
    "country": "FR",
}


def sell(billing: Billing, tenant_id: TenantId) -> Invoice:
    with billing.database.system(tenant_id) as uow:
        return service.sell_deposit(uow, tenant_id, 10_000, "test")


def move(billing: Billing, tenant_id: TenantId, postal: str, **changes: Any) -> None:
    """As the tenant's PATCH does."""
    with billing.database.system(tenant_id) as uow:
        tenant = tenancy.get_tenant(uow, tenant_id)

        def change(party: BillingParty) -> BillingParty:
            address = Address("1 rue", "", postal, "Ville", changes.get("country", "FR"))
            return BillingParty(
                party.legal_name, changes.get("country", "FR"), changes.get("siren", party.siren),
                changes.get("vat_id"), address,
            )  # fmt: skip

        tenancy.change_billing_party(uow, tenant_id, change, expected_version=tenant.version, actor="test")


@pytest.mark.case("M8")
@pytest.mark.parametrize(
    ("postal", "tax", "case"),
    [
        ("97150", 0, "7-fr-third-territory-business"),
        ("97133", 0, "7-fr-third-territory-business"),
        ("97100", 850, "3-fr-overseas-business"),
        ("97300", 0, "5-fr-untaxed-overseas-business"),
    ],
)
def test_a_deposit_bears_the_vat_of_its_place(billing: Billing, postal: str, tax: int, case: str) -> None:
    sold = sell(billing, billing.sign_up(address={**HOME, "postal_code": postal}))
    assert sold.vat is not None
    assert (sold.is_issued, sold.totals.tax_minor, sold.vat.case) == (True, tax, case)


@pytest.mark.case("M7")
@pytest.mark.parametrize(
    "changes",
    [
        {"postal": "97300"},
        {"postal": "97400"},
        {"postal": "98800"},
        {"postal": "97150"},
        {"postal": "10118", "country": "US", "siren": None, "vat_id": "12-3456789"},
    ],
    ids=lambda one: one["postal"],
)
def test_a_customer_cannot_change_its_vat_by_its_address(billing: Billing, changes: dict[str, Any]) -> None:
    tenant_id = billing.sign_up()
    move(billing, tenant_id, **changes)
    held = sell(billing, tenant_id)
    assert (held.state, held.number) == ("HELD", None)
    assert held.hold is not None
    assert held.hold.code == "vat_place_unapproved"
    assert retry_waiting(billing.database) == 0
    # Back where it was shown to be, nothing needs an approval.
    move(billing, tenant_id, "75001", siren="732829320")
    assert retry_waiting(billing.database) == 1


@pytest.mark.case("M7")
def test_a_ready_draft_is_held_when_the_customer_moves_before_the_issue(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    billing.use(tenant_id)
    billing.end_month()
    draft = billing.invoice(tenant_id, is_issuing=False)
    move(billing, tenant_id, "97300")
    with billing.database.system() as uow:
        held = service.issue(uow, draft.id)
    assert held.hold is not None
    assert held.hold.code == "vat_place_unapproved"


@pytest.mark.case("M7")
def test_an_approved_move_lets_the_invoices_go_on(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    move(billing, tenant_id, "97300")
    held = sell(billing, tenant_id)
    path = f"/v1/admin/organizations/{tenant_id}/tax_zone/approve"
    assert billing.api.post(path, json={}, headers=billing.admin).status_code == 422
    told = billing.api.post(path, json={"reason": "SIRET seen, Cayenne"}, headers=billing.admin)
    assert told.status_code == 200, told.text
    assert retry_waiting(billing.database) == 1
    with billing.database.system(is_read_only=True) as uow:
        issued = service.get_invoice(uow, held.id, None)
        noted = [one for one in audit.list_records(uow, tenant_id) if one.action == "tax_zone.approved"]
    assert (issued.is_issued, issued.totals.tax_minor) == (True, 0)
    assert [(one.detail["before"], one.detail["zone"]) for one in noted] == [("FR", "FR-UNTAXED")]
