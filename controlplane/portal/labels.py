"""The words for the API's codes: every constant that a page can show has its own here, in one registry by kind.

A test walks the platform's enumerations, so that a new member is not shown before it has a word.
"""

from __future__ import annotations

from collections.abc import Mapping

from controlplane.portal.i18n import N_

# Service, deployment and instance statuses with the mood in which they are shown.
STATUSES: Mapping[str, tuple[str, str]] = {
    "PENDING": (N_("Pending"), "wait"),
    "PROVISIONING": (N_("Provisioning"), "wait"),
    "SCHEDULED": (N_("Scheduled"), "wait"),
    "ALLOCATING": (N_("Allocating"), "wait"),
    "STARTING": (N_("Starting"), "wait"),
    "RESUMING": (N_("Resuming"), "wait"),
    "HEALTHY": (N_("Healthy"), "good"),
    "SLEEPING": (N_("Sleeping"), "calm"),
    "DEGRADED": (N_("Degraded"), "warn"),
    "UNHEALTHY": (N_("Unhealthy"), "bad"),
    "ERROR": (N_("Error"), "bad"),
    "ERRORING": (N_("Failing"), "bad"),
    "CANCELING": (N_("Canceling"), "wait"),
    "CANCELED": (N_("Canceled"), "calm"),
    "PAUSING": (N_("Pausing"), "wait"),
    "PAUSED": (N_("Paused"), "calm"),
    "STOPPING": (N_("Stopping"), "wait"),
    "STOPPED": (N_("Stopped"), "calm"),
    "DELETING": (N_("Deleting"), "wait"),
    "DELETED": (N_("Deleted"), "calm"),
    "ACTIVE": (N_("Active"), "good"),
    "SUSPENDED": (N_("Suspended"), "bad"),
    "REVOKED": (N_("Revoked"), "calm"),
    "EXPIRED": (N_("Expired"), "calm"),
    "DRAFT": (N_("Draft"), "calm"),
    "HELD": (N_("Held"), "warn"),
    "READY": (N_("Ready"), "good"),
    "ISSUED": (N_("Issued"), "good"),
    "DRAFT_FAILED": (N_("Draft failed"), "bad"),
    "REFUSED": (N_("Refused"), "bad"),
    "REMOVED": (N_("Removed"), "warn"),
    "OPEN": (N_("Open"), "calm"),
    "PARTIAL": (N_("Partly paid"), "warn"),
    "SETTLED": (N_("Paid"), "good"),
    "OVERDUE": (N_("Overdue"), "bad"),
    "ISSUE_FAILED": (N_("Issue failed"), "bad"),
    "DRAINING": (N_("Draining"), "wait"),
    "NONE": (N_("None"), "calm"),
    "Pending": (N_("Pending"), "wait"),
    "Launching": (N_("Launching"), "wait"),
    "Registering": (N_("Registering"), "wait"),
    "Validating": (N_("Validating"), "wait"),
    "Ready": (N_("Ready"), "good"),
    "NotReady": (N_("Not ready"), "bad"),
    "Cordoned": (N_("Cordoned"), "warn"),
    "Draining": (N_("Draining"), "wait"),
    "Drained": (N_("Drained"), "warn"),
    "Releasing": (N_("Releasing"), "wait"),
    "Failed": (N_("Failed"), "bad"),
}

# UNTDID 1001, the kinds that an invoice of ours has (BT-3).
INVOICE_KINDS: Mapping[str, str] = {
    "380": N_("Invoice"),
    "381": N_("Credit note"),
    "386": N_("Deposit invoice"),
}

SIGN_IN_REASONS: Mapping[str, str] = {
    "ended": N_("Your session has ended. Sign in again to go on."),
    "key": N_("The key you had signed in with is no longer accepted: it was revoked, or has expired."),
    "out": N_("You are signed out."),
}

