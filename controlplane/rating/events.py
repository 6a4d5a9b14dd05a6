"""What the rating room tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import JsonValue, TenantEvent
from controlplane.kernel.ids import ProjectId


@dataclass(frozen=True, slots=True)
class BudgetThresholdReached(TenantEvent):
    """A month's cost reached a part of its budget: once for each threshold of a month."""

    topic: ClassVar[str] = "budget.threshold_reached"
    project_id: ProjectId | None
    threshold_percent: int
    cost_minor: int
    budget_minor: int

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "project_id": None if self.project_id is None else str(self.project_id),
            "threshold_percent": self.threshold_percent,
            "cost_minor": self.cost_minor,
            "budget_minor": self.budget_minor,
        }


@dataclass(frozen=True, slots=True)
class BudgetExceeded(BudgetThresholdReached):
    """A month's cost reached the whole budget."""

    topic: ClassVar[str] = "budget.exceeded"


@dataclass(frozen=True, slots=True)
class BudgetChanged(TenantEvent):
    """A budget was set: who may call may have changed."""

    topic: ClassVar[str] = "budget.changed"

    def payload(self) -> Mapping[str, JsonValue]:
        return {}
