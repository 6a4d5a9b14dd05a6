"""Prepaid credit from its sale to the invoice that deducts it, on real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

from controlplane.invoicing import service
from controlplane.invoicing.domain import Invoice, InvoiceKind, InvoiceState, VatIdStatus
from controlplane.invoicing.tasks import check_vat_id, retry_waiting
from controlplane.invoicing.vies import RecordedVatIdChecker
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.ledger import service as ledger
from controlplane.payments import service as payments
from controlplane.rating import service as rating
from tests.fixtures.billing import Billing

GERMAN = {
    "legal_name": "Rechner GmbH", "country": "DE", "siren": None, "vat_id": "DE123456788",
    "address": {"line1": "Unter den Linden 1", "postal_code": "10117", "city": "Berlin", "country": "DE"},
}  # fmt: skip


def sell(billing: Billing, tenant_id: TenantId, net: str = "5.00") -> Invoice:
    """Through the platform's door."""
    answer = billing.api.post(
        f"/v1/admin/organizations/{tenant_id}/deposits",
        json={"net": net, "label": "Crédit 2027"},
        headers=billing.admin,
    )
    assert answer.status_code == 201, answer.text
    with billing.database.system(is_read_only=True) as uow:
        [sold] = [
            one
            for one in service.list_invoices(uow, tenant_id=tenant_id, after=None, limit=9).items
            if str(one.id) == answer.json()["invoice"]["id"]
        ]
    return sold


def pay(billing: Billing, tenant_id: TenantId, amount_minor: int, reference: str) -> None:
    with billing.database.system(tenant_id) as uow:
        today = ledger.today(uow)
        payments.receive_payment(uow, tenant_id, amount_minor, today, bank_reference=reference)


def balance(billing: Billing, account: str, tenant_id: TenantId | None = None) -> int:
    with billing.database.system(is_read_only=True) as uow:
        assert sum(one.minor for one in ledger.list_balances(uow)) == 0
        return ledger.get_balance(uow, account, tenant_id)


def list_left(billing: Billing, tenant_id: TenantId) -> list[int]:
    with billing.database.system(is_read_only=True) as uow:
        return [grant.left_minor for grant in rating.list_grants(uow, tenant_id)]


def test_a_deposit_is_sold_paid_and_deducted(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    sold = sell(billing, tenant_id)
    assert (sold.kind, sold.state, sold.totals.gross_minor) == (InvoiceKind.DEPOSIT, InvoiceState.ISSUED, 600)
    assert (sold.number or "").endswith("-000001")
    assert list_left(billing, tenant_id) == []
    # VAT on a deposit is due with its payment; credit is there once it is paid in full.
    pay(billing, tenant_id, 300, "bank/1")
    assert (balance(billing, "44571"), list_left(billing, tenant_id)) == (-50, [])
    pay(billing, tenant_id, 300, "bank/2")
    assert (balance(billing, "44571"), list_left(billing, tenant_id)) == (-100, [500])
    assert (balance(billing, "4191", tenant_id), balance(billing, "706")) == (-500, 0)

    billing.use(tenant_id, calls=1)
    billing.end_month()
    first = billing.invoice(tenant_id)
    # 2.60 € of usage, all of it paid for.
    assert (first.state, first.billing_mode) == (InvoiceState.ISSUED, "S4")
    assert (first.totals.net_minor, first.totals.gross_minor) == (0, 0)
    assert [one.number for one in first.deposits] == [sold.number]
    assert (balance(billing, "4191", tenant_id), balance(billing, "706")) == (-240, -260)

    billing.month = Period.month_of(billing.month.end)
    billing.end_month()
    billing.use(tenant_id, at=billing.month.start + timedelta(days=1))
    second = billing.invoice(tenant_id)
    # 7.80 € of usage less the 2.40 € that were left; VAT on the 5.40 € that remain.
    assert (second.totals.net_minor, second.totals.tax_minor) == (540, 108)
    assert list_left(billing, tenant_id) == [0]
    assert (balance(billing, "4191", tenant_id), balance(billing, "706")) == (0, -1_040)
    assert balance(billing, "411", tenant_id) == 648
    pay(billing, tenant_id, 648, "bank/3")
    # All VAT that was ever shown was collected: 1.00 € on the deposit, 1.08 € on the remainder.
    assert (balance(billing, "44571"), balance(billing, "44574")) == (-208, 0)


def test_a_deposit_waits_for_its_vat_proof_like_an_invoice(billing: Billing) -> None:
    tenant_id = billing.sign_up(**GERMAN)
    held = sell(billing, tenant_id)
    assert held.hold is not None
    assert (held.state, held.hold.code, held.number) == (InvoiceState.HELD, "vat_id_unchecked", None)
    yes = RecordedVatIdChecker({"DE123456788": VatIdStatus.VALID})
    check_vat_id(billing.database, yes, tenant_id, "DE123456788")
    assert retry_waiting(billing.database) == 1
    with billing.database.system(is_read_only=True) as uow:
        sold = service.get_invoice(uow, held.id, tenant_id)
    assert (sold.state, sold.totals.net_minor, sold.totals.tax_minor) == (InvoiceState.ISSUED, 500, 0)


def test_prepaid_credit_is_refused_at_the_door_where_credit_is_given(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    answer = billing.api.post(
        f"/v1/admin/organizations/{tenant_id}/credits",
        json={"kind": "PREPAID", "label": "avance", "amount": "1.00"},
        headers=billing.admin,
    )
    assert answer.status_code == 422
    assert "deposit invoice" in answer.json()["errors"][0]["message"]
    unsaleable = billing.api.post(
        f"/v1/admin/organizations/{tenant_id}/deposits",
        json={"net": "0", "label": "x"},
        headers=billing.admin,
    )
    assert unsaleable.status_code == 422