# What has just been done, named in the address that a form leads to.
DONE: Mapping[str, str] = {
    "service_created": N_("The service was created and looks for a place."),
    "service_paused": N_("The service was paused."),
    "service_resumed": N_("The service was resumed."),
    "service_redeployed": N_("A new deployment was asked for."),
    "service_deleted": N_("The service was deleted."),
    "service_scaled": N_("The scaling limits were changed."),
    "key_revoked": N_("The key was revoked."),
    "budget_set": N_("The budget was set."),
    "tenant_approved": N_("The organization was approved."),
    "tenant_refused": N_("The organization was refused."),
    "tenant_suspended": N_("The organization was suspended."),
    "tenant_resumed": N_("The organization was resumed."),
    "pool_scaled": N_("The pool was told to change its size."),
}

# Sentences for the API's stable codes; its own words are added where they say more.
PROBLEMS: Mapping[str, str] = {
    "not_found": N_("There is nothing here that your key can see."),
    "forbidden": N_("The role of your key does not allow this."),
    "conflict": N_("The present state does not allow this, or the name is taken."),
    "illegal_transition": N_("The present state does not allow this."),
    "quota_exceeded": N_("A quota of your organization is used up."),
    "approval_needed": N_(
        "Your organization waits for approval by the platform operator: until then it may have no more of this."
    ),
    "organization_suspended": N_(
        "Your organization is suspended or was refused: you can read everything and change nothing."
    ),
    "precondition_failed": N_("It has changed since you read it. Look again, then decide again."),
    "invalid_input": N_("Something in the form is not accepted."),
    "unavailable": N_("The service is busy. Try again in a moment."),
    "insufficient_quota": N_("The monthly budget is used up: calls are refused until it is raised."),
    "idempotency_mismatch": N_("This form was already sent with other contents. Open it anew."),
}

FIELD_PROBLEMS: Mapping[str, str] = {
    "missing": N_("Fill in this field."),
    "string_too_short": N_("This is too short."),
    "string_too_long": N_("This is too long."),
    "string_pattern_mismatch": N_("This has a form that is not accepted."),
    "int_parsing": N_("Write a whole number."),
    "greater_than_equal": N_("This number is too small."),
    "less_than_equal": N_("This number is too large."),
}

ROLES: Mapping[str, str] = {
    "owner": N_("Owner: everything"),
    "admin": N_("Administrator: everything but closing the organization"),
    "developer": N_("Developer: deploys and calls services"),
    "billing": N_("Billing: costs, budgets and invoices"),
    "auditor": N_("Auditor: reads facts, money and proofs"),
    "viewer": N_("Viewer: reads, changes nothing"),
    "platform": N_("Platform operator"),
    "platform_sre": N_("Platform operator: sites and machines"),
    "platform_billing": N_("Platform operator: prices, invoices and books"),
    "platform_auditor": N_("Platform operator: reads, changes nothing"),
}

METERS: Mapping[str, str] = {
    "requests": N_("Requests"),
    "failed_requests": N_("Failed requests"),
    "input_tokens": N_("Input tokens"),
    "output_tokens": N_("Output tokens"),
    "unbilled_input_tokens": N_("Input tokens, free of charge"),
    "unbilled_output_tokens": N_("Output tokens, free of charge"),
    "gpu_seconds": N_("GPU seconds"),
}

# As prices and usage name them; what is not here is shown as it is.
UNITS: Mapping[str, str] = {
    "token": N_("token"),
    "request": N_("request"),
    "gpu_second": N_("GPU second"),
    "gpu_hour": N_("GPU hour"),
    "second": N_("second"),
    "month": N_("month"),
}

