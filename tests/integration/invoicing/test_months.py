"""Months close in their order without a gap, and whatever was accepted is billed once, whatever became of its month."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from controlplane.invoicing import service
from controlplane.invoicing.domain import Invoice, InvoiceKind
from controlplane.invoicing.tasks import close_ended_months
from controlplane.kernel.errors import Conflict
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from tests.fixtures.billing import Billing

DAY = timedelta(days=1)
MILLION = 1_000_000


def months_from(first: Period, count: int) -> list[Period]:
    found = [first]
    while len(found) < count:
        found.append(Period.month_of(found[-1].end))
    return found


def close(billing: Billing, tenant_id: TenantId, month: Period) -> str | None:
    """Close a month by hand; the sentence that refuses it, or None."""
    try:
        with billing.database.system(tenant_id) as uow:
            service.freeze_period(uow, tenant_id, month)
        with billing.database.system(tenant_id) as uow:
            service.close_period(uow, tenant_id, month)
    except Conflict as err:
        return err.message
    return None


def documents(billing: Billing, tenant_id: TenantId) -> list[Invoice]:
    with billing.database.system(is_read_only=True) as uow:
        return list(service.list_invoices(uow, tenant_id=tenant_id, after=None, limit=200).items)


def billed_tokens(billing: Billing, tenant_id: TenantId) -> Decimal:
    """Input tokens on issued invoices less those on credit notes."""
    total = Decimal(0)
    for document in documents(billing, tenant_id):
        assert document.is_issued, document.hold
        sign = -1 if document.kind is InvoiceKind.CREDIT_NOTE else 1
        total += sign * sum(line.quantity for line in document.lines if line.sku == "tokens.input")
    return total


@pytest.mark.case("M3")
def test_late_usage_of_a_month_without_an_invoice_is_billed_as_its_correction(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    june, july = months_from(billing.month, 2)
    billing.end_month()
    assert billing.close(tenant_id).invoice is None
    billing.use(tenant_id, calls=1, tokens=100 * MILLION, at=june.end - 3 * DAY)
    billing.use(tenant_id, calls=1, tokens=MILLION, at=june.end + timedelta(hours=2))
    billing.month = july
    billing.end_month()
    invoice = billing.invoice(tenant_id)
    corrections = [line for line in invoice.lines if line.is_correction]
    assert {line.period for line in corrections} == {june}
    # 100 million in at 0.20 and 10 million out at 0.60.
    assert sum(line.net_minor for line in corrections) == 2_600
    assert sum(line.net_minor for line in invoice.lines if not line.is_correction) == 26
    billing.month = Period.month_of(july.end)
    billing.end_month()
    assert billing.close(tenant_id).invoice is None


@pytest.mark.case("M4")
def test_no_month_is_passed_over(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    first, second, third = months_from(billing.month, 3)
    billing.use(tenant_id, calls=1)
    billing.set_clock(second.end + timedelta(hours=9))
    refusal = close(billing, tenant_id, second)
    assert refusal is not None
    assert f"Close {(first.start + DAY):%Y-%m} first" in refusal
    told = billing.api.post(
        "/v1/admin/billing/close",
        json={"organization_id": str(tenant_id), "period": f"{(second.start + DAY):%Y-%m}", "issue": True},
        headers=billing.admin,
    )
    assert told.status_code == 409
    assert f"Close {(first.start + DAY):%Y-%m} first" in told.json()["detail"]
    assert close(billing, tenant_id, first) is None
    assert close(billing, tenant_id, second) is None
    assert [len(documents(billing, tenant_id)), documents(billing, tenant_id)[0].period] == [1, first]
    assert third.start == second.end


@pytest.mark.case("M4")
def test_usage_from_before_the_sign_up_month_makes_that_month_the_first(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    earlier = Period.month_of(billing.month.start - DAY)
    billing.use(tenant_id, calls=1, at=earlier.end - timedelta(hours=12))
    billing.use(tenant_id, calls=1, at=billing.month.start + timedelta(hours=12))
    billing.end_month()
    assert "first" in (close(billing, tenant_id, billing.month) or "")
    assert close(billing, tenant_id, earlier) is None
    assert close(billing, tenant_id, billing.month) is None
    assert len(documents(billing, tenant_id)) == 2


@pytest.mark.case("M4")
def test_the_closer_makes_up_for_months_in_which_it_was_down(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    first, second, third = months_from(billing.month, 3)
    billing.use(tenant_id, calls=1)
    billing.set_clock(second.start + 9 * DAY)
    billing.use(tenant_id, calls=1, at=second.start + 5 * DAY)
    billing.set_clock(third.end + timedelta(hours=9))
    billing.use(tenant_id, calls=1, at=third.end - DAY)
    assert close_ended_months(billing.database) == 3
    assert sorted(one.period for one in documents(billing, tenant_id)) == [first, second, third]
    assert close_ended_months(billing.database) == 0


@pytest.mark.case("M3")
@pytest.mark.case("M4")
@pytest.mark.parametrize("seed", range(4))
def test_what_is_billed_is_what_was_accepted_after_any_outage_and_order(billing: Billing, seed: int) -> None:
    """Random usage, late usage, outages and closes by hand in random order, over five months."""
    chance = random.Random(seed)
    tenant_id = billing.sign_up()
    months = months_from(billing.month, 5)
    accepted = 0
    for month in months:
        middle, after = month.start + 14 * DAY, month.end + timedelta(hours=9)
        for now in (middle, after):
            billing.set_clock(now)
            for _ in range(chance.randrange(3)):
                at = now - chance.random() * 30 * DAY
                if at < months[0].start:
                    continue
                tokens = chance.randrange(1, 40) * MILLION
                billing.use(tenant_id, calls=1, tokens=tokens, at=_whole_second(at))
                accepted += tokens
        deed = chance.choice(["closer", "outage", "by hand"])
        if deed == "closer":
            close_ended_months(billing.database)
        if deed == "by hand":
            for wanted in chance.sample(months, len(months)):
                if wanted.end <= now:
                    close(billing, tenant_id, wanted)
    billing.set_clock(Period.month_of(months[-1].end).end + timedelta(hours=9))
    close_ended_months(billing.database)
    assert billed_tokens(billing, tenant_id) == accepted, f"seed {seed}"


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


@pytest.mark.case("M3")
def test_usage_that_no_bill_can_reach_raises_an_alarm(billing: Billing) -> None:
    """As an outage of more than a year would leave it: usage older than any bill looks back."""
    tenant_id = billing.sign_up()
    billing.use(tenant_id, calls=2)
    now = billing.month.start
    for _ in range(14):
        now = Period.month_of(now).end
    with billing.database.system(is_read_only=True) as uow:
        [lost] = service.list_unreachable_usage(uow, now)
        assert (lost.tenant_id, lost.month) == (tenant_id, billing.month)
        assert lost.event_count > 0
        assert service.list_unreachable_usage(uow, billing.month.end) == []
