"""What a close bills: the month, and earlier months brought up to date, each by the VAT of its own supply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.invoicing import repository
from controlplane.invoicing.correction_rules import Footing, footing_of, foresee_footing, split_corrections
from controlplane.invoicing.domain import Invoice, InvoiceKind
from controlplane.invoicing.service_months import list_corrected_months
from controlplane.invoicing.vat_rules import supply_day
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service as metering
from controlplane.metering.domain import FrozenPeriod
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import service as rating
from controlplane.rating.domain import RatedPeriod
from controlplane.tenancy import service as tenancy


@dataclass(frozen=True, slots=True)
class MonthRating:
    """A month up to its freeze. `billed` is for its invoice: the month, then earlier months that cost more now (or
    as much) than was billed. Each of the others is for a document of its own: `supplements` are earlier months that
    cost more and were supplied by another VAT or to another company, `reductions` those that cost less."""

    billed: tuple[RatedPeriod, ...]
    supplements: tuple[RatedPeriod, ...]
    reductions: tuple[RatedPeriod, ...]


def rate_all(uow: UnitOfWork, tenant_id: TenantId, period: Period, frozen: FrozenPeriod) -> MonthRating:
    """Rate a month and bring earlier months up to date, whatever became of them."""
    cutoff = frozen.cutoff_batch_id
    month = rating.rate_period(uow, tenant_id, period, cutoff)
    months = list_corrected_months(uow, tenant_id, period)
    corrections = rating.rate_corrections(uow, tenant_id, cutoff, periods=months)
    billed = {part.period.start: _find_footing(uow, tenant_id, part.period) for part in corrections}
    own = _foresee(uow, tenant_id, period)
    lines, supplements, reductions = split_corrections(corrections, billed, own)
    return MonthRating((month, *lines), supplements, reductions)


def _find_footing(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> Footing | None:
    """How a month was billed; where no invoice billed it, how it would be: by the VAT of its own time."""
    biller = repository.find_biller(uow, tenant_id, period)
    return _foresee(uow, tenant_id, period) if biller is None else footing_of(biller)


def _foresee(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> Footing | None:
    return foresee_footing(tenancy.get_tenant(uow, tenant_id).billing_party, supply_day(period))


def is_reduction(note: Invoice) -> bool:
    """Tell a credit note that a close made from one that a person asked for."""
    return note.kind is InvoiceKind.CREDIT_NOTE and "reduction_of" in note.provenance


def is_supplement(invoice: Invoice) -> bool:
    """Tell an invoice that bills only what an earlier month costs more from a month's own."""
    return invoice.kind is InvoiceKind.INVOICE and "supplement_of" in invoice.provenance


def find_correction(uow: UnitOfWork, document: Invoice) -> tuple[RatedPeriod, FrozenPeriod] | None:
    """What the month of a reduction or supplement costs less or more now, by the freeze it was made with; None when it
    does not any more."""
    frozen = next(
        (
            each
            for each in metering.list_frozen_periods(uow, document.tenant_id)
            if str(each.id) == document.provenance["frozen_period"]
        ),
        None,
    )
    if frozen is None:
        return None
    parts = rating.rate_corrections(
        uow, document.tenant_id, frozen.cutoff_batch_id, periods=[document.period]
    )
    sign = -1 if is_reduction(document) else 1
    found = [part for part in parts if part.period == document.period and part.net_minor * sign > 0]
    return (found[0], frozen) if found else None


def hash_all(rated: Sequence[RatedPeriod]) -> str:
    """One text for all parts of a bill: equal exactly when every part is."""
    return "+".join(part.rating_hash for part in rated if part.lines)
