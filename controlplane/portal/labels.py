"""The words for the API's codes. What is not here is shown as the API says it."""

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
    "ISSUE_FAILED": (N_("Issue failed"), "bad"),
    "DRAINING": (N_("Draining"), "wait"),
    "NONE": (N_("None"), "calm"),
    "Pending": (N_("Pending"), "wait"),
    "Launching": (N_("Launching"), "wait"),
    "Registering": (N_("Registering"), "wait"),
    "Validating": (N_("Validating"), "wait"),
    "Ready": (N_("Ready"), "good"),
    "Draining": (N_("Draining"), "wait"),
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
    "service_scaled": N_("The bounds were changed."),
    "key_revoked": N_("The key was revoked."),
    "budget_set": N_("The budget was set."),
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
    "SERVICE_SCALED": N_("Bounds changed"),
    "SERVICE_DELETED": N_("Service deleted"),
    "SERVICE_STATUS_CHANGED": N_("Status changed"),
    "DEPLOYMENT_CREATED": N_("Deployment asked for"),
    "DEPLOYMENT_CANCELED": N_("Deployment given up"),
    "DEPLOYMENT_STATUS_CHANGED": N_("Deployment's status changed"),
    "PLACED": N_("Place found"),
    "PLACEMENT_PENDING": N_("Waiting for a place"),
    "MOVE_STARTED": N_("Move begun"),
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
