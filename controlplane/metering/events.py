"""What the metering room tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from controlplane.kernel.events import JsonValue, TenantEvent
from controlplane.metering.domain import BillingPeriodId


@dataclass(frozen=True, slots=True)
class PeriodFrozen(TenantEvent):
    """A tenant's period is closed: it can be rated."""

    topic: ClassVar[str] = "usage_period.frozen"
    billing_period_id: BillingPeriodId
    starts_at: datetime
    ends_at: datetime

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "billing_period_id": str(self.billing_period_id),
            "starts_at": self.starts_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
        }
