"""Earlier months that cost less now than was billed: credit notes, never an invoice below zero."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from controlplane.invoicing import service
from controlplane.invoicing.domain import Invoice, InvoiceKind, InvoiceState
from controlplane.invoicing.numbering_rules import parse_number
from controlplane.invoicing.tasks import retry_waiting
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.ledger import service as ledger
from tests.fixtures.billing import Billing
from tests.fixtures.usage import gpu_event, send

HOUR = timedelta(hours=1)
# An H100 costs 2.90 € an hour in the standard book: five hours were billed, one was real.
BILLED, REDUCED = 1_450, 1_160


@dataclass(slots=True)
class Story:
    """A tenant that was billed for a GPU of which the cell now says that it ended earlier."""

    billing: Billing
    tenant_id: TenantId
    first: Invoice
    month: Period

    def report(self, phase: str, hours: int) -> None:
        report_gpu(self.billing, self.tenant_id, self.month, phase, hours)

    def next_month(self) -> None:
        self.billing.month = Period.month_of(self.billing.month.end)
        self.billing.end_month()

    def balance(self, account: str, tenant_id: TenantId | None = None) -> int:
        with self.billing.database.system(is_read_only=True) as uow:
            assert sum(one.minor for one in ledger.list_balances(uow)) == 0
            return ledger.get_balance(uow, account, tenant_id)


def report_gpu(billing: Billing, tenant_id: TenantId, month: Period, phase: str, hours: int) -> None:
    opened = month.end - 10 * HOUR
    event = gpu_event(str(tenant_id), billing.projects[tenant_id], phase, opened, opened + hours * HOUR)
    event["data"]["sku"] = "nvidia-h100"
    assert send(billing.api, billing.producer, [event])["accepted"] == 1


@pytest.fixture
def story(billing: Billing) -> Story:
    tenant_id = billing.sign_up()
    month = billing.month
    billing.end_month()
    report_gpu(billing, tenant_id, month, "open", 1)
    report_gpu(billing, tenant_id, month, "beat", 5)
    first = billing.invoice(tenant_id)
    assert (first.is_issued, first.totals.net_minor) == (True, BILLED)
    return Story(billing, tenant_id, first, month)


def test_a_month_that_costs_less_becomes_a_credit_note(story: Story) -> None:
    billing = story.billing
    story.report("close", 1)
    story.next_month()
    closed = billing.close(story.tenant_id)
    assert closed.invoice is None
    [note] = closed.credit_notes
    assert (note.kind, note.state, note.totals.net_minor) == (
        InvoiceKind.CREDIT_NOTE,
        InvoiceState.ISSUED,
        REDUCED,
    )
    assert note.preceding is not None
    assert (note.preceding.number, note.preceding.issued_on) == (story.first.number, story.first.issued_on)
    assert all(
        story.first.number in line.name and line.quantity > 0 for line in note.lines if story.first.number
    )
    with billing.database.system(is_read_only=True) as uow:
        prefix, year, _ = parse_number(note.number or "")
        assert service.find_gap(uow, prefix, year) == 0
    assert story.balance("706") == -(BILLED - REDUCED)
    assert story.balance("411", story.tenant_id) == story.first.totals.gross_minor - note.totals.gross_minor
    again = billing.close(story.tenant_id)
    assert (again.is_new, again.credit_notes) == (False, (note,))
    story.next_month()
    later = billing.close(story.tenant_id)
    assert (later.invoice, later.credit_notes) == (None, ())


def test_the_months_own_usage_is_invoiced_beside_the_credit_note(story: Story) -> None:
    """The reduction is more than the month's usage, and the invoice shows the usage all the same."""
    billing = story.billing
    story.report("close", 1)
    story.next_month()
    billing.use(story.tenant_id, calls=1, at=billing.month.start + timedelta(days=2))
    closed = billing.close(story.tenant_id, is_issuing=False)
    [note] = closed.credit_notes
    assert closed.invoice is not None
    assert [closed.invoice.state, note.state] == [InvoiceState.READY, InvoiceState.READY]
    assert (closed.invoice.totals.net_minor, note.totals.net_minor) == (260, REDUCED)
    assert not any(line.is_correction for line in closed.invoice.lines)
    with billing.database.system() as uow:
        # Either may be issued first: they correct different months.
        issued = [service.issue(uow, one.id) for one in (note, closed.invoice)]
    assert all(one.is_issued for one in issued)
    assert story.balance("706") == -(BILLED - REDUCED + 260)


def test_a_reduction_of_what_was_given_back_is_held(story: Story) -> None:
    """A person gave the invoice back already: the credit note waits, and the next close draws it up again."""
    billing = story.billing
    with billing.database.system() as uow:
        service.credit_note(uow, story.first.id, [(1, 1_000)], "Geste")
    story.report("close", 1)
    story.next_month()
    [held] = billing.close(story.tenant_id).credit_notes
    assert held.hold is not None
    assert (held.state, held.hold.code) == (InvoiceState.HELD, "credit_exceeds_invoice")
    assert retry_waiting(billing.database) == 0
    story.next_month()
    [again] = billing.close(story.tenant_id).credit_notes
    assert (again.id, again.state) == (held.id, InvoiceState.HELD)
    assert story.balance("411", story.tenant_id) == story.first.totals.gross_minor - 1_200


def test_a_reduction_that_was_drafted_only_is_drawn_up_again_with_what_came_since(story: Story) -> None:
    billing = story.billing
    story.report("close", 3)
    story.next_month()
    [draft] = billing.close(story.tenant_id, is_issuing=False).credit_notes
    assert (draft.state, draft.totals.net_minor) == (InvoiceState.READY, 580)
    event_of_truth = gpu_event(
        str(story.tenant_id), billing.projects[story.tenant_id], "close", story.month.end - 10 * HOUR,
        story.month.end - 9 * HOUR, sequence=1,
    )  # fmt: skip
    event_of_truth["data"]["sku"] = "nvidia-h100"
    assert send(billing.api, billing.producer, [event_of_truth])["accepted"] == 1
    story.next_month()
    [note] = billing.close(story.tenant_id).credit_notes
    assert (note.id, note.totals.net_minor) == (draft.id, REDUCED)
