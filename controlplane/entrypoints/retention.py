"""The retention schedule: for each table either how long its rows stay, or why they are kept.

One list on purpose: it is what an auditor asks for (GDPR art. 30(1)(f)), and a test holds it against every table that
there is. The page `docs/operators/retention.md` shows the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.retention import Rule, purge
from controlplane.plumbing.schedule import Tick

PURGE = Tick("retention.purge", 600)
TICKS = (PURGE,)

_DAY = timedelta(days=1)
# An event whose consumers have all done their share; one that is dead or waits is kept until it is done.
_DONE = "NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_id = t.id AND d.state <> 'DONE')"

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "outbox_event", ("id",), "routed_at", _DAY, "Ticks of the clock: nobody asks for them again.",
        f"t.topic LIKE 'tick.%' AND {_DONE}", is_database_time=True,
    ),
    Rule(
        "outbox_event", ("id",), "routed_at", 30 * _DAY,
        "What happened stands in the rooms' own tables; the event only carried it. Deliveries go with it.", _DONE,
        is_database_time=True,
    ),
    Rule(
        "idempotency", ("scope", "key"), "created_at", _DAY, "Answers to repeated requests are promised for 24 hours.",
    ),
    Rule("service_event", ("tenant_id", "id"), "occurred_at", 400 * _DAY, "A year and a month of a service's story."),
    Rule(
        "cold_start", ("tenant_id", "regional_deployment_id", "instance"), "recorded_at", 90 * _DAY,
        "Timings of starts: of use while somebody tunes.",
    ),
    Rule(
        "instance", ("tenant_id", "id"), "terminated_at", 400 * _DAY, "Replicas that ended.",
        "t.terminated_at IS NOT NULL",
    ),
    Rule(
        "write_allowance", ("tenant_id", "kind", "subject"), "full_at", _DAY,
        "A budget of writes that is full again: no row says the same.",
    ),
    Rule(
        "audit_origin", ("chain", "sequence"), "occurred_at", 365 * _DAY,
        "Addresses and programs of those who acted: personal data, kept for six months to a year (CNIL, deliberation"
        " 2021-122 of 14 October 2021 on logs). The chain itself stays.",
    ),
    Rule(
        "security_event", ("id",), "last_at", 365 * _DAY,
        "Refusals with the addresses that they came from: as logs, six months to a year (CNIL, deliberation 2021-122).",
        is_database_time=True,
    ),
    Rule(
        "usage_event_conflict", ("id",), "received_at", 400 * _DAY,
        "Contradicting reports: of use until the invoice of their month can no longer be questioned.",
    ),
)  # fmt: skip

_BOOKS = "Books and their vouchers: ten years (code de commerce, art. L123-22)."
_VOUCHERS = "Evidence of what was billed: ten years (code de commerce, art. L123-22)."
_CONTRACT = "What the customer has or had; it ends with the contract, which a person decides."
_VERSIONS = (
    "The newest 20 of each service and what still serves; the tick `deployments.prune` deletes older ones."
)
_FACTS = "Dated facts are ended, not deleted: old verdicts rest on them."
_SMALL = "A few rows that change and do not grow."
_AUDIT = "A hash chain: a record that is taken out breaks it."

KEPT: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("invoice", "invoice_line", "invoice_archive", "einvoice", "einvoice_status", "journal_entry", "entry_line",
         "entry_lettering", "payment", "payment_allocation", "payment_refund",
         "period_close", "vat_id_check", "fiscal_year"), _BOOKS,
    ),
    **dict.fromkeys(
        ("usage_event", "usage_event_key", "usage_hourly", "ingest_batch", "gpu_allocation", "billing_period",
         "rated_period", "rated_line", "credit_grant", "credit_use", "price_version", "tenant_plan", "budget_alert"),
        _VOUCHERS,
    ),
    **dict.fromkeys(
        ("tenant", "project", "quota", "api_key", "app", "service", "secret", "budget", "reservation"), _CONTRACT,
    ),
    **dict.fromkeys(("deployment", "regional_deployment", "placement_explanation", "secret_version"), _VERSIONS),
    **dict.fromkeys(
        ("legal_entity", "holding", "certification", "verdict", "verdict_key", "datacenter", "site_role", "cell"),
        _FACTS,
    ),
    **dict.fromkeys(
        ("quota_default", "invoice_seller", "invoice_series", "accounting_entity", "ledger_account", "entry_number",
         "ingest_shard", "usage_producer", "sku", "plan", "catalogue_model", "catalogue_instance_type", "node_pool",
         "node", "routing_version", "simulated_clock"), _SMALL,
    ),
    **dict.fromkeys(("audit_event", "audit_head"), _AUDIT),
    "delivery": "Goes with its event.",
}  # fmt: skip


def consumers(context: Context) -> tuple[Consumer, ...]:
    def keep_the_schedule(_: Event) -> None:
        purge(context.database, RULES)

    return (Consumer("retention.purge", frozenset({PURGE.topic}), effect=keep_the_schedule),)
