"""Earlier months that cost more now, while the customer is taxed elsewhere: invoices of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from controlplane.invoicing import repository, service
from controlplane.invoicing.domain import Invoice, InvoiceKind, InvoiceState, PeriodClose
from controlplane.invoicing.tasks import retry_waiting
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.ledger import service as ledger
from tests.fixtures.billing import Billing
from tests.integration.invoicing.test_places import move
from tests.integration.invoicing.test_reductions import report_gpu


@dataclass(slots=True)
class Moved:
    """A customer in metropolitan France that was billed at 20 %, then moved to Réunion, which was approved."""

    billing: Billing
    tenant_id: TenantId
    first: Invoice
    month: Period

    def late(self, calls: int = 1) -> None:
        """Ten million tokens in and one out, each: 2.60 €."""
        self.billing.use(self.tenant_id, calls=calls, at=self.month.start + timedelta(days=11))

    def go(self, postal: str = "97400") -> None:
        move(self.billing, self.tenant_id, postal, siren="732829320")
        self.billing.approve_place(self.tenant_id)

    def close_next(self, *, is_using: bool = True, **options: Any) -> PeriodClose:
        self.billing.month = Period.month_of(self.billing.month.end)
        if is_using:
            self.billing.set_clock(self.billing.month.start + timedelta(days=2))
            self.billing.use(self.tenant_id, calls=1, at=self.billing.month.start + timedelta(days=1))
        self.billing.end_month()
        return self.billing.close(self.tenant_id, **options)


@pytest.fixture
def moved(billing: Billing) -> Moved:
    tenant_id = billing.sign_up()
    month = billing.month
    billing.use(tenant_id)
    billing.end_month()
    first = billing.invoice(tenant_id)
    assert (first.is_issued, first.totals.tax_minor) == (True, 156)
    return Moved(billing, tenant_id, first, month)


def assert_supplement(found: Invoice, original: Invoice, net: int, tax: int) -> None:
    assert (found.kind, found.state, found.is_issued) == (InvoiceKind.INVOICE, InvoiceState.ISSUED, True)
    assert (found.totals.net_minor, found.totals.tax_minor) == (net, tax)
    assert (found.vat, found.buyer, found.period) == (original.vat, original.buyer, original.period)
    assert found.preceding is not None
    assert (found.preceding.number, found.preceding.issued_on) == (original.number, original.issued_on)
    assert all(line.is_correction and original.number in line.name for line in found.lines if original.number)


@pytest.mark.case("M6")
def test_late_usage_bears_the_vat_of_its_month(moved: Moved) -> None:
    """Twice: the second correction follows the same invoice, not the first supplement or the customer of now."""
    billing = moved.billing
    moved.late()
    moved.go()
    closed = moved.close_next()
    assert closed.invoice is not None
    assert (closed.invoice.totals.net_minor, closed.invoice.totals.tax_minor) == (260, 22)
    assert not any(line.is_correction for line in closed.invoice.lines)
    [supplement] = closed.supplements
    assert_supplement(supplement, moved.first, 260, 52)
    assert billing.close(moved.tenant_id).supplements == (supplement,)

    moved.late(calls=2)
    moved.go("97300")
    [second] = moved.close_next(is_using=False).supplements
    assert_supplement(second, moved.first, 520, 104)
    third = moved.close_next(is_using=False)
    assert (third.invoice, third.supplements, third.credit_notes) == (None, (), ())
    with billing.database.system(is_read_only=True) as uow:
        assert sum(one.minor for one in ledger.list_balances(uow)) == 0
        assert ledger.get_balance(uow, "44574") == -(156 + 22 + 52 + 104)
        assert service.list_credit_notes(uow, moved.first) == []


@pytest.mark.case("M6")
def test_where_nothing_of_its_vat_changed_it_stays_a_line(moved: Moved) -> None:
    moved.late()
    move(moved.billing, moved.tenant_id, "69001", siren="732829320")
    closed = moved.close_next()
    assert closed.supplements == ()
    assert closed.invoice is not None
    assert (closed.invoice.totals.net_minor, closed.invoice.totals.tax_minor) == (520, 104)


@pytest.mark.case("M6")
def test_a_reduction_bears_it_too_and_a_second_company_is_another_buyer(moved: Moved) -> None:
    """Down after up: the credit note refers to the month's invoice; and a new SIREN is not billed for the old one."""
    moved.late()
    with moved.billing.database.system() as uow:
        uow.session.execute(text("UPDATE tenant SET siren = '542065479', vat_id = NULL"))
    [supplement] = moved.close_next(is_using=False).supplements
    assert_supplement(supplement, moved.first, 260, 52)
    with moved.billing.database.system() as uow:
        note = service.credit_note(uow, supplement.id, None, "Geste")
    assert (note.vat, note.buyer, note.totals.tax_minor) == (moved.first.vat, moved.first.buyer, 52)