EVENTS: Mapping[str, str] = {
    "SERVICE_CREATED": N_("Service created"),
    "SERVICE_UPDATED": N_("Service changed"),
    "SERVICE_PAUSED": N_("Service paused"),
    "SERVICE_RESUMED": N_("Service resumed"),
    "SERVICE_SCALED": N_("Scaling limits changed"),
    "SERVICE_DELETED": N_("Service deleted"),
    "SERVICE_STATUS_CHANGED": N_("Status changed"),
    "DEPLOYMENT_CREATED": N_("Deployment asked for"),
    "DEPLOYMENT_CANCELED": N_("Deployment given up"),
    "DEPLOYMENT_STATUS_CHANGED": N_("Deployment's status changed"),
    "DEPLOYMENT_FAILED": N_("Deployment failed"),
    "SERVICE_ROLLED_BACK": N_("Rolled back to an earlier deployment"),
    "PART_BLOCKED": N_("A part cannot run where it is"),
    "PLACED": N_("Place found"),
    "PLACEMENT_PENDING": N_("Waiting for a place"),
    "MOVE_STARTED": N_("Move begun"),
    "VERDICT_ENDING": N_("End of admissibility announced"),
    "REGIONAL_DEPLOYMENT_REFUSED": N_("A cell refused it"),
    "REGIONAL_DEPLOYMENT_STOPPING": N_("A part is being stopped"),
    "ROUTE_SWITCHED": N_("Traffic switched"),
    "SCALE_WAITING": N_("Waiting for room to grow"),
    "VERDICT_LOST": N_("Place no longer admissible"),
    "VERDICT_RECOVERED": N_("Place admissible again"),
}

LICENCES: Mapping[str, str] = {
    "green": N_("Green: free and open licence"),
    "yellow": N_("Yellow: restricted in use, size or naming"),
    "blue": N_("Blue: closed"),
}

QUOTAS: Mapping[str, str] = {
    "projects": N_("Projects"),
    "services": N_("Services"),
    "gpus": N_("GPUs"),
    "replicas": N_("Replicas"),
    "api_keys": N_("API keys"),
    "apps": N_("Apps"),
    "secrets": N_("Secrets"),
}

E_INVOICE_STATES: Mapping[str, str] = {
    "PENDING": N_("Its files are being made"),
    "RENDER_FAILED": N_("Its files could not be made"),
    "ARCHIVED": N_("Archived, not sent yet"),
    "SUBMITTED": N_("Sent to the platform"),
    "SUBMIT_FAILED": N_("Could not be sent"),
    "NOT_TRANSMITTED": N_("Not sent: no platform is connected"),
}

# XP Z12-012, life cycle of an invoice.
E_INVOICE_STATUSES: Mapping[str, str] = {
    "200": N_("Deposited"),
    "201": N_("Issued by the platform"),
    "202": N_("Received"),
    "203": N_("Made available"),
    "204": N_("Taken in charge"),
    "205": N_("Approved"),
    "206": N_("Partly approved"),
    "207": N_("Disputed"),
    "208": N_("Suspended by the buyer"),
    "209": N_("Completed"),
    "210": N_("Refused by the buyer"),
    "211": N_("Payment sent"),
    "212": N_("Collected"),
    "213": N_("Rejected"),
    "220": N_("Cancelled"),
    "221": N_("Routing error"),
    "501": N_("Inadmissible"),
}

FRAMEWORKS: Mapping[str, str] = {
    "SECNUMCLOUD": "SecNumCloud",
    "HDS": "HDS",
    "ISO27001": "ISO 27001",
}

# UNTDID 5305, the categories that our invoices have (BT-118).
VAT_CATEGORIES: Mapping[str, str] = {
    "S": N_("French VAT"),
    "AE": N_("Reverse charge: the customer accounts for the VAT"),
    "O": N_("Outside the scope of French VAT"),
}

# What a line's calculation does, step by step.
STEPS: Mapping[str, str] = {
    "CONVERT": N_("Quantity"),
    "FREE": N_("After free units"),
    "TIER": N_("Units in this price band"),
    "PRORATE": N_("Share of the month"),
    "DISCOUNT": N_("Price after discount"),
    "AMOUNT": N_("Amount"),
    "TRUE_UP": N_("Up to the monthly minimum"),
    "CORRECT": N_("Correction"),
    "ROUND": N_("Rounded"),
    "BALANCE": N_("Rounded within the sum"),
    "CREDIT": N_("Credited"),
    "DEPOSIT": N_("Deposit"),
}

CHECKS: Mapping[str, str] = {
    "cpu": N_("Processors"),
    "memory": N_("Memory"),
    "disk": N_("Disk"),
    "gpu": N_("GPUs"),
    "gpus": N_("GPUs"),
    "clock": N_("Clock"),
    "network": N_("Network"),
    "loopback": N_("Network"),
    "acceptance": N_("Acceptance"),
}

