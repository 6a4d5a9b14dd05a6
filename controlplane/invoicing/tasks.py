"""Background work of invoicing: ask VIES, close ended months, try again what is held."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from controlplane.invoicing import service
from controlplane.invoicing.domain import InvoiceId, InvoiceState
from controlplane.invoicing.metrics import DOCUMENTS_HELD, USAGE_UNREACHABLE, VAT_CASES_ENDING
from controlplane.invoicing.vat_rules import list_ending_cases
from controlplane.invoicing.vies import NullVatIdChecker, RestVatIdChecker, VatIdChecker
from controlplane.kernel.errors import RempartError
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.schedule import Tick

log = structlog.get_logger()

# A held invoice waits for a register or a person: asking more often would help neither.
RETRY_SECONDS: Final = 600
CLOSE_SECONDS: Final = 3600
TICKS = (Tick("invoicing.retry_held", RETRY_SECONDS), Tick("invoicing.close_months", CLOSE_SECONDS))
# Gateways and cells deliver what they spooled before the month is frozen; what comes later is a correction.
CLOSE_GRACE: Final = timedelta(hours=6)
BATCH: Final = 200
# More than ten years at once are no outage.
MONTHS_MAX: Final = 120
ACTOR: Final = "system:invoicing"


def make_checker(url: str, database: Database) -> VatIdChecker:
    """The checker at `REMPART_VIES_URL`; none is set: EU invoices wait for an answer recorded by hand."""
    if not url:
        return NullVatIdChecker()
    with database.system(is_read_only=True) as uow:
        seller, _ = service.get_seller(uow)
    return RestVatIdChecker(url, seller.vat_id)


def consumers(context: Context) -> tuple[Consumer, ...]:
    database = context.database

    def ask_vies(event: Event) -> None:
        assert event.tenant_id is not None
        check_vat_id(
            database,
            make_checker(context.settings.vies_url, database),
            event.tenant_id,
            event.payload["vat_id"],
        )

    def retry(_: Event) -> None:
        retry_waiting(database)

    def close(_: Event) -> None:
        close_ended_months(database)

    return (
        Consumer("invoicing.ask_vies", frozenset({"vat_check.wanted"}), effect=ask_vies),
        Consumer("invoicing.retry_held", frozenset({TICKS[0].topic, "vat_check.recorded"}), effect=retry),
        Consumer("invoicing.close_months", frozenset({TICKS[1].topic}), effect=close),
    )


def check_vat_id(database: Database, checker: VatIdChecker, tenant_id: TenantId, vat_id: str) -> None:
    """Ask outside any transaction, then record what was answered."""
    with database.system(tenant_id, is_read_only=True) as uow:
        now = uow.now
    answer = checker.check(vat_id, now)
    with database.system(tenant_id) as uow:
        service.record_vat_answer(uow, tenant_id, answer, actor=ACTOR)


def retry_waiting(database: Database) -> int:
    """Try each waiting document once, each in a transaction of its own; return how many are issued now."""
    with database.system(is_read_only=True) as uow:
        waiting = service.list_waiting(uow, BATCH)
    DOCUMENTS_HELD.set(len(waiting))
    return sum(_try_again(database, invoice_id) for invoice_id in waiting)


def _try_again(database: Database, invoice_id: InvoiceId) -> bool:
    """Try one waiting document; whatever it does, the others have their turn."""
    try:
        with database.system() as uow:
            invoice = service.get_invoice(uow, invoice_id, None)
            if invoice.state is InvoiceState.READY:
                return service.issue(uow, invoice_id, actor=ACTOR).is_issued
            return service.retry_invoice(uow, invoice_id, actor=ACTOR).is_issued
    except RempartError as err:
        log.warning("invoice_not_issued", invoice_id=str(invoice_id), code=err.code, reason=err.message)
        reason = err.message
    except Exception as err:
        log.exception("invoice_not_issued", invoice_id=str(invoice_id), error=str(err))
        reason = f"Issuing broke off ({type(err).__name__}); the log of the program says where."
    _note_failure(database, invoice_id, reason)
    return False


def _note_failure(database: Database, invoice_id: InvoiceId, reason: str) -> None:
    with database.system() as uow:
        invoice = service.get_invoice(uow, invoice_id, None)
        if invoice.state is InvoiceState.READY:
            service.fail_issue(uow, invoice_id, reason)


def close_ended_months(database: Database) -> int:
    """Close every month that has ended, for each tenant from its oldest open one on; return how many were closed.

    After an outage that lasted months, each of them is closed, in its order.
    """
    with database.system(is_read_only=True) as uow:
        ended = Period.month_of(uow.now - CLOSE_GRACE, PARIS).start
        tenants = service.list_unclosed_tenants(
            uow, Period.month_of(ended - timedelta(microseconds=1), PARIS)
        )
    closed = sum(_close_tenant(database, tenant_id, ended) for tenant_id in tenants)
    report_unreachable(database)
    report_ending_vat(database)
    return closed


def report_ending_vat(database: Database) -> None:
    """Warn a year before a case of the VAT table ends: from that day its customers' invoices would be held."""
    with database.system(is_read_only=True) as uow:
        today = uow.now.astimezone(PARIS).date()
    ending = list_ending_cases(today)
    for case, last in ending.items():
        log.error("vat_case_ending", case=case, without_row_from=last.isoformat())
    VAT_CASES_ENDING.set(len(ending))


def report_unreachable(database: Database) -> int:
    """Raise the alarm for accepted usage that no bill will look at; return how many events that are."""
    with database.system(is_read_only=True) as uow:
        lost = service.list_unreachable_usage(uow, uow.now)
    for one in lost:
        log.error(
            "usage_unreachable",
            tenant_id=str(one.tenant_id),
            month=f"{one.month.start.astimezone(PARIS):%Y-%m}",
            events=one.event_count,
        )
    count = sum(one.event_count for one in lost)
    USAGE_UNREACHABLE.set(count)
    return count


def _close_tenant(database: Database, tenant_id: TenantId, ended: datetime) -> int:
    """Close one tenant's months that end by `ended`; what stops one stops its later ones, and no other tenant."""
    closed = 0
    try:
        while closed < MONTHS_MAX:
            with database.system(tenant_id) as uow:
                period = service.find_next_month(uow, tenant_id)
                if period.end > ended:
                    return closed
                service.freeze_period(uow, tenant_id, period)
            with database.system(tenant_id) as uow:
                service.close_period(uow, tenant_id, period, actor=ACTOR)
            closed += 1
    except RempartError as err:
        log.warning("month_not_closed", tenant_id=str(tenant_id), code=err.code, reason=err.message)
    except Exception as err:
        log.exception("month_not_closed", tenant_id=str(tenant_id), error=str(err))
    return closed