@pytest.mark.case("M6")
def test_a_move_that_nobody_approved_holds_the_month_and_not_what_was_supplied_before(moved: Moved) -> None:
    moved.late()
    move(moved.billing, moved.tenant_id, "97400", siren="732829320")
    closed = moved.close_next()
    assert closed.invoice is not None
    assert (closed.invoice.state, [one.state for one in closed.supplements]) == ("HELD", ["ISSUED"])
    moved.billing.approve_place(moved.tenant_id)
    assert retry_waiting(moved.billing.database) == 1
    with moved.billing.database.system(is_read_only=True) as uow:
        issued = service.get_invoice(uow, closed.invoice.id, None)
    assert (issued.totals.net_minor, issued.totals.tax_minor) == (260, 22)


@pytest.mark.case("M6")
def test_a_waiting_supplement_is_drawn_up_again_and_billed_once(moved: Moved) -> None:
    moved.late()
    moved.go()
    [draft] = moved.close_next(is_issuing=False).supplements
    assert draft.state is InvoiceState.READY
    moved.late()
    closed = moved.close_next(is_using=False)
    [again] = closed.supplements
    assert (again.id, again.is_issued, again.totals.net_minor) == (draft.id, True, 520)
    # Back where it was billed, what is late is a line again.
    moved.late()
    moved.go("75001")
    last = moved.close_next(is_using=False)
    assert last.supplements == ()
    assert last.invoice is not None
    assert (last.invoice.totals.net_minor, last.invoice.totals.tax_minor) == (260, 52)


@pytest.mark.case("M6")
def test_a_held_supplement_of_what_was_billed_meanwhile_bills_nothing(moved: Moved) -> None:
    moved.late()
    moved.go()
    [draft] = moved.close_next(is_issuing=False).supplements
    move(moved.billing, moved.tenant_id, "75001", siren="732829320")
    moved.billing.approve_place(moved.tenant_id)
    closed = moved.close_next(is_using=False)
    assert closed.invoice is not None
    assert (closed.invoice.is_issued, closed.invoice.totals.net_minor) == (True, 260)
    with moved.billing.database.system() as uow:
        held = service.issue(uow, draft.id)
        assert held.hold is not None
        again = service.retry_invoice(uow, held.id)
    assert again.hold is not None
    assert (again.number, again.hold.code) == (None, "nothing_to_bill")


@pytest.mark.case("M6")
def test_the_months_own_invoice_is_found_beside_its_supplements(moved: Moved) -> None:
    moved.late()
    moved.go()
    moved.close_next()
    month = f"{moved.month.start.astimezone(PARIS):%Y-%m}"
    told = moved.billing.api.post(
        "/v1/admin/billing/close",
        json={"organization_id": str(moved.tenant_id), "period": month},
        headers=moved.billing.admin,
    ).json()
    assert (told["invoice"]["number"], told["supplements"]) == (moved.first.number, [])
    with moved.billing.database.system(is_read_only=True) as uow:
        biller = repository.find_biller(uow, moved.tenant_id, moved.month)
    assert biller is not None
    assert biller.id == moved.first.id


@pytest.mark.case("M6")
def test_up_then_down_sums_to_what_was_supplied(billing: Billing) -> None:
    """A GPU is reported longer, then shorter, after the customer moved: both ways at the VAT of its month."""
    tenant_id = billing.sign_up()
    month = billing.month
    billing.end_month()
    report_gpu(billing, tenant_id, month, "open", 1)
    report_gpu(billing, tenant_id, month, "beat", 2)
    story = Moved(billing, tenant_id, billing.invoice(tenant_id), month)
    story.go()
    report_gpu(billing, tenant_id, month, "beat", 3)
    [supplement] = story.close_next(is_using=False).supplements
    assert_supplement(supplement, story.first, 290, 58)
    report_gpu(billing, tenant_id, month, "close", 2)
    [note] = story.close_next(is_using=False).credit_notes
    assert (note.totals.net_minor, note.totals.tax_minor) == (290, 58)
    assert note.vat == story.first.vat