CHECK_RESULTS: Mapping[str, str] = {
    "passed": N_("passed"),
    "failed": N_("failed"),
    "skipped": N_("left out"),
    "simulated": N_("simulated"),
}

# An act of the audit chain is `noun.past`.
AUDIT_NOUNS: Mapping[str, str] = {
    "tax_zone": N_("Tax zone"),
    "access": N_("Access"),
    "accounting_entity": N_("Books"),
    "api_key": N_("API key"),
    "app": N_("App"),
    "billing_party": N_("Billing party"),
    "budget": N_("Budget"),
    "catalogue": N_("Catalogue"),
    "certification": N_("Certificate"),
    "clock": N_("Clock"),
    "credit": N_("Credit"),
    "datacenter": N_("Datacenter"),
    "delivery": N_("Delivery of an event"),
    "einvoice": N_("Electronic invoice"),
    "fiscal_year": N_("Fiscal year"),
    "holding": N_("Holding"),
    "invoice": N_("Invoice"),
    "legal_entity": N_("Legal entity"),
    "node": N_("Node"),
    "node_pool": N_("Node pool"),
    "organization": N_("Organization"),
    "payment": N_("Payment"),
    "plan": N_("Plan"),
    "price_version": N_("Price"),
    "project": N_("Project"),
    "quota": N_("Quota"),
    "secret": N_("Secret"),
    "seller": N_("Seller"),
    "service": N_("Service"),
    "sku": N_("Article"),
    "usage_period": N_("Period of usage"),
    "vat_check": N_("Check of a VAT number"),
}

AUDIT_VERBS: Mapping[str, str] = {
    "approved": N_("approved"),
    "rolled_back": N_("rolled back"),
    "access_recovered": N_("access recovered"),
    "ending": N_("ending soon"),
    "refunded": N_("refunded"),
    "set": N_("set"),
    "created": N_("created"),
    "revoked": N_("revoked"),
    "rolled": N_("rolled"),
    "deleted": N_("deleted"),
    "renamed": N_("renamed"),
    "changed": N_("changed"),
    "moved": N_("moved"),
    "granted": N_("granted"),
    "retried": N_("retried"),
    "archived": N_("archived"),
    "closed": N_("closed"),
    "remade": N_("remade"),
    "scaled": N_("scaled"),
    "cordoned": N_("cordoned"),
    "uncordoned": N_("uncordoned"),
    "drained": N_("drained"),
    "resumed": N_("resumed"),
    "refused": N_("refused"),
    "suspended": N_("suspended"),
    "allocated": N_("allocated"),
    "received": N_("received"),
    "assigned": N_("assigned"),
    "replaced": N_("replaced"),
    "redeployed": N_("redeployed"),
    "frozen": N_("frozen"),
    "recorded": N_("recorded"),
    "ended": N_("ended"),
    "paused": N_("paused"),
    "canceled": N_("canceled"),
    "issued": N_("issued"),
    "held": N_("held"),
    "drafted": N_("drafted"),
    "credited": N_("credited"),
}

# Every kind of constant by name: `{{ code | label("quota") }}`.
KINDS: Mapping[str, Mapping[str, str]] = {
    "status": {code: words for code, (words, _) in STATUSES.items()},
    "invoice_kind": INVOICE_KINDS,
    "role": ROLES,
    "meter": METERS,
    "unit": UNITS,
    "event": EVENTS,
    "licence": LICENCES,
    "quota": QUOTAS,
    "e_invoice_state": E_INVOICE_STATES,
    "e_invoice_status": E_INVOICE_STATUSES,
    "framework": FRAMEWORKS,
    "vat_category": VAT_CATEGORIES,
    "step": STEPS,
    "check": CHECKS,
    "check_result": CHECK_RESULTS,
    "audit_noun": AUDIT_NOUNS,
    "audit_verb": AUDIT_VERBS,
}


def words_of(kind: str, code: str) -> str:
    """The English words for a constant; for one of a later version its own letters, made readable."""
    known = KINDS[kind].get(str(code))
    return known if known is not None else str(code).replace("_", " ").replace(".", ": ").capitalize()
