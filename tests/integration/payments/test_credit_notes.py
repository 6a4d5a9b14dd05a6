"""Credit notes on paid and part-paid invoices: 411, 44571 and 44574 are right in any order, and credit can be used."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

import pytest

from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice
from controlplane.kernel.errors import Conflict
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.ledger import service as ledger
from controlplane.payments import service
from tests.fixtures.billing import Billing

MONTHS = 3
STEPS = 12


@dataclass(slots=True)
class Debt:
    """What the oracle knows of an invoice: owed and its VAT, by arithmetic alone."""

    invoice: Invoice
    left: dict[int, int]
    gross: int
    vat: int


@dataclass(slots=True)
class Story:
    billing: Billing
    tenant_id: TenantId
    debts: list[Debt]
    received: int = 0
    references: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def pay(self, amount: int, remittance: str = "") -> None:
        with self.billing.database.system(self.tenant_id) as uow:
            today: date = ledger.today(uow)
            service.receive_payment(
                uow,
                self.tenant_id,
                amount,
                today,
                bank_reference=f"in/{self.references()}",
                remittance=remittance,
            )
        self.received += amount

    def refund(self, amount: int) -> None:
        with self.billing.database.system(self.tenant_id) as uow:
            reference = f"out/{self.references()}"
            service.refund(
                uow, self.tenant_id, amount, ledger.today(uow), bank_reference=reference, actor="test"
            )
        self.received -= amount

    def credit(self, debt: Debt, lines: list[tuple[int, int]] | None) -> None:
        with self.billing.database.system(self.tenant_id) as uow:
            note = invoicing.credit_note(uow, debt.invoice.id, lines, "Geste")
            service.match_credit_note(uow, note.id)
        debt.gross -= note.totals.gross_minor
        debt.vat -= note.totals.tax_minor
        for line in note.lines:
            assert line.credited_position is not None
            debt.left[line.credited_position] -= line.net_minor

    def match(self) -> None:
        with self.billing.database.system(self.tenant_id) as uow:
            service.spend_left_over(uow, self.tenant_id)

    def balance(self, account: str) -> int:
        with self.billing.database.system(is_read_only=True) as uow:
            assert sum(one.minor for one in ledger.list_balances(uow)) == 0
            return ledger.get_balance(uow, account)

    def check(self) -> None:
        """Compare the books with what arithmetic says of these invoices and this money."""
        owed = sum(debt.gross for debt in self.debts)
        applied = min(owed, self.received)
        assert self.balance("411") == owed - applied
        assert self.balance("4191") == -(self.received - applied)
        assert self.balance("512") == self.received
        assert self.balance("44571") + self.balance("44574") == -sum(debt.vat for debt in self.debts)
        with self.billing.database.system(is_read_only=True) as uow:
            items = {item.invoice_id: item for item in service.list_items(uow, self.tenant_id)}
        due = Fraction(0)
        for debt in self.debts:
            item = items[debt.invoice.id]
            assert 0 <= item.paid_minor <= debt.gross
            assert item.open_minor == debt.gross - item.paid_minor
            due += Fraction(debt.vat * item.paid_minor, debt.gross) if debt.gross else 0
            if item.open_minor == 0:
                assert item.paid_vat_minor == debt.vat
        # VAT falls due with the money, in proportion; each part is rounded to a cent.
        assert abs(-self.balance("44571") - due) <= STEPS
        if owed <= self.received:
            assert self.balance("44574") == 0


def tell(billing: Billing) -> Story:
    tenant_id = billing.sign_up()
    debts = []
    for calls in range(1, MONTHS + 1):
        billing.use(tenant_id, calls=calls, at=billing.month.start + timedelta(hours=1))
        billing.end_month()
        invoice = billing.invoice(tenant_id)
        left = {line.position: line.net_minor for line in invoice.lines}
        debts.append(Debt(invoice, left, invoice.totals.gross_minor, invoice.totals.tax_minor))
        billing.month = Period.month_of(billing.month.end)
    return Story(billing, tenant_id, debts)


@pytest.mark.case("M5")
def test_a_credit_note_on_a_paid_invoice_takes_its_vat_from_what_fell_due(billing: Billing) -> None:
    story = tell(billing)
    first = story.debts[0]
    story.pay(first.gross, str(first.invoice.number))
    due = story.balance("44571")
    assert due == -first.vat
    with billing.database.system() as uow:
        note = invoicing.credit_note(uow, first.invoice.id, [(1, 100)], "Geste")
        entry = ledger.find_by_key(uow, f"invoice:{note.id}")
    assert entry is not None
    assert sorted((line.account, line.debit_minor, line.credit_minor) for line in entry.lines) == [
        ("411", 0, 120), ("44571", 20, 0), ("706", 100, 0),
    ]  # fmt: skip


@pytest.mark.case("M5")
def test_a_customers_credit_settles_its_next_invoice_and_both_are_lettered(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    billing.use(tenant_id)
    billing.end_month()
    first = billing.invoice(tenant_id)
    story = Story(billing, tenant_id, [])
    story.pay(first.totals.gross_minor)
    with billing.database.system() as uow:
        invoicing.credit_note(uow, first.id, [(1, 100)], "Geste")
    billing.month = Period.month_of(billing.month.end)
    billing.use(tenant_id, at=billing.month.start + timedelta(hours=1))
    billing.end_month()
    second = billing.invoice(tenant_id)
    # "À déduire de vos prochains règlements": the customer does as the credit note says.
    story.pay(second.totals.gross_minor - 120)
    shown = billing.api.get(f"/v1/admin/organizations/{tenant_id}/balances", headers=billing.admin).json()
    assert [(one["open"], one["state"]) for one in shown["invoices"]] == [("0.00", "SETTLED")] * 2
    with billing.database.system(is_read_only=True) as uow:
        entries = ledger.list_entries(uow, after=None, limit=50, tenant_id=tenant_id).items
    assert all(line.letter for entry in entries for line in entry.lines if line.account == "411")
    assert (story.balance("411"), story.balance("4191"), story.balance("44574")) == (0, 0, 0)


@pytest.mark.case("M5")
def test_a_customers_credit_can_be_paid_back_once(billing: Billing) -> None:
    story = tell(billing)
    story.pay(sum(debt.gross for debt in story.debts))
    story.credit(story.debts[0], [(1, 100)])
    path = f"/v1/admin/organizations/{story.tenant_id}/refunds"
    body = {"amount": "1.20", "paid_on": str(story.debts[0].invoice.issued_on), "bank_reference": "out/1"}
    paid = billing.api.post(path, json=body, headers=billing.admin)
    assert paid.status_code == 201, paid.text
    assert [one["amount"] for one in paid.json()["refunds"]] == ["1.20"]
    again = billing.api.post(path, json=body, headers=billing.admin)
    assert again.json() == paid.json()
    assert billing.api.post(path, json={**body, "amount": "1.00"}, headers=billing.admin).status_code == 409
    more = {**body, "bank_reference": "out/2", "amount": "0.01"}
    refused = billing.api.post(path, json=more, headers=billing.admin)
    assert refused.status_code == 409
    assert "0.00" in refused.json()["detail"]
    story.received -= 120
    story.check()


@pytest.mark.case("M5")
@pytest.mark.parametrize("seed", range(5))
def test_the_books_agree_with_arithmetic_after_any_payments_and_credit_notes(
    billing: Billing, seed: int
) -> None:
    chance = random.Random(seed)
    story = tell(billing)
    story.check()
    for _ in range(STEPS):
        debt = chance.choice(story.debts)
        deed = chance.choice(["pay", "pay", "settle", "part", "part", "whole", "refund"])
        if deed == "pay":
            story.pay(chance.randrange(1, 900), chance.choice(["", str(debt.invoice.number)]))
        if deed == "settle" and debt.gross:
            story.pay(debt.gross, str(debt.invoice.number))
        if deed == "part":
            position = chance.choice(sorted(debt.left))
            if debt.left[position] > 1:
                story.credit(debt, [(position, chance.randrange(1, debt.left[position]))])
        if deed == "whole" and all(debt.left[line.position] == line.net_minor for line in debt.invoice.lines):
            story.credit(debt, None)
        left = -story.balance("4191")
        if deed == "refund" and left:
            story.refund(chance.randrange(1, left + 1))
        story.match()
        story.check()
    with pytest.raises(Conflict):
        story.refund(-story.balance("4191") + 1)
    missing = sum(debt.gross for debt in story.debts) - story.received
    if missing > 0:
        story.pay(missing)
        story.check()
