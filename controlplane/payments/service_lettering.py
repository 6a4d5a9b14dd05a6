"""Lettrage: groups of invoices, credit notes and payments that cancel out get their letter in the books."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.ledger import service as ledger
from controlplane.ledger.domain import Accounts, JournalEntryId
from controlplane.payments import repository
from controlplane.payments.domain import AllocationId, PaymentId
from controlplane.payments.service_items import INVOICES_MAX, items_of
from controlplane.plumbing.database import UnitOfWork


def letter_groups(uow: UnitOfWork, tenant_id: TenantId, invoice_ids: Sequence[InvoiceId]) -> None:
    """Match in the books (lettrage) each group of invoices, credit notes and payments that cancels out.

    A payment can settle several invoices and an invoice take several payments, so the group is all that hangs
    together; it gets its letter once nothing in it is open.
    """
    done: set[InvoiceId] = set()
    for start in invoice_ids:
        if start in done:
            continue
        group, payments, allocations = _group_of(uow, tenant_id, start)
        done |= group
        items = items_of(uow, [invoicing.get_invoice(uow, one, tenant_id) for one in sorted(group)])
        if any(item.open_minor != 0 for item in items):
            continue
        keys = [f"invoice:{one}" for one in sorted(group)]
        for one in sorted(group):
            original = invoicing.get_invoice(uow, one, tenant_id)
            keys += [
                f"invoice:{note.id}" for note in invoicing.list_credit_notes(uow, original) if note.is_issued
            ]
        keys += [f"payment:{one}" for one in sorted(payments)]
        keys += [f"allocation:{one}" for one in sorted(allocations)]
        entries = _entries(uow, tenant_id, keys)
        if entries:
            ledger.letter(uow, Accounts.RECEIVABLE, tenant_id, entries)


def _group_of(
    uow: UnitOfWork, tenant_id: TenantId, start: InvoiceId
) -> tuple[set[InvoiceId], set[PaymentId], set[AllocationId]]:
    invoices, payments, allocations = {start}, set[PaymentId](), set[AllocationId]()
    for _ in range(INVOICES_MAX):
        before = (len(invoices), len(payments))
        for one in repository.list_allocations(uow, tenant_id, invoice_ids=sorted(invoices)):
            payments.add(one.payment_id)
        for one in repository.list_allocations(uow, tenant_id, payment_ids=sorted(payments)):
            invoices.add(one.invoice_id)
            allocations.add(one.id)
        if (len(invoices), len(payments)) == before:
            break
    return invoices, payments, allocations


def _entries(uow: UnitOfWork, tenant_id: TenantId, keys: Sequence[str]) -> list[JournalEntryId]:
    """The entries among these keys with a line in the tenant's 411 that has no letter yet.

    What was matched earlier cancels out in itself, so the rest of a group that is not open cancels out too.
    """
    found = []
    for key in keys:
        entry = ledger.find_by_key(uow, key)
        if entry is not None and any(
            (line.account, line.tenant_id, line.letter) == (Accounts.RECEIVABLE, tenant_id, None)
            for line in entry.lines
        ):
            found.append(entry.id)
    return found
