"""Figures that somebody must act on; a program's /metrics shows them. Each is zero when all is well."""

from __future__ import annotations

from typing import Final

from prometheus_client import Gauge

DOCUMENTS_HELD: Final = Gauge(
    "rempart_documents_held", "Invoices, deposit invoices and credit notes that wait for a fact or a person."
)
DOCUMENTS_FAILED: Final = Gauge("rempart_documents_failed", "Issued documents whose files could not be made.")
USAGE_UNREACHABLE: Final = Gauge(
    "rempart_usage_unreachable_events",
    "Usage events that were accepted and that no bill will look at any more.",
)
VAT_CASES_ENDING: Final = Gauge(
    "rempart_vat_cases_ending", "Cases of the VAT table that end within a year without a row that follows."
)
