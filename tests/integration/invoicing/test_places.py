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


# Where a customer may say itself that it is established, and what follows at sign-up without anybody's approval.
PLACES: list[tuple[str, dict[str, Any], bool]] = [
    ("mainland", {"postal_code": "69001"}, True),
    ("corsica", {"postal_code": "20000"}, True),
    ("guadeloupe", {"postal_code": "97100"}, False),
    ("reunion", {"postal_code": "97400"}, False),
    ("guyane", {"postal_code": "97300"}, False),
    ("mayotte", {"postal_code": "97600"}, False),
    ("saint-martin", {"postal_code": "97150"}, False),
    ("saint-barthelemy", {"postal_code": "97133"}, False),
    ("saint-pierre", {"postal_code": "97500"}, False),
    ("guadeloupe's own code", {"postal_code": "97100", "country": "GP"}, False),
    ("guyane's own code", {"postal_code": "97300", "country": "GF"}, False),
    ("new caledonia", {"postal_code": "98800", "country": "NC"}, False),
    ("united states", {"postal_code": "10118", "country": "US"}, False),
    ("united kingdom", {"postal_code": "EC1A 1BB", "country": "GB"}, False),
    ("switzerland", {"postal_code": "8001", "country": "CH"}, False),
]


def facts_of(place: dict[str, Any]) -> dict[str, Any]:
    country = place.get("country", "FR")
    own: dict[str, Any] = {"country": country, "address": {**HOME, **place}}
    return own if country in {"FR", "GP", "GF"} else {**own, "siren": None, "vat_id": "12-3456789"}


@pytest.mark.case("M7")
@pytest.mark.parametrize(("place", "is_trusted"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_a_place_with_less_vat_is_not_taken_on_trust_at_sign_up(
    billing: Billing, place: dict[str, Any], is_trusted: bool
) -> None:
    tenant_id = billing.sign_up(is_place_approved=False, **facts_of(place))
    sold = sell(billing, tenant_id)
    if is_trusted:
        assert (sold.is_issued, sold.totals.tax_minor) == (True, 2_000)
        return
    assert sold.hold is not None
    assert (sold.number, sold.hold.code) == (None, "vat_place_unapproved")
    assert retry_waiting(billing.database) == 0
    billing.approve_place(tenant_id)
    assert retry_waiting(billing.database) == 1


@pytest.mark.case("M7")
def test_who_never_showed_a_place_may_still_pay_the_full_rate(billing: Billing) -> None:
    tenant_id = billing.sign_up(is_place_approved=False, address={**HOME, "postal_code": "97300"})
    move(billing, tenant_id, "75001")
    assert sell(billing, tenant_id).totals.tax_minor == 2_000
    # The full rate, once billed, does not approve a place with less.
    move(billing, tenant_id, "97400")
    assert sell(billing, tenant_id).number is None


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
