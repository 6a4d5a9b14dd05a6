"""The front door of the metering room for the rooms above it."""

from __future__ import annotations

from controlplane.metering.service_allocations import list_sources, slice_source
from controlplane.metering.service_ingest import EVENTS_MAX, ingest
from controlplane.metering.service_periods import (
    ensure_months,
    find_first_usage,
    find_frozen_period,
    freeze_period,
    list_frozen_periods,
    list_usage_months,
)
from controlplane.metering.service_totals import (
    find_damage,
    find_drift,
    list_allocations,
    list_conflicts,
    list_late_totals,
    list_totals,
)

__all__ = [
    "EVENTS_MAX",
    "ensure_months",
    "find_damage",
    "find_drift",
    "find_first_usage",
    "find_frozen_period",
    "freeze_period",
    "ingest",
    "list_allocations",
    "list_conflicts",
    "list_frozen_periods",
    "list_late_totals",
    "list_sources",
    "list_totals",
    "list_usage_months",
    "slice_source",
]
