"""Σ invoice lines = round(Σ rated events), from the ingest door to the issued invoices."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from controlplane.invoicing.domain import Invoice
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from tests.fixtures.billing import Billing
from tests.fixtures.usage import now, request_event, send

SEED = 20261121
TENANTS = 3
# The standard book: 0.20 € and 0.60 € a million tokens, so these counts fall anywhere between two cents.
INPUT_PRICE, OUTPUT_PRICE = Decimal("0.0000002"), Decimal("0.0000006")


def round_sum(events: Iterable[dict[str, Any]]) -> int:
    """The oracle: each event once, at its price, summed and rounded once."""
    euros = Decimal(0)
    for event in {event["id"]: event for event in events}.values():
        euros += event["data"]["input_tokens"] * INPUT_PRICE + event["data"]["output_tokens"] * OUTPUT_PRICE
    return int((euros * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def billed_for(month: Period, *invoices: Invoice) -> int:
    return sum(
        line.net_minor for invoice in invoices for line in invoice.lines if line.period.start == month.start
    )


class Sender:
    """Sends a month's calls in a random order and grouping, some of them more than once."""

    def __init__(self, billing: Billing, chance: random.Random) -> None:
        self.billing, self.chance = billing, chance

    def send_calls(self, tenant_id: TenantId, at: datetime) -> list[dict[str, Any]]:
        calls = [
            request_event(
                str(tenant_id), self.billing.projects[tenant_id],
                at=at, input_tokens=self.chance.randrange(200_000), output_tokens=self.chance.randrange(100_000),
            )
            for _ in range(self.chance.randint(3, 9))
        ]  # fmt: skip
        wire = calls + self.chance.sample(calls, 2)
        self.chance.shuffle(wire)
        cut = self.chance.randrange(1, len(wire))
        for batch in (wire[:cut], wire[cut:]):
            told = send(self.billing.api, self.billing.producer, batch)
            assert told["accepted"] + told["duplicates"] == len(batch), told
        return calls


def test_invoices_sum_to_the_rounded_sum_of_shuffled_doubled_and_late_events(billing: Billing) -> None:
    chance = random.Random(SEED)
    sender, month, used_at = Sender(billing, chance), billing.month, now()
    tenants = [billing.sign_up() for _ in range(TENANTS)]
    sent = {}
    for tenant_id in tenants:
        sent[tenant_id] = sender.send_calls(tenant_id, used_at)
    billing.end_month()
    first = {tenant_id: billing.invoice(tenant_id) for tenant_id in tenants}
    for tenant_id, invoice in first.items():
        assert billed_for(month, invoice) == round_sum(sent[tenant_id]), f"seed {SEED}"
        assert invoice.totals.lines_minor == round_sum(sent[tenant_id]), f"seed {SEED}"
    next_month = billing.month = Period.month_of(month.end)
    billing.end_month()
    own = {}
    for tenant_id in tenants:
        sent[tenant_id] += sender.send_calls(tenant_id, used_at)
        own[tenant_id] = sender.send_calls(tenant_id, next_month.start + timedelta(days=2))
    for tenant_id in tenants:
        second = billing.invoice(tenant_id)
        assert second.is_issued
        assert billed_for(month, first[tenant_id], second) == round_sum(sent[tenant_id]), f"seed {SEED}"
        assert billed_for(next_month, second) == round_sum(own[tenant_id]), f"seed {SEED}"
