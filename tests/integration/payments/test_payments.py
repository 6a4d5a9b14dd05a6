"""Money on real PostgreSQL: recorded once, matched, booked, lettered."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice
from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.ledger import service as ledger
from controlplane.payments import service
from controlplane.payments.domain import Receipt
from tests.fixtures.billing import Billing

# One month of the fixture's usage, VAT included.
GROSS, VAT = 936, 156


@pytest.fixture
def invoice(billing: Billing) -> Invoice:
    tenant_id = billing.sign_up()
    billing.use(tenant_id)
    billing.end_month()
    issued = billing.invoice(tenant_id)
    assert (issued.totals.gross_minor, issued.totals.tax_minor) == (GROSS, VAT)
    return issued


def pay(billing: Billing, tenant_id: TenantId, amount: int, reference: str = "bank/1") -> Receipt:
    with billing.database.system(tenant_id) as uow:
        today: date = ledger.today(uow)
        return service.receive_payment(uow, tenant_id, amount, today, bank_reference=reference)


def balance(billing: Billing, account: str, tenant_id: TenantId | None = None) -> int:
    with billing.database.system(is_read_only=True) as uow:
        assert sum(one.minor for one in ledger.list_balances(uow)) == 0
        return ledger.get_balance(uow, account, tenant_id)


def letters(billing: Billing, tenant_id: TenantId) -> list[str | None]:
    with billing.database.system(is_read_only=True) as uow:
        entries = ledger.list_entries(uow, after=None, limit=50, tenant_id=tenant_id).items
    return [line.letter for entry in entries for line in entry.lines if line.account == "411"]


def test_a_settled_group_has_one_letter(billing: Billing, invoice: Invoice) -> None:
    assert letters(billing, invoice.tenant_id) == [None]
    receipt = pay(billing, invoice.tenant_id, GROSS)
    assert receipt.left_minor == 0
    assert len(set(letters(billing, invoice.tenant_id))) == 1
    assert None not in letters(billing, invoice.tenant_id)
    assert balance(billing, "411", invoice.tenant_id) == 0
    assert balance(billing, "512") == GROSS


def test_vat_falls_due_with_the_money(billing: Billing, invoice: Invoice) -> None:
    assert (balance(billing, "44574"), balance(billing, "44571")) == (-VAT, 0)
    pay(billing, invoice.tenant_id, GROSS // 2)
    assert (balance(billing, "44574"), balance(billing, "44571")) == (-VAT // 2, -VAT // 2)
    assert None in letters(billing, invoice.tenant_id)
    pay(billing, invoice.tenant_id, GROSS - GROSS // 2, "bank/2")
    assert (balance(billing, "44574"), balance(billing, "44571")) == (0, -VAT)
    assert None not in letters(billing, invoice.tenant_id)


def test_the_same_line_of_the_statement_is_recorded_once(billing: Billing, invoice: Invoice) -> None:
    first = pay(billing, invoice.tenant_id, 500)
    again = pay(billing, invoice.tenant_id, 500)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.payment == first.payment
    assert again.allocations == first.allocations
    assert balance(billing, "512") == 500
    with pytest.raises(Conflict):
        pay(billing, invoice.tenant_id, 501)


def test_what_is_left_over_settles_the_next_invoice(billing: Billing, invoice: Invoice) -> None:
    tenant_id = invoice.tenant_id
    receipt = pay(billing, tenant_id, GROSS + 1_000)
    assert receipt.left_minor == 1_000
    assert balance(billing, "4191", tenant_id) == -1_000
    billing.month = Period.month_of(billing.month.end)
    billing.use(tenant_id, calls=1, at=billing.month.start + timedelta(hours=1))
    billing.end_month()
    second = billing.invoice(tenant_id)
    with billing.database.system(tenant_id) as uow:
        (made,) = service.spend_left_over(uow, tenant_id)
        assert service.spend_left_over(uow, tenant_id) == []
    assert made.amount_minor == second.totals.gross_minor
    assert balance(billing, "411", tenant_id) == 0
    assert balance(billing, "4191", tenant_id) == second.totals.gross_minor - 1_000
    assert None not in letters(billing, tenant_id)


def test_a_credit_note_and_a_payment_settle_together(billing: Billing, invoice: Invoice) -> None:
    with billing.database.system(invoice.tenant_id) as uow:
        note = invoicing.credit_note(uow, invoice.id, [(1, 100)], "Geste")
    receipt = pay(billing, invoice.tenant_id, GROSS - 120)
    assert receipt.left_minor == 0
    assert note.totals.gross_minor == 120
    assert None not in letters(billing, invoice.tenant_id)
    assert balance(billing, "44574") == 0


def test_a_whole_credit_note_is_matched_alone(billing: Billing, invoice: Invoice) -> None:
    with billing.database.system(invoice.tenant_id) as uow:
        note = invoicing.credit_note(uow, invoice.id, None, "Erreur")
        service.match_credit_note(uow, note.id)
    assert None not in letters(billing, invoice.tenant_id)


def test_money_of_tomorrow_is_not_recorded(billing: Billing, invoice: Invoice) -> None:
    with pytest.raises(InvalidInput, match="arrived"), billing.database.system() as uow:
        service.receive_payment(
            uow, invoice.tenant_id, 1, ledger.today(uow) + timedelta(days=1), bank_reference="x"
        )


def test_the_doors_say_what_is_open(billing: Billing, invoice: Invoice) -> None:
    sent = {
        "organization_id": str(invoice.tenant_id), "amount": "5.00", "bank_reference": "s/1",
        "received_on": str(invoice.issued_on),
    }  # fmt: skip
    answer = billing.api.post("/v1/admin/payments", json=sent, headers=billing.admin)
    assert answer.status_code == 201, answer.text
    assert answer.json()["settles"][0]["amount"] == "5.00"
    assert billing.api.get("/v1/payments", headers=billing.admin).status_code == 403
